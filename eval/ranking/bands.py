"""Which subnets are trained stand-alone, so that cheaper scores can be held against them.

A score that only knew the size would rank the whole space quite well. So the subnets come in bands of equal MACs and
different shape, where size says nothing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np

from eval.costs import macs
from supernet.space import AXES, PAPER_WINNER, SearchSpace, Subnet

BANDS = 6
OF_A_BAND = 8
TOLERANCE = 1.1  # most MACs of a band over its fewest


def truth_bands(space: SearchSpace, seed: int = 0) -> list[list[Subnet]]:
    """Six lists of eight subnets, cheapest first, the same for the same seed and width.

    The MACs of a band lie within 10 % of each other, and its shapes as far apart as they can. The paper's winner is
    in the band of its MACs. The smallest and the largest of the space have too few neighbours in MACs for a band of
    eight, so they come as the last of the lowest and highest band, outside its 10 %.
    """
    cost = {subnet: macs(subnet, space.width) for subnet in space}
    inner = sorted((subnet for subnet in space if subnet not in (space.smallest, space.largest)), key=cost.__getitem__)
    bands = [[s for s in inner[i:] if cost[s] <= TOLERANCE * cost[first]] for i, first in enumerate(inner)]
    full = [band for band in bands if len(band) >= OF_A_BAND]
    ends = [[band for band in bands if len(band) >= OF_A_BAND - 1][end] for end in (0, -1)]
    low, high = (math.log(cost[band[0]]) for band in ends)
    targets = [low + (high - low) * number / (BANDS - 1) for number in range(1, BANDS - 1)]
    chosen = [min(full, key=lambda band: abs(math.log(cost[band[0]]) - target)) for target in targets]
    with_winner = [band for band in full if PAPER_WINNER in band]
    middle = with_winner[len(with_winner) // 2]
    nearest = min(range(len(targets)), key=lambda i: abs(math.log(cost[middle[0]]) - targets[i]))
    chosen[nearest] = middle

    rng = np.random.default_rng(seed)
    extremes = [[space.smallest], *([] for _ in chosen), [space.largest]]
    selected = []
    for band, extreme in zip([ends[0], *chosen, ends[1]], extremes, strict=True):
        first = PAPER_WINNER if PAPER_WINNER in band else band[rng.integers(len(band))]
        selected.append(_far_apart(first, band, OF_A_BAND - len(extreme)) + extreme)
    return selected


def equal_macs(subnets: Iterable[Subnet], width: float) -> list[list[Subnet]]:
    """All `subnets` in bands whose MACs lie within 10 %, cheapest band first: fullest bands first, then from the rest.

    From the subnets of `truth_bands` this gives its bands back, with the smallest and the largest by themselves; any
    other choice of subnets, up to all 324, is divided in the same way.
    """
    cost = {subnet: macs(subnet, width) for subnet in subnets}
    rest = sorted(cost, key=lambda subnet: (cost[subnet], subnet))
    bands = []
    while rest:
        costs = [cost[subnet] for subnet in rest]
        ends = [bisect_right(costs, TOLERANCE * least) for least in costs]
        start = max(range(len(rest)), key=lambda i: ends[i] - i)
        bands.append(rest[start : ends[start]])
        del rest[start : ends[start]]
    return sorted(bands, key=lambda band: cost[band[0]])


def _far_apart(first: Subnet, subnets: list[Subnet], count: int) -> list[Subnet]:
    """`count` of `subnets`, `first` among them, each next one as far from those before as any (in options moved)."""
    chosen = [first]
    while len(chosen) < count:
        rest = [subnet for subnet in subnets if subnet not in chosen]
        chosen.append(max(rest, key=lambda subnet: min(_distance(subnet, other) for other in chosen)))
    return chosen


def _distance(a: Subnet, b: Subnet) -> int:
    """Options between two subnets, summed over the axes."""
    return sum(abs(options.index(getattr(a, axis)) - options.index(getattr(b, axis))) for axis, options in AXES.items())
