"""Does a cheap score rank subnets as stand-alone training does? Called by the `rank` command. Free of torch.

Kendall's tau says how many pairs of subnets a score puts in the right order: (right - wrong) / pairs. Over the whole
space a score that only knows the size does well, so tau is also taken inside bands of equal MACs, where size says
nothing; and beside each tau stands that of one seed of the truth against another, which no score can be asked to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from supernet.space import Subnet

DRAWS = 2000  # of the bootstrap
CONFIDENCE = 95  # percent

Values = Mapping[Subnet, float]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def tau(score: Values, truth: Values, subnets: Sequence[Subnet]) -> float:
    """Kendall's tau-b over `subnets`; NaN when one of the two is constant."""
    return float(kendalltau([score[s] for s in subnets], [truth[s] for s in subnets]).statistic)


def tau_in_bands(score: Values, truth: Values, bands: Sequence[Sequence[Subnet]]) -> float:
    """Mean of the bands' taus, over the bands in which both vary; 0 where `score` says nothing."""
    taus = [tau(score, truth, band) for band in bands]
    return float(np.mean([0.0 if np.isnan(t) else t for t in taus]))


def bootstrap(
    statistic: Callable[[Sequence[Sequence[Subnet]]], float], bands: Sequence[Sequence[Subnet]], seed: int = 0
) -> Interval:
    """`statistic` of the bands, with its interval under resampling of the subnets within each band.

    Statistics of one call share their draws with those of another of the same seed, so differences can be paired.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(DRAWS):
        drawn.append(statistic([[band[i] for i in rng.integers(len(band), size=len(band))] for band in bands]))
    low, high = np.percentile(drawn, [(100 - CONFIDENCE) / 2, (100 + CONFIDENCE) / 2])
    return Interval(statistic(bands), float(low), float(high))


def overall(score: Values, truth: Values) -> Callable[[Sequence[Sequence[Subnet]]], float]:
    """Tau over all bands together, as a statistic for `bootstrap`."""
    return lambda bands: tau(score, truth, [subnet for band in bands for subnet in band])


def in_bands(score: Values, truth: Values) -> Callable[[Sequence[Sequence[Subnet]]], float]:
    """Mean tau inside the bands, as a statistic for `bootstrap`."""
    return lambda bands: tau_in_bands(score, truth, bands)


def difference(score: Values, rival: Values, truth: Values) -> Callable[[Sequence[Sequence[Subnet]]], float]:
    """tau(score) - tau(rival) over all bands together: the paired difference."""
    first, second = overall(score, truth), overall(rival, truth)
    return lambda bands: first(bands) - second(bands)


@dataclass(frozen=True)
class Choice:
    """What choosing by a score costs under one budget."""

    budget: float
    chosen: Subnet
    best: Subnet
    regret: float  # dB of the truth


def regret(score: Values, truth: Values, cost: Values, budget: float) -> Choice | None:
    """The subnet of highest score within the budget against the truly best one; None when nothing fits."""
    within = [subnet for subnet in truth if cost[subnet] <= budget]
    if not within:
        return None
    chosen, best = max(within, key=score.__getitem__), max(within, key=truth.__getitem__)
    return Choice(budget, chosen, best, truth[best] - truth[chosen])


def receptive_field(subnet: Subnet) -> int:
    """Latent frames that one output frame depends on: three taps at dilations 1, 2, 4, … in each repeat."""
    return 1 + 2 * subnet.repeats * (2**subnet.blocks - 1)
