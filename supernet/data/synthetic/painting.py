"""A drawn mouth: the lip region of a synthetic talker, 96 x 96 grey at 25 fps.

The mouth is painted from top to bottom: each layer covers all that is below its contour, the last puts the skin back.
The painted face is then moved with the head, and gets the camera's noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from supernet.data.synthetic.visemes import OPENING, ROUNDING, TEETH, TONGUE, WIDTH
from supernet.space import REGION
from supernet.timing import FRAME_RATE

CANVAS = 112  # pixels of what is painted: a margin for the motion of the head
CENTRE = CANVAS // 2
ROWS = slice(24, 100)  # the part of the canvas that a mouth can reach
COLUMNS = slice(20, 92)
FRAMES_AT_ONCE = 16  # frames painted together: their pixels stay in the cache
OWN_SIZE: Any = None  # of a kernel: as its deviation asks
NOWHERE = 1e4  # row of a contour beside the mouth: paints nothing

_X = np.arange(CANVAS, dtype=np.float32) - CENTRE
_MOUTH_X = _X[COLUMNS]
_MOUTH_Y = _X[ROWS][:, None]


@dataclass(frozen=True)
class Face:
    """What stays the same in all clips of a speaker; lengths in pixels, tones in 0 .. 255."""

    half_width: float  # of the closed mouth
    upper_lip: float  # thickness
    lower_lip: float
    bow: float  # depth of the notch in the upper lip
    corners: float  # height of the corners over the middle of the closed mouth
    gape: float  # opening of an /ɑ/
    skew: float  # slope of the mouth
    upper_share: float  # of the opening that the upper lip makes
    teeth: float  # visible length of the upper teeth
    blur: float  # width of an edge in the picture
    tone: float  # of the skin
    lips: float  # tone of the lips as a share of the skin's
    cavity: float  # tone of the dark inside
    enamel: float  # tone of the teeth
    noise: float  # of the camera
    skin: np.ndarray  # float32 (112, 112), the face without a mouth
    light: np.ndarray  # float32 (112,), brightness along a row

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Face:
        """The face of a speaker: all of it from `rng`."""
        tone = rng.uniform(95, 190)
        light = (1 + rng.uniform(-0.25, 0.25) * _X / CENTRE).astype(np.float32)
        return cls(
            half_width=rng.uniform(20, 26),
            upper_lip=rng.uniform(3.5, 7.5),
            lower_lip=rng.uniform(5, 9.5),
            bow=rng.uniform(0.3, 2.2),
            corners=rng.uniform(-2.5, 2.5),
            gape=rng.uniform(26, 34),
            skew=rng.uniform(-0.04, 0.04),
            upper_share=rng.uniform(0.2, 0.35),
            teeth=rng.uniform(3, 6.5),
            blur=rng.uniform(1.2, 2.2),
            tone=tone,
            lips=rng.uniform(0.62, 0.84),
            cavity=rng.uniform(12, 34),
            enamel=min(tone * rng.uniform(1.05, 1.3), 225),
            noise=rng.uniform(0.8, 3),
            skin=_skin(rng, tone, light),
            light=light,
        )


def render(face: Face, track: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The lip region of a talker, uint8, shape (frames, 96, 96).

    Args:
        track: the articulators, shape (frames, 5), from `viseme_track`.
        rng: draws the motion of the head, the flicker of the light and the noise of the camera of this clip.
    """
    frames = len(track)
    painted = np.empty((frames, CANVAS, CANVAS), np.float32)
    painted[:] = face.skin
    layers = _layers(face, track)
    for start in range(0, frames, FRAMES_AT_ONCE):
        block = slice(start, start + FRAMES_AT_ONCE)
        _paint(painted[block, ROWS, COLUMNS], face, [(row[block], tone) for row, tone in layers])
    return _film(painted, face.noise, rng)


