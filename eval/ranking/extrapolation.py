"""Ten epochs carried to a full training: three ways to read a fine-tuning curve.

On simulated curves the mean of the last three epochs ranks best; a power law fitted to each curve has the smaller
error but ranks worse; the mean plus the offset of a few fully trained anchors keeps the ranking and has the smallest
error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import curve_fit

from supernet.space import Subnet

AVERAGED = 3  # epochs 8 to 10 of ten
COEFFICIENTS = 3  # of the power law
FULL = 100  # epochs of a full training, unless it is known better

Curves = Mapping[Subnet, Sequence[float]]


def last_epochs(curves: Curves) -> dict[Subnet, float]:
    """Mean of the last three epochs, dB."""
    return {subnet: float(np.mean(curve[-AVERAGED:])) for subnet, curve in curves.items()}


def power_law(curves: Curves, epochs: float = FULL) -> dict[Subnet, float]:
    """a - b t^-c fitted to each curve, read at `epochs`; the mean of the last three epochs where no fit is found, or
    the curve is too short for one."""
    means = last_epochs(curves)
    return {subnet: _fitted(curve, epochs, means[subnet]) for subnet, curve in curves.items()}


def anchored(curves: Curves, anchors: Mapping[Subnet, float]) -> dict[Subnet, float]:
    """Mean of the last three epochs plus the mean offset of the fully trained `anchors`; ranks as the mean alone."""
    means = last_epochs(curves)
    offset = float(np.mean([full - means[subnet] for subnet, full in anchors.items()]))
    return {subnet: mean + offset for subnet, mean in means.items()}


def _fitted(curve: Sequence[float], epochs: float, otherwise: float) -> float:
    if len(curve) <= COEFFICIENTS:
        return otherwise
    t = np.arange(1, len(curve) + 1)
    start = (max(curve), min(max(curve) - min(curve) + 0.1, 50), 0.5)
    bounds = ([-np.inf, 0, 0.01], [np.inf, 50, 5])
    try:
        (a, b, c), _ = curve_fit(lambda t, a, b, c: a - b * t**-c, t, curve, start, bounds=bounds)
    except RuntimeError:  # scipy's word for no convergence
        return otherwise
    return float(a - b * epochs**-c)
