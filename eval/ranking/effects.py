"""What each axis of the space is worth: effects, interactions, and what is left of them at equal MACs. Free
of torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, cast

import numpy as np

from eval.mean import Mean
from eval.ranking.tau import Values
from supernet.space import AXES, Subnet


@dataclass(frozen=True)
class Step:
    """Moving one axis from one option to the next."""

    axis: str
    old: float
    new: float


@dataclass(frozen=True)
class Effect:
    """What a step is worth, over all pairs of subnets that differ in it alone."""

    change: float  # dB, mean
    standard_deviation: float  # dB, over the pairs: how much it depends on the rest of the shape
    pairs: int


STEPS = [Step(axis, *step) for axis, options in AXES.items() for step in pairwise(options)]


def main_effects(values: Values) -> dict[Step, Effect]:
    """Of every step of which `values` has a pair."""
    effects = {}
    for step in STEPS:
        changes = []
        for subnet in values:
            moved = replace(subnet, **{step.axis: cast(Any, step.new)})
            if getattr(subnet, step.axis) == step.old and moved in values:
                changes.append(values[moved] - values[subnet])
        if changes:
            effects[step] = Effect(float(np.mean(changes)), float(np.std(changes)), len(changes))
    return effects


def fitted_effects(values: Values) -> dict[Step, Mean]:
    """The same from a few subnets of many shapes, by least squares on all steps at once; {} when they are too few.

    Takes the axes as additive; the standard error holds what they leave unexplained, seed noise included.
    """
    subnets = list(values)
    passed = [[getattr(subnet, step.axis) >= step.new for step in STEPS] for subnet in subnets]
    design = np.concatenate([np.ones((len(subnets), 1)), np.array(passed, float).reshape(-1, len(STEPS))], axis=1)
    freedom = len(subnets) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return {}
    y = np.array([values[subnet] for subnet in subnets])
    inverse = np.linalg.inv(design.T @ design)
    fitted = inverse @ design.T @ y
    variance = np.square(y - design @ fitted).sum() / freedom
    errors = np.sqrt(variance * np.diag(inverse))
    return {
        step: Mean(float(b), float(e), len(subnets)) for step, b, e in zip(STEPS, fitted[1:], errors[1:], strict=True)
    }


def at_equal_macs(values: Values, bands: Iterable[Sequence[Subnet]], axis: str) -> dict[float, Mean]:
    """By option of `axis`, the mean distance from the mean of the own band, dB.

    What an option is worth once everything that it costs is taken from the other axes. The standard error takes the
    subnets as independent.
    """
    distances: dict[float, list[float]] = {option: [] for option in AXES[axis]}
    for band in bands:
        mean = np.mean([values[subnet] for subnet in band])
        for subnet in band:
            if len(band) > 1:
                distances[getattr(subnet, axis)].append(values[subnet] - float(mean))
    return {option: Mean.of(own) for option, own in distances.items() if len(own) > 1}


def axis_shares(values: Values) -> dict[str, float]:
    """Share of the variance that each axis explains alone, largest first.

    Encoder and bottleneck are not independent (B <= E), so the shares need not add up to that of all axes together.
    """
    y, columns = _columns(values)
    return _largest_first({axis: _explained(y, [columns[axis]]) for axis in AXES})


def interactions(values: Values) -> dict[tuple[str, str], float]:
    """Share of the variance that each pair of axes adds to what all axes explain by themselves, largest first."""
    y, columns = _columns(values)
    axes = list(columns.values())
    additive = _explained(y, axes)
    shares = {}
    for a, b in combinations(AXES, 2):
        product = np.einsum("na,nb->nab", columns[a], columns[b]).reshape(len(y), -1)
        shares[a, b] = _explained(y, [*axes, product]) - additive
    return _largest_first(shares)


def additive_share(values: Values) -> float:
    """Share of the variance that all axes explain together, without interactions."""
    y, columns = _columns(values)
    return _explained(y, list(columns.values()))


def _columns(values: Values) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Values about their mean, and each axis' indicators, (subnets, options)."""
    y = np.array(list(values.values()))
    columns = {
        axis: np.array([[getattr(subnet, axis) == option for option in options] for subnet in values], float)
        for axis, options in AXES.items()
    }
    return y - y.mean(), columns


def _explained(y: np.ndarray, blocks: list[np.ndarray]) -> float:
    """Share of the variance of `y`, which has mean 0; 0 where there is none."""
    if not y.any():
        return 0.0
    design = np.concatenate([np.ones((len(y), 1)), *blocks], axis=1)
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(1 - np.square(y - fitted).sum() / np.square(y).sum())


def _largest_first(shares: dict) -> dict:
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
