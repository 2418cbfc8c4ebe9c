"""The lip region: 96 x 96 grey pictures of a talker's mouth, 25 a second, by one of three rules.

- `detect`: the talker's face, found in every picture (`lips.faces`). Pictures without it lie between those
  that show it; the centre is smoothed, the size is one for the whole track, and where in the face the mouth is, its
  movement tells. A video that shows the face in less than half of its pictures is refused.
- `face_track`: the middle of a square video that follows a face already, as LRS3 and AVSEC have it: of 224 x 224
  pixels [56:-56].
- `landmarks`: as `detect`, with the faces and mouths of a MediaPipe model (`supernet.data.lips.landmarks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from supernet.data.lips.faces import Face, Finder, Track, link, reduced, talker
from supernet.data.lips.smoothing import gaussian, median
from supernet.errors import UserError
from supernet.media.pictures import read_frames
from supernet.space import REGION

Rule = Literal["detect", "face_track", "landmarks"]

FINDER = 2  # goes up whenever the same video gives other regions
FACE_TRACK_HALF = 1 / 4  # half side of the region, in sides of a face track
LEAST_SHARE = 0.5  # of the pictures, in which the talker must be seen
DOWN_THE_FACE = 0.293  # from the centre of the box to the mouth, in widths, before its movement is known
HALF_SIDE = 0.285  # of the region, in widths of the box
MEDIAN, SIGMA = 5, 2.5  # pictures: outliers go first, then the box's trembling
HELD = 200  # pairs of pictures in which movement is looked for
PATCH = 128  # pixels a face's width has there
PATCH_SIZE = (92, 72)  # of the lower face in which movement is looked for
PATCH_TOP = 0.05  # its upper edge, in widths below the centre of the box
NEARBY = (0.12, 0.09)  # how far off the usual place a mouth is looked for, in widths across and down: one deviation
LOWER_LIP = 0.0233  # by how much movement lies below the midpoint of the mouth's corners, in widths
STILL = 0.3  # grey levels; weaker movement leaves the mouth at its usual place


class NoTalkerError(UserError):
    """No talker's face in a video."""


@dataclass(frozen=True)
class Mouth:
    """Square around the mouth, in pixels of the picture; (0, 0) is the corner of its first pixel."""

    x: float
    y: float
    half_side: float


@dataclass(frozen=True)
class Mouths:
    """The talker in every picture of a video, arrays of (frames,).

    Args:
        x, y, half_side: the square around the mouth, in pixels.
        face_x, face_y, face_width: the face's box, smoothed alike.
        seen: whether the face was found in that picture.
    """

    x: np.ndarray
    y: np.ndarray
    half_side: np.ndarray
    face_x: np.ndarray
    face_y: np.ndarray
    face_width: np.ndarray
    seen: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, frame: int) -> Mouth:
        return Mouth(self.x[frame], self.y[frame], self.half_side[frame])


def lip_regions(path: Path | str, rule: Rule = "detect", model: str | None = None) -> np.ndarray:
    """Lip regions of a video, uint8 (frames, 96, 96). Raises as `iterate_lip_regions` does."""
    return np.stack(list(iterate_lip_regions(path, rule, model)))


def iterate_lip_regions(
    path: Path | str,
    rule: Rule = "detect",
    model: str | None = None,
    watch: Callable[[Iterator[np.ndarray]], Iterable[np.ndarray]] = iter,
) -> Iterator[np.ndarray]:
    """The same, one uint8 (96, 96) at a time: the video is read twice, and never held whole.

    Args:
        path: the video.
        rule: see above.
        model: file of the face landmarker, for `landmarks`.
        watch: wraps the pictures of the first reading, as `tqdm` does.

    Raises:
        NoTalkerError: the talker's face is not found, or in less than half of the pictures.
        UserError: there is no such video, or it is no face track where it must be one.
    """
    if rule == "face_track":
        return _face_track(path)
    mouths = find_mouths(path, rule, model, watch)
    return (crop(frame, mouths[index]) for index, frame in enumerate(read_frames(path)))


