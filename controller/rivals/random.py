"""Random search without replacement: what learning must beat. Called by `controller.search`."""

from __future__ import annotations

import numpy as np

from controller.oracle import Move, Oracle
from controller.settings import SearchSettings


def random_search(oracle: Oracle, settings: SearchSettings) -> None:
    """Visit episodes x steps distinct subnets, uniformly drawn among those that could win."""
    eligible = [s for s in oracle.space if not settings.compute_bound or oracle.space.within_bound(s)]
    count = min(settings.episodes * settings.steps, len(eligible))
    drawn = np.random.default_rng(settings.seed).choice(len(eligible), count, replace=False)
    moves = [
        Move(draw // settings.steps + 1, draw % settings.steps + 1, eligible[index]) for draw, index in enumerate(drawn)
    ]
    for first in range(0, count, settings.workers):
        oracle.visit(moves[first : first + settings.workers])
