"""Whose mouth moves with the sound.

A face's score joins how much its mouth moves, beyond what moves around it, with how this movement follows the level of
the sound and its changes. The weights are those by which 40 composed clips of two faces, one talking, are told apart
best (`benchmarks/two_faces.py`); left out one by one, all 40 are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from supernet.data.lips.faces import Track
from supernet.data.lips.find import Faces, near_mouth, patch
from supernet.data.lips.smoothing import gaussian, median
from supernet.timing import FRAME_RATE, SAMPLES_PER_FRAME

BAND = (200, 4000)  # Hz of speech
WINDOW = 2 * SAMPLES_PER_FRAME
LAGS = range(-1, 5)  # pictures by which lips may lead or follow
SMOOTH = 1.5  # pictures, one deviation
LOUDER, CHANGE, FLUX = 1.09, 0.72, 0.95  # weights of what movement agrees with
MUCH, USUAL = 1.24, 0.77  # and of how much it is: its 80th percentile and its median, on a scale of logarithms
FLOOR = 0.1  # grey levels added to them
STILL = 0.25  # grey levels; a mouth that moves less, four fifths of the time, is hidden or does not talk
LEAST = FRAME_RATE // 2  # pairs of pictures, under which nothing is said


@dataclass(frozen=True)
class Heard:
    """What of a sound lips follow, 25 times a second, arrays (frames,)."""

    level: np.ndarray
    change: np.ndarray
    flux: np.ndarray

    @classmethod
    def of(cls, blocks: Iterable[np.ndarray]) -> Heard:
        """Of sound at 16 kHz, blocks of float32 (samples,) in order."""
        bins = slice(*(round(edge * WINDOW / 16_000) for edge in BAND))
        window, spectra, rest = np.hanning(WINDOW), [], np.zeros(WINDOW // 4)
        for block in (*blocks, np.zeros(WINDOW)):
            rest = np.concatenate([rest, block])
            if len(rest) >= WINDOW:
                frames = np.lib.stride_tricks.sliding_window_view(rest, WINDOW)[::SAMPLES_PER_FRAME]
                spectra.append(np.square(np.abs(np.fft.rfft(frames * window)[:, bins])))
                rest = rest[len(frames) * SAMPLES_PER_FRAME :]
        power = np.concatenate(spectra)
        level = np.log(power.sum(1) + 1e-9)
        bands = np.log(power + 1e-9)
        change = np.abs(np.gradient(gaussian(level, 1.0)))
        flux = np.sqrt(np.square(np.gradient(gaussian(bands, 1.0), axis=0)).mean(1))
        return cls(*(gaussian(values, SMOOTH) for values in (level, change, flux)))


def movement(faces: Faces, track: Track) -> tuple[np.ndarray, np.ndarray]:
    """How much the mouth of one face moves, beyond what moves around it: indices of pictures, and grey levels.

    It is known between the pairs of pictures that were kept, evenly over the video.
    """
    frames, boxes, near = np.array(track.frames), np.array(track.faces), near_mouth()
    indices, moved = [], []
    for index, *pair in faces.pairs.pairs:
        place = int(np.searchsorted(frames, index))
        if place + 1 == len(frames) or frames[place] != index or frames[place + 1] != index + 1:
            continue
        around = boxes[max(0, place - 4) : place + 6, :2]
        middle, step = np.median(around, axis=0), np.median(np.diff(around, axis=0), axis=0)
        a, b = (
            patch(picture, np.array([*(middle + half * step), track.width]) * faces.pairs.scale)
            for half, picture in zip((-0.5, 0.5), pair, strict=True)
        )
        difference = np.abs(a - b)
        indices.append(index)
        moved.append(float(np.average(difference, weights=near) - np.average(difference, weights=1 - near)))
    return np.array(indices, int), np.array(moved)


@dataclass(frozen=True)
class Speaking:
    """How far a face speaks: `score`, by which faces of one video are compared, and whether its mouth moves at all."""

    score: float
    moves: bool


def speaking(faces: Faces, track: Track, heard: Heard) -> Speaking:
    """Of one face of a video, against the sound that goes with it."""
    indices, moved = movement(faces, track)
    if len(indices) < LEAST:
        return Speaking(-np.inf, True)
    moved = median(np.maximum(moved, 0), 3)
    much, usual = np.percentile(moved, 80), np.median(moved)
    lips = gaussian(np.sqrt(moved), SMOOTH)
    amount = float(MUCH * np.log(much + FLOOR) + USUAL * np.log(usual + FLOOR))
    return Speaking(amount + agreement(lips, indices, heard), bool(much > STILL))


def agreement(lips: np.ndarray, indices: np.ndarray, heard: Heard) -> float:
    """How well the movement of a mouth, (pictures,), at the pictures that `indices` name, follows a sound."""
    score = 0.0
    for weight, values in ((LOUDER, heard.level), (CHANGE, heard.change), (FLUX, heard.flux)):
        last = len(values) - 1
        score += weight * max(_correlation(lips, values[np.clip(indices + lag, 0, last)]) for lag in LAGS)
    return score


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-12))
