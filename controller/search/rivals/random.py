"""Random search without replacement: what learning must beat."""

from __future__ import annotations

import numpy as np

from controller.search.oracle import Oracle
from controller.search.settings import SearchSettings


def random_search(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps distinct subnets, uniformly drawn among those that could win."""
    eligible = [subnet for subnet in oracle.space if settings.may_win(subnet)]
    drawn = np.random.default_rng(settings.seed).permutation(len(eligible))[: settings.looks]
    for first in range(0, len(drawn), settings.workers):
        oracle.look([eligible[index] for index in drawn[first : first + settings.workers]])
