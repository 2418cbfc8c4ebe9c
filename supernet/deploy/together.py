"""Several talkers of one recording, each by its own lips, so that no two get the same voice.

A network that is shown the lips of two talkers may follow the louder or the better known voice both times. Where two
estimates are alike, the one whose voice agrees with its lips better than with the other's stays, and the other talker
is looked for in what it leaves of the mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from supernet.data.lips.speaking import SMOOTH, Heard, agreement
from supernet.timing import FRAME_RATE

ALIKE = 0.5  # correlation of two estimates, from which on they are one voice
MOUTH = (slice(30, 70), slice(18, 70))  # of a lip region
AROUND = 0.5  # of what moves around it is taken from what moves there

Enhance = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


def separated(enhance: Enhance, mixture: np.ndarray, videos: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """An estimate for each talker.

    Args:
        enhance: a network: mixture, float32 (samples,), and lips to an estimate.
        mixture: float32 (samples,).
        videos: lips of each talker, uint8 (frames, 88, 88); None where they are not seen.
    """
    estimates = [enhance(mixture, video) for video in videos]
    for a, b in combinations(range(len(videos)), 2):
        first, second = videos[a], videos[b]
        if first is None or second is None or len(first) < FRAME_RATE or not alike(estimates[a], estimates[b]):
            continue
        heard = Heard.of([estimates[a]])
        stays, other = (a, b) if follows(first, heard) > follows(second, heard) else (b, a)
        estimates[other] = enhance(without(mixture, estimates[stays]), videos[other])
    return estimates


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two estimates, (samples,), hold one voice."""
    power = float(np.square(a, dtype=float).sum() * np.square(b, dtype=float).sum())
    return abs(float(np.dot(a, b))) > ALIKE * power**0.5 > 0


def without(mixture: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    """What an estimate leaves of a mixture, at the gain that leaves least."""
    gain = np.dot(mixture, estimate) / (np.dot(estimate, estimate) + 1e-12)
    return (mixture - gain * estimate).astype(np.float32)


def follows(lips: np.ndarray, heard: Heard) -> float:
    """How well a mouth, uint8 (frames, 88, 88), moves as a sound does; see `data.lips.speaking`."""
    changes = np.abs(np.diff(lips.astype(np.float32), axis=0))
    mouth = changes[:, *MOUTH].mean((1, 2))
    inside = changes[:, *MOUTH].sum((1, 2))
    around = (changes.sum((1, 2)) - inside) / (changes[0].size - changes[0][MOUTH].size)
    moved = median_filter(np.maximum(mouth - AROUND * around, 0), 3)
    return agreement(gaussian_filter1d(np.sqrt(moved), SMOOTH), np.arange(len(moved)), heard)
