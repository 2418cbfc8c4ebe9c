"""Rivals that know beforehand in which order they look: all, at random, by the shared-weight scores, by size."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from controller.search.oracle import Oracle
from controller.search.settings import SearchSettings
from supernet.errors import UserError
from supernet.space import Subnet


def eligible(oracle: Oracle, settings: SearchSettings) -> list[Subnet]:
    """The subnets that may win, in the order of the space."""
    return [subnet for subnet in oracle.space if settings.may_win(subnet)]


def look_at(oracle: Oracle, subnets: Sequence[Subnet], settings: SearchSettings) -> None:
    """Look at `subnets` in their order, in rounds of one a worker."""
    for first in range(0, len(subnets), settings.workers):
        oracle.look(subnets[first : first + settings.workers])


def exhaustive(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at all that may win; the answer that every other method is measured by."""
    look_at(oracle, eligible(oracle, settings), settings)


def random_search(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps distinct subnets, uniformly drawn among those that may win: learning must beat it."""
    subnets = eligible(oracle, settings)
    drawn = np.random.default_rng(settings.seed).permutation(len(subnets))[: settings.looks]
    look_at(oracle, [subnets[index] for index in drawn], settings)


def descending_shared_score(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps subnets in descending order of the reward that their shared-weight scores would earn: no
    search at all."""
    if oracle.shared is None:
        raise UserError("search.method: 'shared' needs the shared-weight scores; run `ofa-avse score` first")
    promised = {subnet: oracle.reward_at(subnet, oracle.shared[subnet]) for subnet in eligible(oracle, settings)}
    look_at(oracle, sorted(promised, key=promised.__getitem__, reverse=True)[: settings.looks], settings)


def size_sweep(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at the costliest subnet within the target first and go down, then from the target upwards: bigger is better.

    The cost is the one that the target limits; under the latency reward it is latency, without a target.
    """
    reward = oracle.reward_at.settings
    target = inf if reward.kind == "latency" else reward.scale[1]

    def preference(subnet: Subnet) -> tuple[bool, float]:
        cost = oracle.costs.of(subnet, reward.limited)
        return cost > target, abs(cost - target) if target < inf else -cost

    look_at(oracle, sorted(eligible(oracle, settings), key=preference)[: settings.looks], settings)