def find_mouths(
    path: Path | str,
    rule: Rule = "detect",
    model: str | None = None,
    watch: Callable[[Iterator[np.ndarray]], Iterable[np.ndarray]] = iter,
) -> Mouths:
    """Where the talker's mouth is in every picture of a video. Arguments and errors as above."""
    return find_faces(path, rule, model, watch).mouths()


@dataclass(frozen=True)
class Faces:
    """All faces of a video, after its first reading.

    Args:
        path: of the video.
        frames: how many pictures it has.
        tracks: the faces.
        pairs: pictures with those that follow them.
        offset: from the centre of a face's box to the mouth, in widths; None where its movement tells.
    """

    path: Path
    frames: int
    tracks: list[Track]
    pairs: Pairs
    offset: tuple[float, float] | None

    def mouths(self, main: Track | None = None) -> Mouths:
        """The mouth of one of the tracks, the largest where not given, and of those that stand in for it.

        Raises NoTalkerError when there is none, or it is seen in less than half of the pictures.
        """
        tracks = talker(self.tracks, main)
        seen = sum(len(track.frames) for track in tracks)
        if not seen:
            raise NoTalkerError(f"{self.path}: no face found in any picture; give a video that shows the talker's face")
        if seen < LEAST_SHARE * self.frames:
            raise NoTalkerError(
                f"{self.path}: the talker's face is found in {seen} of {self.frames} pictures, fewer than half; "
                "give a video that shows it longer"
            )
        return _mouths(tracks, self.frames, self.pairs, self.offset)

    def regions(self, mouths: Mouths, sound: int = 1) -> Iterator[np.ndarray]:
        """The lip regions, uint8 (96, 96) each: the video is read a second time."""
        return (crop(frame, mouths[index]) for index, frame in enumerate(read_frames(self.path, sound)))


def find_faces(
    path: Path | str,
    rule: Rule = "detect",
    model: str | None = None,
    watch: Callable[[Iterator[np.ndarray]], Iterable[np.ndarray]] = iter,
    sound: int = 1,
) -> Faces:
    """All faces of a video. Arguments and errors as above, and the number of the sound track that it goes with."""
    if rule == "landmarks":
        from supernet.data.lips.landmarks import landmark_finder

        finder, offset = landmark_finder(model, DOWN_THE_FACE), (0.0, DOWN_THE_FACE)
    else:
        finder, offset = Finder(), None
    pairs, found = Pairs(), []
    for picture in watch(read_frames(path, sound)):
        found.append(finder(picture))
        pairs.add(picture)
    return Faces(Path(path), len(found), link(found), pairs, offset)


def check_rule(rule: Rule, model: str | None) -> None:
    """Raises UserError when the rule needs a package or a file that is not there."""
    if rule == "landmarks":
        from supernet.data.lips.landmarks import landmark_finder

        landmark_finder(model, DOWN_THE_FACE)


def crop(frame: np.ndarray, mouth: Mouth) -> np.ndarray:
    """The square around the mouth, uint8 (96, 96); edge pixels are repeated where it leaves the picture."""
    side = max(2, round(2 * mouth.half_side))
    square = cv2.getRectSubPix(frame, (side, side), (mouth.x - 0.5, mouth.y - 0.5))  # it counts from a pixel's middle
    return cv2.resize(square, (REGION, REGION), interpolation=cv2.INTER_AREA if side > REGION else cv2.INTER_LINEAR)


