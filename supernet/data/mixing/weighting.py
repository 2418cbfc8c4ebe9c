"""How much of a signal matters to understanding speech: speech-weighted power.

The Clarity and AVSE challenges define SNR as the ratio of powers behind a linear-phase FIR filter (`speechweighted_snr`
in `clarity/data/utils.py` of github.com/claritychallenge/clarity; AVSEC's scene renderer takes it over). Its response
is, in amplitude, the importance of the critical bands of ANSI S3.5-1997, Table 1. Theirs is made for 44.1 kHz; here
the filter is designed for 16 kHz, and has the published response to within 0.7 dB from 100 Hz up, 2.3 dB below.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from scipy import fft
from scipy.signal import firwin2

from supernet.timing import SAMPLE_RATE

TAPS = 187  # as long as the published 512 at 44.1 kHz; odd, so that the response at 8 kHz is free
BANDS = {  # Hz: importance; the bands from 570 to 4000 Hz are alike, those under 150 Hz continue the published response
    0: 0.0001,
    50: 0.0023,
    100: 0.0061,
    150: 0.0103,
    250: 0.0261,
    350: 0.0419,
    450: 0.0577,
    4000: 0.0577,
    4800: 0.0460,
    5800: 0.0343,
    7000: 0.0226,
    8500: 0.0110,
}


@cache
def speech_filter() -> np.ndarray:
    """Impulse response at 16 kHz, 0 dB between 570 and 4000 Hz, float64 (187,)."""
    importance = np.array(list(BANDS.values()))
    grid = [frequency for frequency in BANDS if frequency < SAMPLE_RATE / 2] + [SAMPLE_RATE / 2]
    gains = np.interp(grid, list(BANDS), importance / importance.max())
    return firwin2(TAPS, grid, gains, fs=SAMPLE_RATE)


def speech_power(wave: np.ndarray) -> float:
    """Mean power of `wave` (samples,) behind the filter, which rings on after its end (a `full` convolution)."""
    length = len(wave) + TAPS - 1
    size = fft.next_fast_len(length, real=True)
    power = np.square(np.abs(fft.rfft(wave, size))) * _power_response(size)
    return float(power.sum(dtype=np.float64)) / (size * length)


@lru_cache(maxsize=64)
def _power_response(size: int) -> np.ndarray:
    """Of the filter at the frequencies of a real transform of `size`, each counted with its negative; sums to a power
    by Parseval's theorem."""
    response = np.square(np.abs(fft.rfft(speech_filter(), size)))
    response[1 : (size + 1) // 2] *= 2
    return response
