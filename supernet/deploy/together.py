"""Several talkers of one recording, each by its own lips, so that no two get the same voice.

A network that is shown the lips of two talkers may follow the louder or the better known voice both times. Where two
estimates are alike, one stays, and the other talker is looked for in what it leaves of the mixture. Which one stays is
told by how the voice agrees with either mouth, by which estimate is the purer, and by whose lips let the network keep
the voice, and the rest of the mixture, when it hears these alone. The weights of these four are fitted on 151 pairs of
GRID's talkers whose estimates were alike (`benchmarks/two_faces.py` makes such pairs); each of four groups left out in
turn, 85 % are told apart, and both talkers found in 93 %.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from supernet.data.lips.smoothing import gaussian, median
from supernet.data.lips.speaking import SMOOTH, Heard, agreement
from supernet.timing import FRAME_RATE

ALIKE = 0.5  # correlation of two estimates, from which on they are one voice
MOUTH = (slice(30, 70), slice(18, 70))  # of a lip region
AROUND = 0.5  # of what moves around it is taken from what moves there
FOLLOWS, LOUDER, KEEPS_VOICE, KEEPS_REST = 1.3, -0.9, 1.25, 0.28  # of agreement, and of levels in dB

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
        stays, other = (a, b) if belongs(enhance, mixture, (estimates[a], estimates[b]), (first, second)) else (b, a)
        estimates[other] = enhance(without(mixture, estimates[stays]), videos[other])
    return estimates


def belongs(
    enhance: Enhance,
    mixture: np.ndarray,
    estimates: tuple[np.ndarray, np.ndarray],
    videos: tuple[np.ndarray, np.ndarray],
) -> bool:
    """Whether the voice of two estimates that are alike is that of the first of two talkers."""
    (a, b), (first, second) = estimates, videos
    heard = Heard.of([a])
    voice = (a + b) / 2
    rest = without(mixture, voice)
    evidence = FOLLOWS * (follows(first, heard) - follows(second, heard)) + LOUDER * (level(a) - level(b))
    evidence += KEEPS_VOICE * (level(enhance(voice, first)) - level(enhance(voice, second)))
    evidence += KEEPS_REST * (level(enhance(rest, second)) - level(enhance(rest, first)))
    return evidence > 0


def level(wave: np.ndarray) -> float:
    """Energy in dB."""
    return 10 * float(np.log10(np.square(wave, dtype=float).sum() + 1e-9))


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
    moved = median(np.maximum(mouth - AROUND * around, 0), 3)
    return agreement(gaussian(np.sqrt(moved), SMOOTH), np.arange(len(moved)), heard)
