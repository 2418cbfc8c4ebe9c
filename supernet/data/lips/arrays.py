"""Lip pictures that a corpus brings along as an array file, onto the grid of 96 x 96 at 25 frames a second."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from supernet.errors import UserError
from supernet.space import REGION
from supernet.timing import FRAME_RATE

SIDE = 67  # pixels of NTCD-TIMIT's pictures


def read_lip_array(path: Path, rate: Fraction) -> np.ndarray:
    """Lip regions, uint8 (frames, 96, 96): frame n is the picture shown at (n + 0.5) / 25 s.

    Args:
        path: an .npy file of pictures with values from 0 to 255: (frames, 67, 67) or (67, 67, frames), or with each
            picture in a line of 4489, (frames, 4489) or (4489, frames), column after column, as MATLAB writes them.
        rate: pictures a second.

    Raises UserError when it is no such array.
    """
    try:
        array = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as an array ({error}); replace the file") from error
    pictures = _pictures(array)
    if pictures is None:
        raise UserError(
            f"{path}: must hold {SIDE} x {SIDE} pictures with values from 0 to 255, but is {array.dtype} of shape "
            f"{array.shape}; replace the file"
        )
    shown = int(len(pictures) / rate * FRAME_RATE + Fraction(1, 2))
    indices = [min(int(Fraction(2 * n + 1, 2 * FRAME_RATE) * rate), len(pictures) - 1) for n in range(shown)]
    regions = [cv2.resize(picture, (REGION, REGION), interpolation=cv2.INTER_LINEAR) for picture in pictures]
    return np.stack([regions[index] for index in indices])


def _pictures(array: np.ndarray) -> np.ndarray | None:
    """uint8 (frames, 67, 67), or None for an array that cannot be that."""
    if array.dtype.kind not in "uif" or not array.size or not np.isfinite(array).all():
        return None
    if array.min() < 0 or array.max() > 255:
        return None
    if array.ndim == 3 and array.shape[1:] == (SIDE, SIDE):
        pictures = array
    elif array.ndim == 3 and array.shape[:2] == (SIDE, SIDE):
        pictures = np.moveaxis(array, 2, 0)
    elif array.ndim == 2 and SIDE**2 in array.shape:
        lines = array if array.shape[1] == SIDE**2 else array.T
        pictures = lines.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)
    else:
        return None
    return np.ascontiguousarray(pictures.round().astype(np.uint8))
