"""From phonemes to what the lips do: five articulators on the video's time grid.

Coarticulation follows the dominance idea of Cohen and Massaro (1993): each phoneme pulls with a weight, and the
articulators take the weighted mean, so that lips close for a short /p/ but hardly move for an /h/.
"""

from __future__ import annotations

import numpy as np

from supernet.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

OPENING, WIDTH, ROUNDING, TEETH, TONGUE = range(5)  # the articulators, columns of a track

STEP = 80  # samples between the points on which targets are smoothed: 5 ms, eight points a video frame
REACH = 0.09  # seconds over which neighbouring phonemes blend; symmetric, so that it makes lips neither early nor late
LEAD = 160  # samples by which lips move before the sound: 10 ms, where opening and loudness agree best
EFFORT = 0.4  # share of the opening that goes with loudness: who speaks up opens the mouth
DIPHTHONG_TURN = 0.55  # share of a diphthong that belongs to its first vowel
STRESS = {"ˈ": 1.15, "ˌ": 1.0}  # factor on the opening
UNSTRESSED = 0.85

#        symbols: opening  width  rounding  teeth  tongue  weight
_TARGETS = {
    "iᵻ": (0.26, 0.9, 0.0, 0.7, 0.3, 1.0),
    "ɪ": (0.36, 0.5, 0.0, 0.6, 0.3, 1.0),
    "e": (0.48, 0.6, 0.0, 0.6, 0.3, 1.0),
    "ɛæ": (0.68, 0.5, 0.0, 0.6, 0.3, 1.2),
    "aɐʌ": (0.88, 0.2, 0.0, 0.5, 0.2, 1.2),
    "ɑ": (1.00, 0.0, 0.0, 0.4, 0.2, 1.2),
    "ɒ": (0.80, -0.2, 0.4, 0.3, 0.1, 1.2),
    "ɔ": (0.64, -0.2, 0.7, 0.2, 0.1, 1.2),
    "o": (0.50, -0.2, 0.8, 0.1, 0.1, 1.2),
    "əɜɚ": (0.44, 0.1, 0.1, 0.4, 0.2, 0.8),
    "ʊʉ": (0.32, -0.1, 0.8, 0.2, 0.1, 1.2),
    "u": (0.22, -0.2, 1.0, 0.1, 0.1, 1.3),
    "pbm": (-0.12, 0.0, 0.0, 0.0, 0.0, 4.0),  # below zero: the lips are pressed, and a short closure is seen
    "fv": (0.06, 0.1, 0.0, 1.0, 0.0, 3.0),
    "wʍ": (0.10, -0.2, 1.0, 0.0, 0.0, 2.5),
    "θð": (0.18, 0.2, 0.0, 0.8, 1.0, 1.5),
    "tdnszɾ": (0.12, 0.3, 0.0, 1.0, 0.3, 1.2),
    "l": (0.22, 0.2, 0.0, 0.7, 0.8, 1.0),
    "ʃʒ": (0.16, -0.2, 0.7, 1.0, 0.1, 1.8),
    "ɹr": (0.20, -0.1, 0.5, 0.5, 0.2, 1.0),
    "jʲ": (0.20, 0.7, 0.0, 0.7, 0.4, 0.8),
    "kɡŋxʔ": (0.20, 0.1, 0.0, 0.5, 0.1, 0.6),
    "h": (0.30, 0.1, 0.0, 0.5, 0.1, 0.2),
}
TARGETS = {symbol: np.array(target, np.float32) for symbols, target in _TARGETS.items() for symbol in symbols}
SILENCE = np.array((0.0, 0.0, 0.0, 0.0, 0.0, 1.0), np.float32)
_MARKS = "ˈˌː:\u0329\u032a"  # stress, length, syllabic, dental: no articulator of their own


def viseme_track(phonemes: list[tuple[int, str]], speech: np.ndarray) -> np.ndarray:
    """The articulators of a talker, float32, shape (frames, 5); row f is their mean over samples 640 f .. 640 (f + 1).

    Args:
        phonemes: (start sample, IPA symbols) in order of time; each lasts until the next, the last until the end of the
            speech. Silence before the first. Samples may be negative: what was spoken before the excerpt began.
        speech: 16 kHz, shape (640 frames,).

    Raises:
        ValueError: a symbol without a target.
    """
    points = len(speech) // STEP
    targets = np.tile(SILENCE, (points, 1))
    ends = [start for start, _ in phonemes[1:]] + [len(speech) + LEAD]
    for (start, symbols), end in zip(phonemes, ends, strict=False):
        for part_start, part_end, target in _parts(start, end, symbols):
            targets[max(part_start - LEAD, 0) // STEP : max(part_end - LEAD, 0) // STEP] = target
    values, weights = targets[:, :-1], targets[:, -1:]
    smooth = _blend(values * weights) / _blend(weights)
    loudness = np.sqrt(_blend(np.mean(speech.reshape(points, STEP) ** 2, axis=1, keepdims=True)))[:, 0]
    loudness /= np.quantile(loudness, 0.9)
    smooth[:, OPENING] *= 1 - EFFORT + EFFORT * np.minimum(loudness, 1.5)
    points_per_frame = SAMPLES_PER_FRAME // STEP
    track = smooth.reshape(-1, points_per_frame, smooth.shape[1]).mean(axis=1)
    track[:, OPENING] = np.maximum(track[:, OPENING], 0)
    return track


def _parts(start: int, end: int, symbols: str) -> list[tuple[int, int, np.ndarray]]:
    """(start, end, target) of what one phoneme consists of: one part, or two of a diphthong or an affricate."""
    sounds = [symbol for symbol in symbols if symbol not in _MARKS]
    if not sounds:
        return [(start, end, SILENCE)]
    if unknown := [symbol for symbol in sounds if symbol not in TARGETS]:
        raise ValueError(f"phoneme {symbols!r}: no mouth shape for {unknown}")
    stress = STRESS.get(symbols[0], UNSTRESSED)
    scale = np.array((stress, 1, 1, 1, 1, 1), np.float32)
    if len(sounds) == 1:
        return [(start, end, TARGETS[sounds[0]] * scale)]
    turn = start + round(DIPHTHONG_TURN * (end - start))
    return [(start, turn, TARGETS[sounds[0]] * scale), (turn, end, TARGETS[sounds[-1]] * scale)]


def _blend(signals: np.ndarray) -> np.ndarray:
    """Each column of (points, columns) smoothed by a symmetric window of `REACH`, edges held."""
    half = round(REACH * SAMPLE_RATE / STEP / 2)
    window = np.hanning(2 * half + 3)[1:-1].astype(np.float32)
    padded = np.pad(signals, ((half, half), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, window / window.sum(), "valid") for column in padded.T], axis=1)
