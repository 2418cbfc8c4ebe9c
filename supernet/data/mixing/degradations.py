"""Lips as bad video shows them: black, frozen, occluded, of low resolution, delayed, with frames dropped."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

LONGEST_DELAY = 5  # video frames, 200 ms
PATCH = (0.35, 0.65)  # sides of what hides the mouth, of those of the region
REDUCTION = (4.0, 10.0)  # a region of 96 pixels comes from one of 24 to 9.6
DROPPED = (0.2, 0.6)  # share of the frames

Shown = np.ndarray  # int (frames,): which frame of the clip is on the screen
Pictures = np.ndarray  # uint8 (frames, 96, 96)


def frozen(shown: Shown, generator: np.random.Generator) -> Shown:
    """The picture stands still from some moment in the first half on."""
    return np.minimum(shown, shown[generator.integers(len(shown) // 2 + 1)])


def delayed(shown: Shown, generator: np.random.Generator) -> Shown:
    """The picture is 40 to 200 ms late, or early."""
    return shown + generator.choice([-1, 1]) * generator.integers(1, LONGEST_DELAY + 1)


def dropped(shown: Shown, generator: np.random.Generator) -> Shown:
    """Frames are lost, 20 to 60 % of them; the last one that came stays on the screen."""
    lost = generator.random(len(shown)) < generator.uniform(*DROPPED)
    lost[0] = False
    return shown[np.maximum.accumulate(np.where(lost, 0, np.arange(len(shown))))]


def black(pictures: Pictures, generator: np.random.Generator) -> Pictures:
    """A dark lens."""
    return np.zeros_like(pictures)


def occluded(pictures: Pictures, generator: np.random.Generator) -> Pictures:
    """A plain grey patch, a hand or a microphone, over the middle of the region and beyond, and it stays there."""
    size = pictures.shape[1]
    height, width = (size * generator.uniform(*PATCH, 2)).astype(int)
    top, left = size // 2 - generator.integers(height), size // 2 - generator.integers(width)
    covered = pictures.copy()
    covered[:, max(top, 0) : top + height, max(left, 0) : left + width] = generator.integers(256)
    return covered


def low_resolution(pictures: Pictures, generator: np.random.Generator) -> Pictures:
    """A face far away: reduced 4 to 10 times and enlarged again."""
    size = pictures.shape[1]
    small = max(1, round(size / generator.uniform(*REDUCTION)))
    reduced = (cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA) for picture in pictures)
    return np.stack([cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR) for picture in reduced])


IN_TIME: dict[str, Callable[[Shown, np.random.Generator], Shown]] = {
    "frozen": frozen,
    "delayed": delayed,
    "dropped": dropped,
}
IN_PICTURE: dict[str, Callable[[Pictures, np.random.Generator], Pictures]] = {
    "black": black,
    "occluded": occluded,
    "low_resolution": low_resolution,
}


def degrade(clip: Pictures, start: int, frames: int, kind: str, generator: np.random.Generator) -> Pictures:
    """Frames `start` to `start + frames` of a clip's lips, degraded: uint8 (frames, 96, 96), a pure function of its
    arguments. A delay shows what the clip has before or after; where it has nothing, its first or last picture stands.

    Raises KeyError for an unknown `kind`.
    """
    shown = np.arange(start, start + frames)
    if kind in IN_TIME:
        return clip[np.clip(IN_TIME[kind](shown, generator), 0, len(clip) - 1)]
    return IN_PICTURE[kind](clip[shown], generator)
