"""The masked random walk: the controller's own walks without learning."""

from __future__ import annotations

from dataclasses import replace

from controller.search.algorithm1 import progressive_shrinking
from controller.search.oracle import Oracle
from controller.search.settings import SearchSettings


def random_walk(oracle: Oracle, settings: SearchSettings) -> None:
    """Algorithm 1 with the same restarts, where every valid action is always equally likely."""
    unlearning = replace(settings.ppo, epsilon=1.0, update_epochs=0, hidden=1)
    progressive_shrinking(oracle, replace(settings, ppo=unlearning))
