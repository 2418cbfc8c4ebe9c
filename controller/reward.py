"""What a subnet is worth to the search: the paper's reward and the latency reward. Called by `controller.mdp`.

Sources: eq. 3 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search"; the latency reward is
that of hardware-aware architecture search for speech, quality - lambda log(latency).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan, log
from typing import Literal

from supernet.errors import UserError
from supernet.space import PAPER_WINNER, SearchSpace, Subnet


@dataclass(frozen=True)
class RewardSettings:
    """What the search maximises.

    Attributes:
        kind: `paper` weighs SI-SNRi against parameters (eq. 3); `latency` weighs it against the logarithm of latency.
        alpha: weight of SI-SNRi as a fraction of the baseline's.
        beta: weight of the parameters in excess of the target, as a fraction of the target.
        gamma: cost of a violated constraint. With masked actions it never falls due.
        baseline: SI-SNRi in dB that counts as 1; null takes the largest subnet's at the search's fidelity. Paper: 15.2.
        target: parameters that cost nothing; null takes the paper's winner's at the search's width. Paper: 2.9e6.
        latency_weight: lambda of the latency reward, in dB for each factor e of latency.
    """

    kind: Literal["paper", "latency"] = "paper"
    alpha: float = 1.0
    beta: float = 0.7
    gamma: float = 10.0
    baseline: float | None = None
    target: float | None = None
    latency_weight: float = 1.0


def paper_reward(si_snri: float, parameters: float, settings: RewardSettings, violation: bool = False) -> float:
    """Eq. 3: alpha SI-SNRi / baseline - beta max(0, parameters / target - 1) - gamma [violation].

    Args:
        si_snri: improvement over the mixture in dB (the text's reading of the paper's delta SI-SNR).
        parameters: of the whole network.
        settings: with `baseline` and `target` resolved.
        violation: whether the action violated a constraint.
    """
    fidelity = settings.alpha * si_snri / settings.baseline
    excess = settings.beta * max(0.0, parameters / settings.target - 1)
    return fidelity - excess - settings.gamma * violation


def latency_reward(si_snri: float, latency_ms: float, settings: RewardSettings, violation: bool = False) -> float:
    """Quality - lambda log(latency): SI-SNRi in dB, latency in ms, natural logarithm."""
    return si_snri - settings.latency_weight * log(latency_ms) - settings.gamma * violation


def reward_of(
    settings: RewardSettings,
    subnet: Subnet,
    quality: Callable[[Subnet], float],
    parameters: Callable[[Subnet], int],
    latency_ms: Callable[[Subnet], float] | None = None,
    violation: bool = False,
) -> float:
    """The reward of `subnet` under resolved settings; a quality of NaN counts as 0 dB and as a violation."""
    si_snri = quality(subnet)
    if isnan(si_snri):
        si_snri, violation = 0.0, True
    if settings.kind == "latency":
        if latency_ms is None:
            raise ValueError("the latency reward needs a latency_ms function")
        return latency_reward(si_snri, latency_ms(subnet), settings, violation)
    return paper_reward(si_snri, parameters(subnet), settings, violation)


def resolve(
    settings: RewardSettings,
    space: SearchSpace,
    quality: Callable[[Subnet], float],
    parameters: Callable[[Subnet], int],
) -> RewardSettings:
    """The settings with `baseline` and `target` filled in. Raises UserError where they are not above zero."""
    baseline = quality(space.largest) if settings.baseline is None else settings.baseline
    target = parameters(PAPER_WINNER) if settings.target is None else settings.target
    if not baseline > 0:
        raise UserError(
            f"search.reward.baseline: the reward divides by it and it is {baseline:.2f} dB; "
            "train the supernet longer, or set a baseline above 0"
        )
    if not target > 0:
        raise UserError(f"search.reward.target: must be a number of parameters above 0, not {target:g}")
    return replace(settings, baseline=baseline, target=target)
