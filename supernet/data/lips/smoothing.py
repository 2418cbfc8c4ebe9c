"""Values over time, smoothed along the first axis, as SciPy does it; without SciPy, which a light install has not."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Edge = Literal["symmetric", "edge"]  # what stands beyond the ends: the values again, mirrored, or the last one
REACH = 4  # deviations, beyond which a Gaussian counts as nothing


def gaussian(values: np.ndarray, deviation: float, edge: Edge = "symmetric") -> np.ndarray:
    """A mean under a Gaussian, (frames, ...) -> the same shape."""
    reach = int(REACH * deviation + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return _windows(values, reach, edge) @ (weights / weights.sum())


def median(values: np.ndarray, size: int, edge: Edge = "symmetric") -> np.ndarray:
    """The median of an odd number of values, (frames, ...) -> the same shape."""
    return np.median(_windows(values, size // 2, edge), axis=-1)


def _windows(values: np.ndarray, reach: int, edge: Edge) -> np.ndarray:
    """(frames, ...) -> (frames, ..., 2 reach + 1)."""
    padded = np.pad(values, [(reach, reach)] + [(0, 0)] * (values.ndim - 1), edge)
    return sliding_window_view(padded, 2 * reach + 1, axis=0)
