"""The search as a Gymnasium environment, under its public name."""

from controller.search.mdp import ArchitectureEnv

__all__ = ["ArchitectureEnv"]
