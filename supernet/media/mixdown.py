"""Channels to one, or to two, so that the voice is heard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CENTRE, LFE = "FC", ("LFE", "LFE2")
FRONT = ("FL", "FR", "FLC", "FRC")
ANTIPHASE = 0.1  # the power of the sum against that of the channels, from which on they cancel


def to_mono(names: Sequence[str], heard: np.ndarray) -> np.ndarray:
    """Weights (channels,) of the channels in the one that is enhanced.

    In surround sound the centre, where voices are, leads, and the low-frequency effects stay out; elsewhere it is the
    mean. Where two channels cancel in it, the second is turned round.

    Args:
        names: of the channels, as FFmpeg has them.
        heard: some of the sound, (samples, channels), by which two channels are compared.
    """
    if CENTRE in names and len(names) > 1:
        return np.array([_weight(name) for name in names], np.float32)
    weights = np.full(len(names), 1 / len(names), np.float32)
    if len(names) == 2 and len(heard):
        apart = np.square(heard, dtype=float).sum()
        if np.square(heard.sum(1), dtype=float).sum() < ANTIPHASE * apart:
            weights[1] *= -1
    return weights


def to_stereo(names: Sequence[str]) -> np.ndarray:
    """Weights (channels, 2) of the channels in a left and a right one, the centre in both."""
    if len(names) == 1:
        return np.ones((1, 2), np.float32)
    if len(names) == 2:
        return np.eye(2, dtype=np.float32)
    if CENTRE not in names and "FL" not in names:
        return np.full((len(names), 2), 1 / len(names), np.float32)
    weights = np.zeros((len(names), 2), np.float32)
    for place, name in enumerate(names):
        sides = [0] if name.endswith("L") else [1] if name.endswith("R") else [0, 1]
        weights[place, sides] = 0 if name in LFE else 1 if name in ("FL", "FR") else 0.71
    return weights


def _weight(name: str) -> float:
    return 1.0 if name == CENTRE else 0.0 if name in LFE else 0.71 if name in FRONT else 0.5
