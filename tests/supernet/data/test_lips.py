"""Lip regions show the mouth, stay still, and are refused where there is no face."""

import cv2
import numpy as np
import pytest

from supernet.data.lips import Mouth, crop, find_mouth, iterate_lip_regions, lip_regions
from supernet.errors import UserError


def test_crop_is_centred_on_the_mouth():
    frame = np.zeros((200, 300), np.uint8)
    frame[96:104, 146:154] = 255
    region = crop(frame, Mouth(x=150, y=100, half_side=40))
    assert region.shape == (96, 96) and region.dtype == np.uint8
    rows, columns = np.nonzero(region > 127)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(47.5, abs=1)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(47.5, abs=1)


def test_crop_at_the_border_repeats_the_edge():
    frame = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 300, axis=1)
    region = crop(frame, Mouth(x=150, y=190, half_side=48))
    assert region[0, 0] == 142 and (region[-20:] == 199).all()


def test_mouth_is_found_in_large_and_small_pictures(face):
    for scale in (1, 3):
        picture = cv2.resize(face(3), None, fx=scale, fy=scale)
        mouth = find_mouth([picture] * 6)
        assert mouth.x == pytest.approx(180 * scale, abs=8 * scale)
        assert mouth.y == pytest.approx(192 * scale, abs=10 * scale)


def test_mouth_is_the_median_of_the_clip(face):
    shifted = np.roll(face(0), 40, axis=1)
    assert find_mouth([shifted] + [face(0)] * 10).x == find_mouth([face(0)]).x


def test_lip_regions_of_a_video(tmp_path, write_video, face):
    path = write_video(tmp_path / "talker.mp4", frames=20, draw=face)
    regions = lip_regions(path)
    assert regions.shape == (20, 96, 96) and regions.dtype == np.uint8
    assert np.array_equal(np.stack(list(iterate_lip_regions(path))), regions)
    darkest = np.unravel_index(cv2.GaussianBlur(regions[6], (0, 0), 3).argmin(), (96, 96))
    assert np.abs(np.array(darkest) - 48).max() < 16


def test_video_without_a_face_is_named(tmp_path, write_video):
    path = write_video(tmp_path / "wall.mp4")
    with pytest.raises(UserError, match="wall.mp4: no frontal face found"):
        lip_regions(path)
