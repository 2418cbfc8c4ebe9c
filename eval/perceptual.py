"""PESQ, STOI and ESTOI with honest edge cases. Free of torch, so that worker processes start in half a second;
`eval.metrics` hands them on."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pesq
import pystoi

from supernet.timing import SAMPLE_RATE

SHORTEST_STOI = 6349  # samples at 16 kHz: 30 frames of 256 at a hop of 128, at STOI's own 10 kHz


def pesq_wb(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Wide-band PESQ, MOS-LQO from 1.04 to 4.64 (ITU-T P.862.2).

    Args:
        estimate: (samples,) at 16 kHz, NumPy array or CPU tensor.
        reference: (samples,) clean speech.

    Returns:
        The score; NaN where it is undefined: a silent or non-finite signal, no utterance found in the reference, or
        less than a quarter of a second.

    Raises:
        ValueError: the signals are not one-dimensional or differ in length.
    """
    estimate, reference = _pair(estimate, reference)
    if not (audible(estimate) and audible(reference)):
        return math.nan
    try:
        return float(pesq.pesq(SAMPLE_RATE, reference, estimate, "wb"))
    except (pesq.NoUtterancesError, pesq.BufferTooShortError):
        return math.nan


def stoi(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Short-time objective intelligibility, at most 1 (Taal et al., IEEE TASLP 2011).

    Arguments and errors as `pesq_wb`; NaN for a silent or non-finite signal and for less than about 0.4 s of speech.
    """
    return _intelligibility(estimate, reference, extended=False)


def estoi(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Extended STOI (Jensen and Taal, IEEE TASLP 2016), for modulated maskers; otherwise as `stoi`."""
    return _intelligibility(estimate, reference, extended=True)


def _intelligibility(estimate: np.ndarray, reference: np.ndarray, extended: bool) -> float:
    estimate, reference = _pair(estimate, reference)
    if len(reference) < SHORTEST_STOI or not (audible(estimate) and audible(reference)):
        return math.nan
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Not enough STFT frames")  # pystoi would return 1e-5
        try:
            return float(pystoi.stoi(reference, estimate, SAMPLE_RATE, extended=extended))
        except RuntimeWarning:
            return math.nan


def audible(signal: np.ndarray) -> bool:
    """Whether a signal (samples,) is finite and not constant: silence and an offset alone have no quality."""
    return len(signal) > 0 and bool(np.isfinite(signal).all()) and float(np.ptp(signal)) > 0


def _pair(estimate: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    estimate, reference = np.asarray(estimate, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if estimate.ndim != 1 or estimate.shape != reference.shape:
        raise ValueError(
            f"expected two signals of shape (samples,) and one length, not {estimate.shape} and {reference.shape}"
        )
    return estimate, reference
