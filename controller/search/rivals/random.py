"""Random search without replacement: what learning must beat."""

from __future__ import annotations

import numpy as np

from controller.search.oracle import Oracle
from controller.search.rivals import eligible, look_at
from controller.search.settings import SearchSettings


def random_search(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps distinct subnets, uniformly drawn among those that could win."""
    subnets = eligible(oracle, settings)
    drawn = np.random.default_rng(settings.seed).permutation(len(subnets))[: settings.looks]
    look_at(oracle, [subnets[index] for index in drawn], settings)
