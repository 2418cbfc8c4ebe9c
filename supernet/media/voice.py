"""How much of a voice there is in a sound: voices are voiced, and glide, where music keeps its pitch, and pause."""

from __future__ import annotations

import numpy as np
import soxr

RATE = 8_000  # Hz at which it is listened to
FRAME, HOP = 512, 80  # samples
LAGS = slice(RATE // 400, RATE // 70)  # of the pitch of voices, samples
VOICED = 0.5  # of a frame's energy at the pitch, from which on it is voiced
LOUD = 0.01  # of the loudest frames' energy; under it nobody speaks
APART = 5  # frames, 50 ms, over which a pitch glides
STEADY, LEAP = 0.01, 0.25  # octaves: a pitch that stays, and one that is another note
QUIETEST = 1e-5  # full scales, under which a track holds nothing


def voice(wave: np.ndarray, rate: int) -> float:
    """0 for silence, under some 0.1 for noise and music, more for speech.

    It is the share of voiced frames, times the share of these whose pitch glides, times how much the level changes.

    Args:
        wave: (samples,).
        rate: Hz.
    """
    wave = np.nan_to_num(np.asarray(wave, float))
    if len(wave) < rate // 2 or np.abs(wave).max() < QUIETEST:
        return 0.0
    wave = soxr.resample(wave - wave.mean(), rate, RATE)
    window = np.hanning(FRAME)
    frames = np.lib.stride_tricks.sliding_window_view(wave, FRAME)[::HOP] * window
    correlation, own = (np.fft.irfft(np.abs(np.fft.rfft(x, 2 * FRAME)) ** 2) for x in (frames, window))
    energy = correlation[:, 0] + 1e-12
    normal = correlation[:, LAGS] / (energy[:, None] * own[LAGS] / own[0])
    voiced = (normal.max(1) > VOICED) & (energy > LOUD * np.percentile(energy, 95))
    pitch = -np.log2(normal.argmax(1) + LAGS.start)
    glide = np.abs(pitch[APART:] - pitch[:-APART])[voiced[APART:] & voiced[:-APART]]
    glide = glide[glide < LEAP]
    gliding = float((glide > STEADY).mean()) if len(glide) else 0.0
    changes = min(1.0, float(np.log(energy + 1e-6 * energy.max()).std()))
    return 1e-6 + float(voiced.mean()) * gliding * changes
