"""What a subnet is worth to the search: the paper's reward and the latency reward.

Sources: eq. 3 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search"; the latency reward is
that of hardware-aware architecture search for speech, quality - lambda log(latency).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, isnan, log
from typing import Literal, get_args

from supernet.errors import UserError
from supernet.space import PAPER_WINNER, SearchSpace, Subnet

Cost = Literal["params", "macs", "latency_ms"]
COSTS: tuple[Cost, ...] = get_args(Cost)
MS = {"ms": 1.0, "s": 1e3}  # of each unit of latency


@dataclass(frozen=True)
class Costs:
    """What a subnet costs: parameters, MACs per second of audio, latency in ms. None where nobody has asked."""

    params: Callable[[Subnet], int]
    macs: Callable[[Subnet], float] | None = None
    latency_ms: Callable[[Subnet], float] | None = None

    def of(self, subnet: Subnet, cost: Cost) -> float:
        """One cost of `subnet`. Raises ValueError where there is no function for it."""
        function = getattr(self, cost)
        if function is None:
            raise ValueError(f"the reward needs a function for {cost}")
        return function(subnet)

    def known(self) -> dict[Cost, Callable[[Subnet], float]]:
        """The functions that there are, by cost."""
        return {cost: function for cost in COSTS if (function := getattr(self, cost))}


@dataclass(frozen=True)
class RewardSettings:
    """What the search maximises.

    Args:
        kind: `paper` weighs SI-SNRi against a cost in excess of its target (eq. 3); `latency` weighs it against the
            logarithm of latency.
        alpha: weight of SI-SNRi as a fraction of the baseline's.
        beta: weight of the cost in excess of the target, as a fraction of the target.
        gamma: cost of a violated constraint. With masked actions it never falls due.
        baseline: SI-SNRi in dB that counts as 1; null takes the largest subnet's at the search's fidelity. Paper: 15.2.
        cost: what the target limits: parameters as in the paper, MACs per second of audio, or latency in ms.
        target: the budget, what costs nothing; null takes the paper's winner's at the search's width. Paper: 2.9e6.
        latency_weight: lambda of the latency reward, in dB for each factor e of latency.
        latency_unit: of the latency whose logarithm is taken; it moves all rewards alike.
    """

    kind: Literal["paper", "latency"] = "paper"
    alpha: float = 1.0
    beta: float = 0.7
    gamma: float = 10.0
    baseline: float | None = None
    cost: Cost = "params"
    target: float | None = None
    latency_weight: float = 1.0
    latency_unit: Literal["ms", "s"] = "ms"

    def __post_init__(self) -> None:
        for name in ("alpha", "baseline", "target"):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise UserError(f"search.reward.{name}: must be above 0 and finite, not {value:g}")
        for name in ("beta", "gamma", "latency_weight"):
            value = getattr(self, name)
            if not 0 <= value < inf:
                raise UserError(f"search.reward.{name}: must be finite and not negative, not {value:g}")

    @property
    def scale(self) -> tuple[float, float]:
        """Baseline and target. Raises ValueError where they are left to be resolved."""
        if self.baseline is None or self.target is None:
            raise ValueError("baseline and target are not resolved yet; see Reward.of")
        return self.baseline, self.target

    @property
    def limited(self) -> Cost:
        """The cost that is weighed against quality."""
        return "latency_ms" if self.kind == "latency" else self.cost


def paper_reward(si_snri: float, cost: float, settings: RewardSettings, violation: bool = False) -> float:
    """Eq. 3: alpha SI-SNRi / baseline - beta max(0, cost / target - 1) - gamma [violation].

    Args:
        si_snri: improvement over the mixture in dB (the text's reading of the paper's delta SI-SNR).
        cost: of the whole network, parameters in the paper.
        settings: with `baseline` and `target` resolved.
        violation: whether the action violated a constraint.
    """
    baseline, target = settings.scale
    fidelity = settings.alpha * si_snri / baseline
    excess = settings.beta * max(0.0, cost / target - 1)
    return fidelity - excess - settings.gamma * violation


def latency_reward(si_snri: float, latency_ms: float, settings: RewardSettings, violation: bool = False) -> float:
    """Quality - lambda log(latency): SI-SNRi in dB, latency in `settings.latency_unit`, natural logarithm."""
    latency = latency_ms / MS[settings.latency_unit]
    return si_snri - settings.latency_weight * log(latency) - settings.gamma * violation


@dataclass(frozen=True)
class Reward:
    """What subnets are worth: `reward(subnet, si_snri)`.

    Args:
        settings: with `baseline` and `target`.
        costs: that they weigh.
    """

    settings: RewardSettings
    costs: Costs

    @classmethod
    def of(
        cls, settings: RewardSettings, space: SearchSpace, quality: Callable[[Subnet], float], costs: Costs
    ) -> Reward:
        """With `baseline` and `target` filled in. Raises UserError where they are not above zero."""
        baseline = quality(space.largest) if settings.baseline is None else settings.baseline
        target = costs.of(PAPER_WINNER, settings.cost) if settings.target is None else settings.target
        if not baseline > 0:
            raise UserError(
                f"search.reward.baseline: the reward divides by it and it is {baseline:.2f} dB; "
                "train the supernet longer, or set a baseline above 0"
            )
        if not target > 0:
            raise UserError(f"search.reward.target: must be a budget above 0, not {target:g}")
        return cls(replace(settings, baseline=baseline, target=target), costs)

    def __call__(self, subnet: Subnet, si_snri: float, violation: bool = False) -> float:
        """An SI-SNRi of NaN counts as 0 dB and as a violation."""
        if isnan(si_snri):
            si_snri, violation = 0.0, True
        reward = latency_reward if self.settings.kind == "latency" else paper_reward
        return reward(si_snri, self.costs.of(subnet, self.settings.limited), self.settings, violation)

    def aimed(self, cost: Cost, target: float) -> Reward:
        """The same with another budget."""
        return replace(self, settings=replace(self.settings, cost=cost, target=target))

    @property
    def decibels(self) -> float:
        """By how many dB of SI-SNRi a reward is larger by one."""
        return self.settings.scale[0] / self.settings.alpha
