"""Tables whose every answer is known, for search methods to be compared on.

A real one is a quality table with the shared-weight scores beside it. The synthetic ones are harder in one way each,
and every seed draws another; their shared-weight scores rank as fine-tuning does with a Kendall tau of about 0.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau

from controller.search.reward import Costs, Reward, RewardSettings
from eval.costs import macs, parameters
from eval.table.quality_table import QualityTable
from supernet.errors import UserError
from supernet.space import AXES, SearchSpace, Subnet

WIDTH = 0.125  # of the synthetic networks, whose parameters and MACs count
TAU = 0.8  # of the synthetic shared-weight scores


@dataclass(frozen=True)
class Landscape:
    """What every subnet would turn out to be worth, in dB, and what its shared weights say beforehand."""

    quality: dict[Subnet, float]
    shared: dict[Subnet, float]
    width: float

    @cached_property
    def space(self) -> SearchSpace:
        return SearchSpace(self.width)

    @cached_property
    def costs(self) -> Costs:
        return Costs(cache(lambda s: parameters(s, self.width)), cache(lambda s: macs(s, self.width)))

    @cached_property
    def rewards(self) -> dict[Subnet, float]:
        """Rewards of the subnets that may win, in dB: a missing dB of SI-SNRi costs 1."""
        reward = Reward.of(RewardSettings(), self.space, self.quality.__getitem__, self.costs)
        eligible = filter(self.space.within_bound, self.space)
        return {s: reward.decibels * reward(s, self.quality[s]) for s in eligible}

    @cached_property
    def optimum(self) -> Subnet:
        return max(self.rewards, key=self.rewards.__getitem__)


def real(table: QualityTable, shared: QualityTable) -> Landscape:
    """A landscape of two tables over the same networks. Raises UserError where they are not, or lack a subnet."""
    if table.header.width != shared.header.width:
        widths = f"{table.header.width:g} and {shared.header.width:g}"
        raise UserError(f"{table.path}, {shared.path}: are of networks of different width ({widths})")
    quality, scores = ({s: t[s].si_snri for s in SearchSpace()} for t in (table, shared))
    return Landscape(quality, scores, table.header.width)


def synthetic(kind: str, seed: int) -> Landscape:
    """One of `SYNTHETIC`, drawn anew for each seed."""
    draw = np.random.default_rng([SYNTHETIC.index(kind), seed])
    space = SearchSpace(WIDTH)
    x = np.array([[AXES[axis].index(getattr(s, axis)) / (len(AXES[axis]) - 1) for axis in AXES] for s in space])
    size = np.log([macs(s, WIDTH) for s in space])
    size = (size - size.min()) / np.ptp(size)
    quality = 5.5 + 1.0 * np.sqrt(0.05 + size) + x @ draw.uniform(-0.1, 0.2, len(AXES))
    if kind == "noise":
        quality += draw.normal(0, 0.1, len(quality))
    if kind == "interactions":
        for a, b in combinations(range(len(AXES)), 2):
            quality += draw.normal(0, 0.3) * (x[:, a] - 0.5) * (x[:, b] - 0.5) * 2
    if kind == "ridges":
        for a, b in draw.permutation(len(AXES)).reshape(3, 2):  # good only where two axes go together
            quality -= 0.5 * np.abs(x[:, a] - (x[:, b] if draw.random() < 0.5 else 1 - x[:, b]))
    return Landscape(
        dict(zip(space, quality.tolist(), strict=True)),
        dict(zip(space, _scores(quality, draw).tolist(), strict=False)),
        WIDTH,
    )


SYNTHETIC = ("smooth", "noise", "interactions", "ridges")


def _scores(quality: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Qualities with just so much noise that they rank with a Kendall tau of `TAU`, 0.5 dB lower and flatter."""
    noise = draw.normal(0, np.std(quality), len(quality))
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if kendalltau(quality, quality + middle * noise).statistic > TAU else (low, middle)
    return quality.mean() - 0.5 + 0.8 * (quality + low * noise - quality.mean())
