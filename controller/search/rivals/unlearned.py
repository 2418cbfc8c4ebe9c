"""The controller without its learning: its walks alone, and its model of quality alone."""

from __future__ import annotations

from dataclasses import replace

from controller.search.algorithm1 import progressive_shrinking
from controller.search.oracle import Oracle
from controller.search.quality_model import QualityModel, propose
from controller.search.settings import SearchSettings


def random_walk(oracle: Oracle, settings: SearchSettings) -> None:
    """Algorithm 1 with the same restarts, where every valid action is always equally likely."""
    unlearning = replace(settings.ppo, epsilon=1.0, update_epochs=0, hidden=1)
    progressive_shrinking(oracle, replace(settings, ppo=unlearning))


def expected_improvement_search(oracle: Oracle, settings: SearchSettings) -> None:
    """`settings.episodes` rounds of the `settings.workers` subnets from which most improvement is expected, of all.

    Source: Jones, Schonlau and Welch 1998, "Efficient Global Optimization".
    """
    model = QualityModel(oracle.space, oracle.shared if settings.prior else None)
    for _ in range(settings.episodes):
        proposals = propose(oracle, settings, model, oracle.space)
        if not proposals:
            return
        oracle.look(proposals)