def _layers(face: Face, track: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(contour, tone) from top to bottom.

    Contours (frames, columns) are in rows from the centre; tones are (columns,), or (rows, columns) for skin.
    """
    opening, width, rounding, teeth, tongue = (
        track[:, column, None] for column in (OPENING, WIDTH, ROUNDING, TEETH, TONGUE)
    )
    half_width = face.half_width * (1 + 0.12 * width - 0.3 * rounding - 0.06 * opening)
    across = np.abs(_MOUTH_X) / half_width  # 0 in the middle, 1 at the corners
    arch = np.sqrt(np.clip(1 - across**2, 0, None))
    inner_arch = np.sqrt(np.clip(1 - (across / 0.88) ** 2, 0, None))

    gap = (0.9 + face.gape * opening) * inner_arch  # 0.9: the dark line of a closed mouth
    full = 1 + 0.2 * rounding - 0.08 * width
    notch = face.bow * (np.exp(-((_MOUTH_X / 3) ** 2)) - 0.6 * np.exp(-(((np.abs(_MOUTH_X) - 6) / 3) ** 2)))
    line = face.skew * _MOUTH_X - (face.corners + 1.5 * width) * (across**2 - 0.3)
    inner_top = line - face.upper_share * gap
    inner_bottom = inner_top + gap
    outer_top = inner_top - face.upper_lip * full * arch + notch * arch
    outer_bottom = inner_bottom + face.lower_lip * full * arch
    teeth_end = inner_top + np.minimum(face.teeth * teeth * inner_arch, 0.7 * np.clip(gap - 1, 0, None))
    room = np.clip(inner_bottom - teeth_end - 1, 0, None)
    tongue_top = inner_bottom - 0.6 * np.clip(tongue + 0.3 * opening, 0, 1) * room
    lower = outer_bottom - inner_bottom
    contours = (
        outer_top,
        inner_top,
        teeth_end,
        tongue_top,
        inner_bottom,
        inner_bottom + 0.3 * lower,
        inner_bottom + 0.65 * lower,
        outer_bottom,
        outer_bottom + 4 * arch,
    )

    light = face.light[COLUMNS]
    lips = face.tone * face.lips * light
    skin = face.skin[ROWS, COLUMNS]
    cavity = np.full_like(light, face.cavity)
    tones = (0.88 * lips, face.enamel * light, cavity, 0.8 * lips, 0.96 * lips, 1.12 * lips, lips, 0.84 * skin, skin)
    outside = across >= 1
    return [
        (np.where(outside, NOWHERE, row).astype(np.float32), tone) for row, tone in zip(contours, tones, strict=True)
    ]


def _paint(picture: np.ndarray, face: Face, layers: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Paints the layers over `picture` (frames, rows, columns) in place."""
    cover, change = np.empty_like(picture), np.empty_like(picture)
    for contour, tone in layers:
        np.subtract(_MOUTH_Y, contour[:, None, :], out=cover)
        cover /= face.blur
        cover += 0.5
        np.clip(cover, 0, 1, out=cover)
        np.subtract(tone, picture, out=change)
        change *= cover
        picture += change


def _film(painted: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """(frames, 112, 112) float32 -> (frames, 96, 96) uint8: the head moves, the light flickers, the camera is noisy."""
    frames = len(painted)
    sway, nod = _drift(frames, 1.6, rng), _drift(frames, 1.6, rng)
    roll, zoom = _drift(frames, 0.04, rng), 1 + _drift(frames, 0.02, rng)
    flicker = (1 + _drift(frames, 0.03, rng)).astype(np.float32)
    grain = (noise * rng.standard_normal((2 * REGION, 2 * REGION), np.float32)).astype(np.float32)
    offsets = rng.integers(REGION, size=(frames, 2))
    film = np.empty((frames, REGION, REGION), np.float32)
    for f in range(frames):
        cos, sin = zoom[f] * np.cos(roll[f]), zoom[f] * np.sin(roll[f])
        shift_x = REGION / 2 + sway[f] - CENTRE * (cos - sin)
        shift_y = REGION / 2 + nod[f] - CENTRE * (sin + cos)
        motion = np.array([[cos, -sin, shift_x], [sin, cos, shift_y]])
        cv2.warpAffine(painted[f], motion, (REGION, REGION), dst=film[f], borderMode=cv2.BORDER_REPLICATE)
        film[f] *= flicker[f]
        film[f] += grain[offsets[f, 0] :, offsets[f, 1] :][:REGION, :REGION]
    return np.clip(film, 0, 255, out=film).astype(np.uint8)


def _drift(frames: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """A slow smooth motion around zero, shape (frames,): three swings of 0.1 to 1 Hz with random phases."""
    time = np.arange(frames) / FRAME_RATE
    rates, phases = rng.uniform(0.1, 1.0, 3), rng.uniform(0, 2 * np.pi, 3)
    return size / 3 * np.sin(2 * np.pi * np.outer(time, rates) + phases).sum(axis=1)


def _skin(rng: np.random.Generator, tone: float, light: np.ndarray) -> np.ndarray:
    """The face around the mouth, float32 (112, 112): pores, nose, folds, chin, perhaps a beard or a moustache."""
    x, y = _X[None, :], _X[:, None]
    pores = rng.standard_normal((CANVAS, CANVAS), np.float32)
    shade = 1 + 0.02 * cv2.GaussianBlur(pores, OWN_SIZE, 0.7) * rng.uniform(0.5, 2)
    folds = rng.standard_normal((CANVAS, CANVAS), np.float32)
    shade += 0.35 * cv2.GaussianBlur(folds, OWN_SIZE, 6) * rng.uniform(0.5, 1.5)
    shade -= rng.uniform(0.1, 0.3) * _blob(x, y + rng.uniform(38, 46), 14, 6)  # shadow of the nose
    for side in (-1, 1):
        shade -= rng.uniform(0.15, 0.45) * _blob(x + 6 * side, y + 40, 3, 2)  # nostrils
        fold = x - side * (30 + 0.35 * (y + 10))
        shade -= rng.uniform(0.02, 0.14) * np.exp(-((fold / 2.5) ** 2)) * _blob(np.zeros_like(x), y + 8, 1, 24)
    shade -= rng.uniform(0.03, 0.1) * _blob(x, y + 18, 3, 8)  # philtrum
    shade -= rng.uniform(0.03, 0.15) * _blob(x, y - rng.uniform(30, 36), 16, 4)  # crease over the chin
    hair = 1 + 0.5 * cv2.GaussianBlur(rng.standard_normal((CANVAS, CANVAS), np.float32), OWN_SIZE, 0.8)
    if rng.random() < 0.25:  # beard: on the chin and the jaw, thinning out towards the cheeks
        below = 1 / (1 + np.exp((18 - 0.3 * np.abs(x) - y) / 7))
        shade -= rng.uniform(0.1, 0.45) * hair * below * (1 - _blob(x, y, 34, 20))
    if rng.random() < 0.25:  # moustache
        shade -= rng.uniform(0.15, 0.45) * hair * _blob(x, y + 15, 24, 6)
    upright = 1 + rng.uniform(-0.15, 0.15) * y / CENTRE
    return np.clip(tone * shade * light * upright, 8, 250).astype(np.float32)


def _blob(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    return np.exp(-((x / width) ** 2) - (y / height) ** 2)
