"""Generated noise: coloured, modulated and impulsive. Each is a pure function of a random generator and a length. All
have unit RMS.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

from supernet.timing import SAMPLE_RATE

LOWEST = 50.0  # Hz; below it spectral slopes are flat, so that no power hides where nobody hears it


def coloured(generator: np.random.Generator, samples: int) -> np.ndarray:
    """Stationary noise of a random spectral slope with up to three random bands raised, float32 (samples,)."""
    size = fft.next_fast_len(samples, real=True)
    frequencies = np.maximum(fft.rfftfreq(size, 1 / SAMPLE_RATE), LOWEST).astype(np.float32)
    octaves = np.log2(frequencies / 1000)
    gain_db = -generator.uniform(-3, 9) * octaves  # dB an octave: from blue to steeper than red
    for _ in range(generator.integers(4)):
        centre, width = generator.uniform(-3, 3), generator.uniform(0.2, 1)
        gain_db = gain_db + generator.uniform(5, 20) * np.exp(-(((octaves - centre) / width) ** 2))
    white = generator.standard_normal((2, len(frequencies)), dtype=np.float32)
    spectrum = (white[0] + 1j * white[1]) * 10 ** (gain_db / 20)
    spectrum[0] = 0
    return _unit_rms(fft.irfft(spectrum, size)[:samples])


def modulated(generator: np.random.Generator, samples: int) -> np.ndarray:
    """Coloured noise whose level wanders at random, 1 to 12 times a second, over up to 40 dB, float32 (samples,)."""
    rate, depth_db = generator.uniform(1, 12), generator.uniform(15, 40)
    points = int(np.ceil(samples / SAMPLE_RATE * rate)) + 2
    levels = -depth_db * generator.random(points)
    times = np.arange(samples, dtype=np.float32) * (rate / SAMPLE_RATE) + generator.random()
    envelope = 10 ** (np.interp(times, np.arange(points), levels) / 20)
    return _unit_rms(coloured(generator, samples) * envelope)


def impulsive(generator: np.random.Generator, samples: int) -> np.ndarray:
    """Clicks, knocks and rings: 2 to 12 decaying bursts a second, float32 (samples,)."""
    noise = np.zeros(samples, dtype=np.float32)
    for _ in range(1 + generator.poisson(generator.uniform(2, 12) * samples / SAMPLE_RATE)):
        decay = np.exp(generator.uniform(np.log(0.5e-3), np.log(60e-3)))  # s: from a click to a ring
        start = int(generator.integers(samples))
        length = min(samples - start, int(6 * decay * SAMPLE_RATE) + 1)
        time = np.arange(length, dtype=np.float32) / SAMPLE_RATE
        burst = generator.standard_normal(length, dtype=np.float32)
        if generator.random() < 0.5:
            burst = np.cos(2 * np.pi * generator.uniform(200, 5000) * time)
        noise[start : start + length] += 10 ** generator.uniform(-1, 0) * np.exp(-time / decay) * burst
    return _unit_rms(noise)


GENERATED: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "coloured": coloured,
    "modulated": modulated,
    "impulsive": impulsive,
}


def _unit_rms(noise: np.ndarray) -> np.ndarray:
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
