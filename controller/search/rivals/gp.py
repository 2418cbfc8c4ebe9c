"""The controller's model of quality without the controller: expected improvement over all subnets, one best a worker.
Source: Jones, Schonlau and Welch 1998, "Efficient Global Optimization".
"""

from __future__ import annotations

from controller.search.oracle import Oracle
from controller.search.quality_model import QualityModel, propose
from controller.search.settings import SearchSettings


def expected_improvement_search(oracle: Oracle, settings: SearchSettings) -> None:
    """`settings.episodes` rounds of the `settings.workers` subnets from which most improvement is expected."""
    model = QualityModel(oracle.space, oracle.shared if settings.prior else None)
    for _ in range(settings.episodes):
        proposals = propose(oracle, settings, model, oracle.space, settings.workers)
        if not proposals:
            return
        oracle.look(proposals)
