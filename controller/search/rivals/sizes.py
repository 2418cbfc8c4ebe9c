"""The size sweep: bigger is better, as long as it fits."""

from __future__ import annotations

from controller.search.oracle import Oracle
from controller.search.rivals import look_at
from controller.search.settings import SearchSettings
from supernet.space import Subnet


def size_sweep(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at the costliest subnet within the target first and go down, then from the target upwards.

    The cost is the one that the target limits; under the latency reward it is latency, without a target.
    """
    reward = oracle.reward_settings
    target = float("inf") if reward.kind == "latency" else reward.target

    def rank(subnet: Subnet) -> tuple[bool, float]:
        cost = oracle.costs.of(subnet, reward.limited)
        return cost > target, abs(cost - target) if target < float("inf") else -cost

    order = sorted(filter(settings.may_win, oracle.space), key=rank)[: settings.looks]
    look_at(oracle, order, settings)
