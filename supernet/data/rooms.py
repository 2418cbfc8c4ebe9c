"""Synthetic rooms: a direct path followed by exponentially decaying noise. Used by `supernet.data.mixtures`."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import next_fast_len
from torchaudio.functional import fftconvolve

from supernet.timing import SAMPLE_RATE

REVERBERATION_TIME = (0.15, 0.6)  # s, T60: from a furnished living room to a lecture room
DIRECT_TO_REVERBERANT = (0.0, 10.0)  # dB
FIRST_REFLECTION = int(0.003 * SAMPLE_RATE)  # samples after the direct path


def response(room: int, place: int) -> np.ndarray:
    """Impulse response from the `place`-th source of room number `room`, float32 (samples,); it begins with 1.

    All sources of a room share its reverberation time; each place has its own reflections and distance.
    """
    t60 = np.random.default_rng(room).uniform(*REVERBERATION_TIME)
    generator = np.random.default_rng((room, place))
    tail = generator.standard_normal(int(t60 * SAMPLE_RATE), dtype=np.float32)
    tail *= 10 ** (-3 * np.arange(len(tail), dtype=np.float32) / len(tail))  # 60 dB down at its end
    tail[: FIRST_REFLECTION + 1] = 0
    ratio_db = generator.uniform(*DIRECT_TO_REVERBERANT)
    impulse = tail * (10 ** (-ratio_db / 20) / np.sqrt(np.sum(tail**2)))
    impulse[0] = 1
    return impulse.astype(np.float32)


def reverberate(wave: np.ndarray, room: int, place: int) -> np.ndarray:
    """`wave` (samples,) as heard in the room, of the same length and aligned with its direct path."""
    impulse = response(room, place)
    size = next_fast_len(len(wave) + len(impulse) - 1, real=True)  # a transform of unlucky length is 30 times slower
    impulse = np.pad(impulse, (0, size - len(wave) + 1 - len(impulse)))
    return fftconvolve(torch.from_numpy(wave), torch.from_numpy(impulse))[: len(wave)].numpy()
