"""Does a cheap score rank subnets as stand-alone training does? Free of torch.

Kendall's tau says how many pairs of subnets a score puts in the right order: (right - wrong) / pairs. Over the whole
space a score that only knows the size does well, so tau is also taken inside bands of equal MACs, where size says
little; and beside each tau stands that of one seed of the truth against another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from supernet.space import Subnet

DRAWS = 2000  # of the bootstrap
CONFIDENCE = 95  # percent
LEAST = 4  # subnets of a band whose tau counts

Values = Mapping[Subnet, float]


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, draws: np.ndarray) -> Interval:
        """From what `Resamples` gives: the estimate, then the same of every draw."""
        if np.isnan(draws[0]):
            return cls(np.nan, np.nan, np.nan)
        low, high = np.nanpercentile(draws[1:], [(100 - CONFIDENCE) / 2, (100 + CONFIDENCE) / 2])
        return cls(float(draws[0]), float(low), float(high))

    def __str__(self) -> str:
        return "n/a" if np.isnan(self.value) else f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Resamples:
    """The stratified bootstrap: subnets drawn with replacement inside each band, as many as the band has.

    Each statistic is an array (1 + draws): of the subnets themselves, then of every draw. Statistics of one object
    share their draws, so that their differences and ratios are paired; `Interval.of` reads an interval off.

    A percentile interval over these draws covers which subnets of such bands happen to be in the study. It does not
    cover the seeds: another training of the supernet, another seed of the truth, other validation clips. A band of
    one subnet, such as the smallest and the largest of the space, is in every draw. Of n subnets a band, draws show
    (n - 1) / n of the variance: where most bands hold one or two, the intervals are too narrow.

    Args:
        bands: disjoint lists of subnets.
        draws: how many; 0 for the estimates alone.
        seed: of the draws.
    """

    def __init__(self, bands: Iterable[Sequence[Subnet]], draws: int = DRAWS, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.bands = [list(band) for band in bands if band]
        self.subnets = [subnet for band in self.bands for subnet in band]
        self._counts = [rng.multinomial(len(band), [1 / len(band)] * len(band), draws) for band in self.bands]

    def tau(self, score: Values, truth: Values) -> np.ndarray:
        """Kendall's tau-b over all subnets."""
        if len(self.subnets) < LEAST:
            return np.full(1, np.nan)
        return _tau(self.subnets, score, truth, np.concatenate(self._counts, axis=1), self._weights())

    def tau_in_bands(self, score: Values, truth: Values) -> np.ndarray:
        """Mean of the bands' tau-b, over the bands of at least four subnets."""
        counted = [pair for pair in zip(self.bands, self._counts, strict=True) if len(pair[0]) >= LEAST]
        if not counted:
            return np.full(1, np.nan)
        taus = np.array([_tau(band, score, truth, counts, np.ones((len(band),) * 2)) for band, counts in counted])
        defined = ~np.isnan(taus)
        return np.where(defined.any(axis=0), np.nansum(taus, axis=0) / np.maximum(defined.sum(axis=0), 1), np.nan)

    def _weights(self) -> np.ndarray:
        """Of the pairs of a draw, (subnets, subnets).

        Of the n^2 pairs of a band that is drawn from itself, n on average are a subnet with itself and do not count.
        Without this weight a draw would hold fewer pairs of equal MACs than the study, and its tau be too high.
        """
        weights = np.ones((len(self.subnets),) * 2)
        start = 0
        for size in map(len, self.bands):
            weights[start : start + size, start : start + size] = size / max(1, size - 1)
            start += size
        return weights


def _tau(
    subnets: Sequence[Subnet], score: Values, truth: Values, counts: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Kendall's tau-b of the subnets, then of every row of `counts`, (draws, subnets), with its pairs weighted.

    The same as scipy's `kendalltau` of the repeated values, in matrix products instead of thousands of calls. A subnet
    drawn twice is tied with itself in both, so the pair does not count. Where `score` is constant it orders nothing
    and gets 0; where the truth is, there is nothing to order: NaN.
    """
    ordered, wanted = (
        np.sign(np.subtract.outer(x, x)) for x in (np.array([v[s] for s in subnets], float) for v in (score, truth))
    )
    agreeing, by_score, by_truth = (
        np.append(pairs.sum(), np.einsum("ds,ds->d", counts @ (weights * pairs), counts))
        for pairs in (ordered * wanted, ordered**2, wanted**2)
    )
    taus = agreeing / np.sqrt(np.maximum(by_score * by_truth, 1))
    return np.where(by_truth > 0, taus, np.nan)


def tau(score: Values, truth: Values, subnets: Sequence[Subnet]) -> float:
    """Kendall's tau-b over `subnets`; 0 where `score` is constant, NaN where the truth is or there are under four."""
    return float(Resamples([subnets], draws=0).tau(score, truth)[0])


def tau_in_bands(score: Values, truth: Values, bands: Iterable[Sequence[Subnet]]) -> float:
    """Mean of the tau-b of each band of at least four subnets."""
    return float(Resamples(bands, draws=0).tau_in_bands(score, truth)[0])


def pooled_deviation(groups: Iterable[Sequence[float]]) -> float:
    """Standard deviation inside groups, each about its own mean; NaN where none has two members."""
    arrays = [np.asarray(group, float) for group in groups if group]
    freedom = sum(len(array) - 1 for array in arrays)
    squares = sum(np.square(array - array.mean()).sum() for array in arrays)
    return float(np.sqrt(squares / freedom)) if freedom else np.nan


def tau_of_the_expected(signal: float) -> float:
    """Kendall's tau of the expected quality itself with a measured one of which it is so much of the variance.

    For normal values, tau = 2/pi arcsin(r) with r^2 the share of the variance (Greiner's relation).
    """
    return float(2 / np.pi * np.arcsin(np.sqrt(signal)))


@dataclass(frozen=True)
class Choice:
    """What choosing by a score costs under one budget."""

    chosen: Subnet
    best: Subnet
    regret: float  # dB of the truth


def regret(score: Values, truth: Values, cost: Values, budget: float) -> Choice | None:
    """Of the subnets of `truth`, the one of highest score within the budget against the truly best; None if none fits.

    The best is taken by a truth with seed noise in it, so it is partly the luckiest, and the regret rather too high.
    """
    within = [subnet for subnet in truth if cost[subnet] <= budget]
    if not within:
        return None
    chosen, best = max(within, key=score.__getitem__), max(within, key=truth.__getitem__)
    return Choice(chosen, best, truth[best] - truth[chosen])


def receptive_field(subnet: Subnet) -> int:
    """Latent frames that one output frame depends on: three taps at dilations 1, 2, 4, … in each repeat."""
    return 1 + 2 * subnet.repeats * (2**subnet.blocks - 1)
