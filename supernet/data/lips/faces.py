"""Faces in a video: found in every picture, linked to tracks, and whose face is the talker's. The rules:

- OpenCV's frontal Haar cascade looks where the faces were in the picture before, and at the whole picture when one is
  not there any more and once a second. Where there is no frontal face, the profile cascade looks to both sides.
- A face belongs to the track whose last box it overlaps well, however long ago that was; any other begins a track.
- The talker is the track with the largest sum of box areas, near and long in the picture. Where that face is absent,
  as after a cut, the next largest track shows the talker that was never seen together with it, is half to twice as wide
  and was seen for half a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from supernet.timing import FRAME_RATE

CASCADES = Path(cv2.__file__).parent / "data"
SEARCH_WIDTH = 480  # pixels; larger pictures are reduced to it before the search
SMALLEST_FACE = 1 / 6  # of the picture's height
WHOLE_EVERY = FRAME_RATE  # pictures from one search of the whole picture to the next
AROUND = 0.4  # how far beyond each side of the last box is searched, in widths
LINKED = 0.5  # how far a face moves at most from one picture to the next, in widths of its box
SAME = 0.3  # closer than that, two boxes are one face
STEP = 1.25  # how much a box grows or shrinks from one picture to the next
GROWTH = 1.5  # how much it grows or shrinks while it is out of sight
LEAST_SEEN = FRAME_RATE // 2  # pictures of a track that may stand in for the talker's
FRONTAL, PROFILE = "frontalface_alt2", "profileface"


class Face(NamedTuple):
    """The square box of a face: its centre and its side, in pixels; (0, 0) is the corner of the first pixel."""

    x: float
    y: float
    width: float


@dataclass
class Track:
    """One face through a video."""

    frames: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    @property
    def area(self) -> float:
        return sum(face.width**2 for face in self.faces)

    @property
    def width(self) -> float:
        return float(np.median([face.width for face in self.faces]))


class Finder:
    """All faces of one picture after the other. It remembers where the last ones were."""

    def __init__(self) -> None:
        self._last: list[Face] = []
        self._since_whole = 0

    def __call__(self, picture: np.ndarray) -> list[Face]:
        """Faces in a grey picture, uint8 (height, width)."""
        small, scale = reduced(picture)
        self._since_whole += 1
        followed = [_near(small, face) for face in self._last] if self._since_whole < WHOLE_EVERY else []
        faces = [face for face in followed if face]
        if not faces or len(faces) < len(followed):
            least, most = int(SMALLEST_FACE * small.shape[0]), min(small.shape)
            faces = _search(FRONTAL, small, least, most) or _search(PROFILE, small, least, most)
            self._since_whole = 0
        self._last = _distinct(faces)
        return [Face(*(value / scale for value in face)) for face in self._last]


def reduced(picture: np.ndarray) -> tuple[np.ndarray, float]:
    """The picture as it is searched, at most 480 pixels wide, and its scale."""
    scale = min(1.0, SEARCH_WIDTH / picture.shape[1])
    if scale == 1:
        return picture, scale
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def link(found: Iterable[Sequence[Face]]) -> list[Track]:
    """Tracks through the faces of all pictures, in the order of their beginnings."""
    tracks: list[Track] = []
    for index, faces in enumerate(found):
        pairs = sorted(
            (_distance(track.faces[-1], face), t, f) for t, track in enumerate(tracks) for f, face in enumerate(faces)
        )
        taken_tracks, taken_faces = set(), set()
        for distance, t, f in pairs:
            if distance > LINKED:
                break
            if t not in taken_tracks and f not in taken_faces:
                taken_tracks.add(t)
                taken_faces.add(f)
                tracks[t].frames.append(index)
                tracks[t].faces.append(faces[f])
        tracks += [Track([index], [face]) for f, face in enumerate(faces) if f not in taken_faces]
    return tracks


def talker(tracks: Iterable[Track], main: Track | None = None) -> list[Track]:
    """The tracks that show the talker, the main one first, the largest where not given; no two of them share a picture.
    Empty without a track."""
    ranked = sorted(tracks, key=lambda track: -track.area if track is not main else -np.inf)
    chosen = ranked[:1]
    for track in ranked[1:]:
        alike = 0.5 <= track.width / ranked[0].width <= 2
        if alike and len(track.frames) >= LEAST_SEEN and all(set(track.frames).isdisjoint(o.frames) for o in chosen):
            chosen.append(track)
    return chosen


def _distance(last: Face, face: Face) -> float:
    """How far a face is from where it was last, in widths; infinite when its size does not fit."""
    if not 1 / GROWTH <= face.width / last.width <= GROWTH:
        return np.inf
    return float(np.hypot(face.x - last.x, face.y - last.y) / last.width)


def _near(picture: np.ndarray, last: Face) -> Face | None:
    """The face that was at `last` a picture ago, or None."""
    reach = (0.5 + AROUND) * last.width
    left, top = max(0, int(last.x - reach)), max(0, int(last.y - reach))
    window = picture[top : int(last.y + reach), left : int(last.x + reach)]
    least, most = int(last.width / STEP), int(last.width * STEP)
    faces = _search(FRONTAL, window, least, most) or _search(PROFILE, window, least, most)
    faces = [Face(face.x + left, face.y + top, face.width) for face in faces]
    return min(faces, key=lambda face: _distance(last, face), default=None)


def _search(cascade: str, picture: np.ndarray, least: int, most: int) -> list[Face]:
    """Faces at least `least` and at most `most` pixels wide."""
    faces = []
    for mirrored in (False, True) if cascade == PROFILE else (False,):  # that cascade knows one side only
        view = cv2.flip(picture, 1) if mirrored else picture
        boxes = _cascade(cascade).detectMultiScale(view, 1.1, 5, minSize=(least, least), maxSize=(most, most))
        for x, y, width, height in boxes:
            centre = x + width / 2
            faces.append(Face(view.shape[1] - centre if mirrored else centre, y + height / 2, float(width)))
    return faces


def _distinct(faces: Sequence[Face]) -> list[Face]:
    """The faces without those that lie on an earlier one."""
    distinct: list[Face] = []
    for face in faces:
        if all(_distance(other, face) > SAME for other in distinct):
            distinct.append(face)
    return distinct


@lru_cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(CASCADES / f"haarcascade_{name}.xml"))
