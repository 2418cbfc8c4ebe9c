"""What each axis of the space is worth: main effects and interactions over a table. Called by `rank`. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np

from supernet.space import AXES, Subnet

Values = Mapping[Subnet, float]


@dataclass(frozen=True)
class Effect:
    """What moving one axis from one option to the next does, over all pairs of subnets that differ in it alone."""

    axis: str
    old: float
    new: float
    change: float  # dB, mean
    standard_deviation: float  # dB, over the pairs: how much it depends on the rest of the shape
    pairs: int


def main_effects(values: Values) -> list[Effect]:
    """Of every axis, each step from an option to the next."""
    effects = []
    for axis, options in AXES.items():
        for old, new in pairwise(options):
            changes = []
            for subnet in values:
                moved = replace(subnet, **{axis: new})
                if getattr(subnet, axis) == old and moved in values:
                    changes.append(values[moved] - values[subnet])
            if changes:
                effects.append(Effect(axis, old, new, float(np.mean(changes)), float(np.std(changes)), len(changes)))
    return effects


def variance_shares(values: Values) -> dict[tuple[str, ...], float]:
    """Share of the variance that each axis explains, and what each pair of axes adds to all axes alone.

    Least squares over indicator variables; encoder and bottleneck are not independent (B <= E), so the shares of the
    single axes are what each explains alone and need not add up. Largest first within each kind.
    """
    subnets = list(values)
    y = np.array([values[subnet] for subnet in subnets])
    y = y - y.mean()
    columns = {axis: _indicators(subnets, axis) for axis in AXES}
    alone = {(axis,): _explained(y, [columns[axis]]) for axis in AXES}
    mains = list(columns.values())
    without = _explained(y, mains)
    pairs = {}
    for a, b in combinations(AXES, 2):
        product = np.einsum("na,nb->nab", columns[a], columns[b]).reshape(len(y), -1)
        pairs[a, b] = _explained(y, [*mains, product]) - without
    order = lambda shares: dict(sorted(shares.items(), key=lambda item: -item[1]))  # noqa: E731
    return order(alone) | {("all axes",): without} | order(pairs)


def _indicators(subnets: list[Subnet], axis: str) -> np.ndarray:
    return np.array([[getattr(subnet, axis) == option for option in AXES[axis]] for subnet in subnets], float)


def _explained(y: np.ndarray, blocks: list[np.ndarray]) -> float:
    design = np.concatenate([np.ones((len(y), 1)), *blocks], axis=1)
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(1 - np.square(y - fitted).sum() / np.square(y).sum())
