"""What was taken away from one channel, taken from another."""

from __future__ import annotations

import numpy as np

WINDOW, HOP = 512, 128  # samples
MOST = 2.0  # by which a part of the spectrum may grow
LEAST = 1e-6  # of the loudest part; what is fainter is left out


def masked(noisy: np.ndarray, estimate: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`other`, float32 (samples,), filtered as `noisy` was to become `estimate`, by time and frequency."""
    before, after = spectrogram(noisy), spectrogram(estimate)
    power = np.square(np.abs(before))
    mask = after * before.conj() / np.maximum(power, max(LEAST * power.max(), 1e-30))
    size = np.abs(mask)
    return signal(spectrogram(other) * mask * np.minimum(1, MOST / np.maximum(size, MOST)), len(other))


def spectrogram(wave: np.ndarray) -> np.ndarray:
    """(samples,) -> complex (frames, 257)."""
    padded = np.pad(wave.astype(float), (WINDOW, WINDOW + -len(wave) % HOP))
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * _window())


def signal(spectra: np.ndarray, samples: int) -> np.ndarray:
    """The inverse, float32 (samples,)."""
    frames = np.fft.irfft(spectra) * _window()
    wave = np.zeros((len(frames) - 1) * HOP + WINDOW)
    for place, frame in enumerate(frames):
        wave[place * HOP : place * HOP + WINDOW] += frame
    return (wave[WINDOW : WINDOW + samples] / (WINDOW / HOP / 2)).astype(np.float32)


def _window() -> np.ndarray:
    """A root of a Hann window: its squares add up to a constant."""
    return np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)
