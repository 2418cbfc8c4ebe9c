"""The lips of a video's talkers, as the network sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from supernet.data.lips.faces import Track
from supernet.data.lips.find import Faces, NoTalkerError, Rule, find_faces, iterate_lip_regions
from supernet.data.lips.speaking import Heard, Speaking, speaking
from supernet.errors import UserError
from supernet.media.sound import Sound
from supernet.space import PIXELS, REGION

LONG_ENOUGH = 0.5  # of the pictures, in which a face must be seen to be somebody's who may talk
PLACES = ("left", "right")
INNER = slice((REGION - PIXELS) // 2, (REGION - PIXELS) // 2 + PIXELS)


@dataclass(frozen=True)
class Talker:
    """A talker of a video.

    Args:
        name: the place of the face among the others, such as `left`; empty where there is one.
        lips: uint8 (88, 88) each, 25 a second; None where they are hidden.
        words: what should be said of the choice.
    """

    name: str
    lips: Iterator[np.ndarray] | None
    words: tuple[str, ...] = ()


def talkers(
    path: Path, sound: Sound, face: str | None = None, rule: Rule = "detect", landmark_model: str | None = None
) -> list[Talker]:
    """The talker of a video; or all of them. The video is read twice, and never held whole.

    Args:
        path: the video.
        sound: what is to be enhanced.
        face: `left`, `right`, a number from the left, a point `x,y` in pixels, or `all`; the one whose mouth moves with
            the sound where not given.
        rule: how the mouth is found; see `supernet.data.lips.find`.
        landmark_model: file of the face landmarker, for `landmarks`.

    Raises UserError when the file has no video, or no such face is found in it.
    """
    if rule == "landmarks" and landmark_model is None:
        raise UserError(
            f"landmark_model: not given, to find the lips in {path}; name MediaPipe's file, or use lip_region: detect"
        )
    number = sound.track.number if path == sound.path else 1
    if rule == "face_track":
        return [Talker("", (region[INNER, INNER] for region in iterate_lip_regions(path, rule)))]
    watch = partial(tqdm, desc=f"find the mouth in {path.name}", unit=" frames", mininterval=1)
    try:
        faces = find_faces(path, rule, landmark_model, watch, number)
        return _chosen(faces, sound, face, number)
    except NoTalkerError as error:
        raise UserError(f"{error} with --lips VIDEO, or use --no_lips to enhance from the sound alone") from error


def _chosen(faces: Faces, sound: Sound, face: str | None, number: int) -> list[Talker]:
    faces.mouths()  # raises where there is no face
    largest = max(faces.tracks, key=lambda track: track.area)
    long = [t for t in faces.tracks if len(t.frames) >= LONG_ENOUGH * faces.frames] or [largest]
    people = sorted(long, key=_across)
    heard = Heard.of(block[:, 0] for block in sound.again().blocks())
    scores = [speaking(faces, track, heard) for track in people]
    names = _names(len(people))
    if face == "all":
        return [_talker(faces, t, name, s, (), number) for t, name, s in zip(people, names, scores, strict=True)]
    place = _place(faces.path, people, face) if face else max(range(len(people)), key=lambda i: scores[i].score)
    words: tuple[str, ...] = ()
    if len(people) > 1:
        why = "" if face else ", whose mouth moves with the sound"
        words = (f"of {len(people)} faces the one {_where(names[place])}{why}; --face chooses another",)
    return [_talker(faces, people[place], "", scores[place], words, number)]


def _talker(faces: Faces, track: Track, name: str, speaks: Speaking, words: tuple[str, ...], number: int) -> Talker:
    if not speaks.moves:
        who = f"of the face {_where(name)}" if name else "that is shown"
        hidden = f"the mouth {who} does not move with the sound; its lips are left out"
        return Talker(name, None, (*words, hidden))
    regions = faces.regions(faces.mouths(track), number)
    return Talker(name, (region[INNER, INNER] for region in regions), words)


def _across(track: Track) -> float:
    return float(np.median([face.x for face in track.faces]))


def _names(count: int) -> list[str]:
    """Of people from left to right."""
    if count == 1:
        return [""]
    return list(PLACES) if count == 2 else [str(place) for place in range(1, count + 1)]


def _where(name: str) -> str:
    return f"on the {name}" if name in PLACES else f"no. {name} from the left"


def _place(path: Path, people: list[Track], face: str) -> int:
    """Which of the people from left to right is meant. Raises UserError where there is no such face."""
    if face in PLACES:
        return 0 if face == "left" else len(people) - 1
    if re.fullmatch(r"\d+", face) and 1 <= int(face) <= len(people):
        return int(face) - 1
    if point := re.fullmatch(r"(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", face):
        x, y = (float(value) for value in point.groups())
        for place, track in enumerate(people):
            inside = [abs(f.x - x) <= f.width / 2 and abs(f.y - y) <= f.width / 2 for f in track.faces]
            if np.mean(inside) > 0.5:
                return place
    found = f"{len(people)} face{'s' * (len(people) > 1)} in {path.name}"
    raise UserError(f"face: {face} is none of the {found}; use left, right, a number from the left, x,y or all")
