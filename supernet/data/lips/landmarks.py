"""Mouths from MediaPipe's FaceLandmarker, for those who have the package and its model.

https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker: 478 points of a face, of which 61 and 291 are the
corners of the mouth, 234 and 454 the sides of the face before the ears.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from supernet.data.lips.faces import Face
from supernet.errors import UserError
from supernet.timing import FRAME_RATE

CORNERS, SIDES = (61, 291), (234, 454)
BOX = 1.27  # width of the box that the cascade draws around a face, in distances between its sides; by eye, on GRID
FACES = 4  # at most, in one picture
INSTALL = "data.lip_region: landmarks needs MediaPipe; install it with `pip install mediapipe`, or use detect"


def landmark_finder(model: str | None, down: float) -> Callable[[np.ndarray], list[Face]]:
    """A function that finds the faces in one picture after the other.

    Their boxes are those of the cascade, but placed so that the midpoint of the mouth's corners lies `down` widths
    below the centre. Raises UserError when the package or the model file is missing.
    """
    if not model or not Path(model).is_file():
        raise UserError(f"data.landmark_model: no such file: {model}; correct the path")
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise UserError(INSTALL) from error
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)),
        running_mode=vision.RunningMode.VIDEO,
        num_faces=FACES,
    )
    try:
        landmarker = vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"data.landmark_model: {model} cannot be used ({error}); replace the file") from error
    index = -1

    def find(picture: np.ndarray) -> list[Face]:
        nonlocal index
        index += 1
        colours = np.ascontiguousarray(np.repeat(picture[..., None], 3, axis=2))  # grey, as all pictures are here
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=colours)
        found = landmarker.detect_for_video(image, 1000 * index // FRAME_RATE)
        return [_face(points, picture.shape, down) for points in found.face_landmarks]

    return find


def _face(points: list, shape: tuple[int, int], down: float) -> Face:
    """`points` have x and y in [0, 1] of the picture."""
    place = {n: np.array([points[n].x * shape[1], points[n].y * shape[0]]) for n in (*CORNERS, *SIDES)}
    x, y = (place[CORNERS[0]] + place[CORNERS[1]]) / 2
    width = BOX * float(np.hypot(*(place[SIDES[1]] - place[SIDES[0]])))
    return Face(float(x), float(y) - down * width, width)