class Pairs:
    """Pictures with those that follow them, evenly over a video of any length, and at most `HELD` of them."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, np.ndarray, np.ndarray]] = []  # index of the first, both pictures
        self.scale = 1.0
        self._before: np.ndarray | None = None
        self._index, self._every = 0, 1

    def add(self, picture: np.ndarray) -> None:
        small, self.scale = reduced(picture)
        if self._before is not None and (self._index - 1) % self._every == 0:
            self.pairs.append((self._index - 1, self._before, small))
        if len(self.pairs) > HELD:
            self._every *= 2
            self.pairs = [pair for pair in self.pairs if pair[0] % self._every == 0]
        self._before = small
        self._index += 1


def _face_track(path: Path | str) -> Iterator[np.ndarray]:
    for frame in read_frames(path):
        height, width = frame.shape
        if height != width:
            raise UserError(
                f"{path}: is {width} x {height} pixels, and a face track is square; use data.lip_region: detect"
            )
        yield crop(frame, Mouth(width / 2, height / 2, FACE_TRACK_HALF * width))


def _mouths(tracks: Sequence[Track], frames: int, pairs: Pairs, offset: tuple[float, float] | None) -> Mouths:
    """Each picture belongs to the track seen nearest to it in time; each run of one track is smoothed by itself."""
    owner = np.full(frames, -1)
    for number, track in enumerate(tracks):
        owner[track.frames] = number
    seen = owner >= 0
    shown = np.flatnonzero(seen)
    middles = (shown[:-1] + shown[1:]) / 2
    owner = owner[shown[np.searchsorted(middles, np.arange(frames))]]
    boxes = np.zeros((frames, 3))
    places = np.zeros((frames, 2))
    for number, track in enumerate(tracks):
        own = np.flatnonzero(owner == number)
        faces = np.array(track.faces)
        for run in np.split(own, np.flatnonzero(np.diff(own) > 1) + 1):
            inside = np.isin(track.frames, run)
            x, y = (smooth(np.interp(run, np.array(track.frames)[inside], faces[inside, axis])) for axis in (0, 1))
            boxes[run] = np.stack([x, y, np.full(len(run), track.width)], axis=1)
        places[own] = offset or _place(boxes, owner == number, pairs)
    x, y = (boxes[:, :2] + places * boxes[:, 2:]).T
    face_x, face_y, face_width = boxes.T
    return Mouths(x, y, HALF_SIDE * face_width, face_x, face_y, face_width, seen)


def smooth(values: np.ndarray) -> np.ndarray:
    """A coordinate (frames,) without outliers and trembling, ahead of or behind the face nowhere."""
    return gaussian(median(values, MEDIAN, "edge"), SIGMA, "edge")


def _place(boxes: np.ndarray, own: np.ndarray, pairs: Pairs) -> tuple[float, float]:
    """Where in a face the mouth is, (across, down) in widths from the centre of the box.

    It is the centre of what moves in the lower face while the face itself is held still, near a mouth's usual place.
    """
    width, height = PATCH_SIZE
    moved, count = np.zeros((height, width), np.float32), 0
    for index, first, second in pairs.pairs:
        if own[index] and own[index + 1]:
            patches = [patch(p, boxes[n] * pairs.scale) for p, n in ((first, index), (second, index + 1))]
            moved += np.abs(patches[0] - patches[1])
            count += 1
    moved /= max(1, count)
    down, across = np.mgrid[:height, :width] + 0.5
    near = near_mouth()
    weight = (np.clip(moved - np.percentile(moved, 30), 0, None) ** 2 + STILL**2) * near
    x, y = (weight * across).sum() / weight.sum(), (weight * down).sum() / weight.sum()
    return (x - width / 2) / PATCH, y / PATCH + PATCH_TOP - LOWER_LIP


def near_mouth() -> np.ndarray:
    """How near to a mouth's usual place each pixel of the lower face is, up to 1, (height, width)."""
    width, height = PATCH_SIZE
    x0, y0 = width / 2, (DOWN_THE_FACE + LOWER_LIP - PATCH_TOP) * PATCH
    down, across = np.mgrid[:height, :width] + 0.5
    return np.exp(-(((across - x0) / (NEARBY[0] * PATCH)) ** 2 + ((down - y0) / (NEARBY[1] * PATCH)) ** 2) / 2)


def patch(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The lower face, float32 (height, width), blurred a little: a box is never quite still."""
    face, scale = Face(*box), PATCH / box[2]
    left, top = face.x - PATCH_SIZE[0] / 2 / scale, face.y + PATCH_TOP * face.width
    # warpAffine counts from the middle of a pixel, boxes from its corner
    shift = 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, shift - left * scale], [0, scale, shift - top * scale]])
    patch = cv2.warpAffine(picture, matrix, PATCH_SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.GaussianBlur(patch.astype(np.float32), (0, 0), 1.5)
