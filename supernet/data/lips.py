"""The lip region: 96 x 96 grey pictures of a talker's mouth, 25 a second.

Used by `supernet.data.preparing` to prepare corpora, and by `supernet.deploy` to enhance a video. The face is found by
OpenCV's frontal Haar cascade; one box, the median over the clip, keeps the region still while the mouth moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from supernet.data.media import read_frames
from supernet.errors import UserError

REGION = 96  # pixels, the convention of the field; networks see 88 x 88 of it
EVERY = 5  # frames from one face search to the next
SEARCH_WIDTH = 480  # pixels; larger pictures are reduced to it before the search
SMALLEST_FACE = 1 / 6  # of the picture's height
DOWN_THE_FACE = 0.78  # mouth centre, in heights of the face box
HALF_SIDE = 0.28  # of the region, in widths of the face box


@dataclass(frozen=True)
class Mouth:
    """Square around the mouth, in pixels of the picture."""

    x: float
    y: float
    half_side: float


def lip_regions(path: Path | str) -> np.ndarray:
    """Lip regions of a video, uint8 (frames, 96, 96). Raises UserError when no face is found, or no video."""
    return np.stack(list(iterate_lip_regions(path)))


def iterate_lip_regions(path: Path | str) -> Iterator[np.ndarray]:
    """The same, one uint8 (96, 96) at a time: the video is read twice, and never held whole."""
    mouth = find_mouth(read_frames(path))
    if mouth is None:
        raise UserError(f"{path}: no frontal face found in any frame; give a video that shows the talker's face")
    return (crop(frame, mouth) for frame in read_frames(path))


def find_mouth(frames: Iterable[np.ndarray]) -> Mouth | None:
    """Mouth of the largest face, by the median box of the clip; None when no frame shows a face.

    `frames`: grey pictures, uint8 (height, width); each fifth one is searched.
    """
    boxes = [box for box in map(_face, islice(frames, 0, None, EVERY)) if box is not None]
    if not boxes:
        return None
    x, y, width, height = np.median(boxes, axis=0)
    return Mouth(x + width / 2, y + DOWN_THE_FACE * height, HALF_SIDE * width)


def crop(frame: np.ndarray, mouth: Mouth) -> np.ndarray:
    """The square around the mouth, uint8 (96, 96); edge pixels are repeated where it leaves the picture."""
    half = max(1, round(mouth.half_side))
    left, top = round(mouth.x) - half, round(mouth.y) - half
    padded = cv2.copyMakeBorder(frame, half, half, half, half, cv2.BORDER_REPLICATE)
    square = padded[top + half : top + 3 * half, left + half : left + 3 * half]
    return cv2.resize(square, (REGION, REGION), interpolation=cv2.INTER_AREA)


def _face(frame: np.ndarray) -> np.ndarray | None:
    """Largest face (x, y, width, height) in pixels of `frame`, or None."""
    scale = min(1.0, SEARCH_WIDTH / frame.shape[1])
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else frame
    least = int(SMALLEST_FACE * small.shape[0])
    faces = _cascade().detectMultiScale(small, scaleFactor=1.1, minNeighbors=5, minSize=(least, least))
    return max(faces, key=lambda box: box[2] * box[3]) / scale if len(faces) else None


@lru_cache(maxsize=1)
def _cascade() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
