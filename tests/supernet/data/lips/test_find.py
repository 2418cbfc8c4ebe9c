"""Lip regions show the mouth, follow the talker without trembling, and are refused where there is no face."""

import sys
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from supernet.data.lips import find as lips
from supernet.data.lips.find import (
    Mouth,
    Pairs,
    check_rule,
    crop,
    find_mouths,
    iterate_lip_regions,
    lip_regions,
    smooth,
)
from supernet.data.settings import DataSettings
from supernet.errors import UserError

WALL = np.full((288, 360), 90, np.uint8)


def moved(picture, right=0.0, down=0.0, size=1.0):
    """The picture shrunk about its middle, and moved."""
    matrix = np.array([[size, 0, right + 180 * (1 - size)], [0, size, down + 144 * (1 - size)]])
    return cv2.warpAffine(picture, matrix, picture.shape[::-1], borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture
def watch(monkeypatch):
    """Find the mouths in pictures that no file holds."""

    def find(pictures, rule="detect", model=None):
        monkeypatch.setattr(lips, "read_frames", lambda path, *_: iter(pictures))
        return find_mouths("film.mp4", rule, model)

    return find


def test_crop_is_centred_on_the_mouth():
    frame = np.zeros((200, 300), np.uint8)
    frame[96:104, 146:154] = 255
    for half_side in (40, 70):
        region = crop(frame, Mouth(x=150, y=100, half_side=half_side))
        assert region.shape == (96, 96) and region.dtype == np.uint8
        rows, columns = np.nonzero(region > 127)
        assert (rows.min() + rows.max()) / 2 == pytest.approx(47.5, abs=0.6)
        assert (columns.min() + columns.max()) / 2 == pytest.approx(47.5, abs=0.6)


def test_crop_moves_by_less_than_a_pixel():
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 200, axis=1)
    whole, half = crop(ramp, Mouth(100, 100, 48)), crop(2 * (ramp // 2), Mouth(100, 100.5, 48))
    assert whole[40, 40] == 92 and abs(int(half[40, 40]) - 92.5) <= 0.5


def test_crop_at_the_border_repeats_the_edge():
    frame = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 300, axis=1)
    region = crop(frame, Mouth(x=150, y=190, half_side=48))
    assert region[0, 0] == 142 and (region[-20:] == 199).all()


@pytest.mark.parametrize("scale", [1, 3])
def test_mouth_is_found_in_large_and_small_pictures(watch, face, scale):
    mouths = watch([cv2.resize(face(n), None, fx=scale, fy=scale) for n in range(8)])
    assert mouths.seen.all() and len(mouths) == 8
    assert np.abs(mouths.x - 180 * scale).max() < 6 * scale
    assert np.abs(mouths.y - 192 * scale).max() < 8 * scale


def test_regions_follow_a_moving_head_without_trembling(watch, face):
    path = 60 * np.sin(np.arange(50) / 16)
    mouths = watch([moved(face(n), right=x, size=0.8) for n, x in enumerate(path)])
    assert np.abs(mouths.x - np.median(mouths.x - path) - path)[5:-5].max() < 4
    assert np.abs(np.diff(mouths.x, 2)).max() < 1 and np.abs(np.diff(mouths.y)).max() < 1
    assert len(set(mouths.half_side)) == 1


def test_movement_tells_where_in_the_face_the_mouth_is(watch, face):
    """The same face with its mouth 14 pixels lower, as behind a moustache."""

    def lower(index):
        picture = face(index)
        picture[190:230] = picture[176:216].copy()
        return picture

    usual, low = watch([face(n) for n in range(14)]), watch([lower(n) for n in range(14)])
    assert low.y[0] - low.face_y[0] > usual.y[0] - usual.face_y[0] + 5


def test_a_still_face_has_its_mouth_in_the_usual_place(watch, face):
    mouths = watch([face(0)] * 8)
    assert (mouths.y - mouths.face_y) / mouths.face_width == pytest.approx(lips.DOWN_THE_FACE, abs=0.01)


def test_pictures_without_a_face_lie_between_their_neighbours(watch, face):
    pictures = [moved(face(n), right=2 * n, size=0.8) for n in range(30)]
    whole = watch(pictures)
    hidden = [WALL if n < 3 or 10 <= n < 16 or n >= 28 else picture for n, picture in enumerate(pictures)]
    mouths = watch(hidden)
    assert (~mouths.seen).sum() == 3 + 6 + 2
    assert np.abs(mouths.x - whole.x)[6:25].max() < 4
    assert mouths.x[0] == pytest.approx(mouths.x[3], abs=3)


def test_a_face_that_leaves_early_is_refused(watch, face):
    with pytest.raises(UserError, match="film.mp4: the talker's face is found in 9 of 20 pictures, fewer than half"):
        watch([face(n) if n < 9 else WALL for n in range(20)])


def test_the_talker_is_the_face_that_is_large_and_long_in_the_picture(watch, face):
    def small(index):
        return moved(face(index), size=0.6, down=-30)[:, 80:280]

    both = [np.hstack([small(n), face(n)]) for n in range(30)]
    mouths = watch(both)
    assert np.abs(mouths.x - 200 - 180).max() < 12
    alone = [picture if n < 8 else np.hstack([small(n), WALL]) for n, picture in enumerate(both)]
    assert np.abs(watch(alone).x[:8] - 100).max() < 12  # 30 small ones outweigh 8 large ones


def test_after_a_cut_the_same_talker_is_followed_at_once(watch, face):
    left, right = ([moved(face(n), right=x, size=0.6) for n in range(20)] for x in (-80, 80))
    mouths = watch(left + right)
    assert mouths.seen.all()
    assert np.abs(mouths.x[:20] - 100).max() < 6 and np.abs(mouths.x[20:] - 260).max() < 6


def test_smoothing_takes_outliers_and_trembling_away_and_keeps_a_steady_pace():
    pace = np.arange(60.0)
    spoilt = pace + 0.5 * (-1) ** np.arange(60)
    spoilt[30] += 40
    assert np.abs(smooth(spoilt) - pace)[8:-8].max() < 1


def test_pairs_of_pictures_are_few_and_even_whatever_the_length():
    pairs = Pairs()
    for index in range(1000):
        pairs.add(np.full((2, 2), index % 256, np.uint8))
    starts = [index for index, _, _ in pairs.pairs]
    assert len(starts) <= lips.HELD and starts[-1] > 900 and len(set(np.diff(starts))) == 1
    assert all(first[0, 0] == n % 256 and second[0, 0] == (n + 1) % 256 for n, first, second in pairs.pairs)


def test_lip_regions_of_a_video(tmp_path, write_video, face):
    path = write_video(tmp_path / "talker.mp4", frames=20, draw=face)
    regions = lip_regions(path)
    assert regions.shape == (20, 96, 96) and regions.dtype == np.uint8
    assert np.array_equal(np.stack(list(iterate_lip_regions(path))), regions)
    darkest = np.unravel_index(cv2.GaussianBlur(regions[6], (0, 0), 3).argmin(), (96, 96))
    assert np.abs(np.array(darkest) - 48).max() < 12


def test_the_first_reading_can_be_watched(tmp_path, write_video, face):
    path, seen = write_video(tmp_path / "talker.mp4", frames=6, draw=face), []
    iterate_lip_regions(path, watch=lambda frames: (seen.append(frame) or frame for frame in frames))
    assert len(seen) == 6


def test_video_without_a_face_is_named(tmp_path, write_video):
    path = write_video(tmp_path / "wall.mp4")
    with pytest.raises(UserError, match="wall.mp4: no face found"):
        lip_regions(path)


def test_a_face_track_gives_its_middle(tmp_path, write_video):
    def track(index):
        return np.add.outer(np.arange(224), np.zeros(224)).astype(np.uint8)

    regions = lip_regions(write_video(tmp_path / "track.mp4", frames=3, draw=track), "face_track")
    assert regions.shape == (3, 96, 96)
    assert np.abs(regions[0, :, 0] - (56 + (np.arange(96) + 0.5) * 112 / 96 - 0.5)).max() < 1


def test_a_full_frame_is_no_face_track(tmp_path, write_video, face):
    path = write_video(tmp_path / "full.mp4", frames=3, draw=face)
    with pytest.raises(UserError, match="full.mp4: is 360 x 288 pixels, and a face track is square; use data.lip_reg"):
        lip_regions(path, "face_track")


@pytest.fixture
def mediapipe(monkeypatch):
    """Stands for the package: every picture shows one face, its mouth at (200, 150) of 360 x 288."""
    place = {61: (180, 148), 291: (220, 152), 234: (150, 100), 454: (250, 100)}
    points = [SimpleNamespace(x=x / 360, y=y / 288) for x, y in (place.get(n, (0, 0)) for n in range(478))]

    class Landmarker:
        times: list[int] = []

        @classmethod
        def create_from_options(cls, options):
            if b"broken" in open(options.base_options.model_asset_path, "rb").read():
                raise RuntimeError("no model")
            return cls()

        def detect_for_video(self, image, milliseconds):
            assert image.data.shape == (288, 360, 3)
            self.times.append(milliseconds)
            return SimpleNamespace(face_landmarks=[points])

    package, tasks, python = (ModuleType(name) for name in ("mediapipe", "mediapipe.tasks", "mediapipe.tasks.python"))
    package.Image, package.ImageFormat = SimpleNamespace, SimpleNamespace(SRGB=1)
    python.BaseOptions = SimpleNamespace
    python.vision = SimpleNamespace(
        FaceLandmarker=Landmarker, FaceLandmarkerOptions=SimpleNamespace, RunningMode=SimpleNamespace(VIDEO=2)
    )
    for module in (package, tasks, python):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return Landmarker


def test_landmarks_place_the_mouth_between_its_corners(tmp_path, watch, mediapipe):
    (tmp_path / "face.task").write_bytes(b"model")
    mouths = watch([WALL] * 4, "landmarks", str(tmp_path / "face.task"))
    assert mouths.x == pytest.approx(200) and mouths.y == pytest.approx(150)
    assert mouths.half_side == pytest.approx(0.285 * 1.27 * 100)
    assert mediapipe.times[-4:] == [0, 40, 80, 120]


def test_landmarks_say_what_is_missing(tmp_path, mediapipe, monkeypatch):
    model = tmp_path / "face.task"
    with pytest.raises(UserError, match="data.landmark_model: not given"):
        DataSettings(lip_region="landmarks")
    with pytest.raises(UserError, match="data.landmark_model: no such file"):
        check_rule("landmarks", str(model))
    model.write_bytes(b"broken")
    with pytest.raises(UserError, match="face.task cannot be used \\(no model\\)"):
        check_rule("landmarks", str(model))
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match="pip install mediapipe"):
        check_rule("landmarks", str(model))
    check_rule("detect", None)
