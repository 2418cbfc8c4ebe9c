"""The level at which a network hears a recording: that of its training, whatever the recorder was set to.

Between `QUIET` and `LOUD` nothing is changed. Below and above, the sound is brought to these, chunk after chunk by one
gain each, and what the network makes of it is brought back; a constant offset is taken away.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

QUIET, LOUD = 10 ** (-35 / 20), 10 ** (-6 / 20)  # full scales, root mean square
FALL = 10 ** (-10 / 20)  # by which the level that counts falls at most from one chunk to the next: pauses stay quiet
OFFSET = 0.05  # of the level, under which an offset is left alone
FAINTEST = 1e-9  # full scales; less is silence


class Gain(NamedTuple):
    """What is done to one chunk before the network hears it: (sound - offset) x factor."""

    factor: float
    offset: np.ndarray  # (channels,)


class Level:
    """Follows the level of one recording, chunk after chunk."""

    def __init__(self) -> None:
        self._before = 0.0

    def __call__(self, chunk: np.ndarray) -> Gain:
        """For a chunk, float32 (samples, channels), of which the network hears the first."""
        mean = chunk.mean(0, dtype=float) if len(chunk) else np.zeros(chunk.shape[1])
        apart = np.square(chunk - mean, dtype=float).mean(0) if len(chunk) else mean
        own = np.sqrt(apart)
        offset = np.sign(mean) * np.maximum(0.0, np.abs(mean) - OFFSET * own)
        self._before = level = max(float(own[0]), FALL * self._before)
        factor = 1.0 if level < FAINTEST else float(np.clip(level, QUIET, LOUD)) / level
        return Gain(factor, offset.astype(np.float32))


def levelled(mixtures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clips (batch, samples) as a network hears them, and the factors (batch, 1) by which its estimates are divided."""
    gains = [Level()(clip[:, None]) for clip in mixtures]
    factors = np.array([[gain.factor] for gain in gains], np.float32)
    return (mixtures - np.concatenate([gain.offset for gain in gains])[:, None]) * factors, factors
