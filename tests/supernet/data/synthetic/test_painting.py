import numpy as np
import pytest

from supernet.data.synthetic.painting import Face, render
from supernet.data.synthetic.visemes import OPENING, ROUNDING, TARGETS, viseme_track

FRAMES = 20


@pytest.fixture
def face():
    return Face.draw(np.random.default_rng(0))


def _noise(frames=FRAMES):
    return np.random.default_rng(0).standard_normal(640 * frames).astype(np.float32)


def _held(symbols):
    """The track of one phoneme held for a second in even noise."""
    return viseme_track([(0, symbols)], _noise(25))


def _opened(lips):
    """Share of dark pixels about the middle of the mouth, per frame."""
    return (lips[:, 36:80, 40:56] < 50).mean(axis=(1, 2))


def test_lips_close_for_a_bilabial_and_open_for_a_vowel():
    phonemes = [(0, "ɑː"), (640 * 8, "p"), (640 * 10, "ɑː")]
    opening = viseme_track(phonemes, _noise())[:, OPENING]
    assert opening[8:10].max() < 0.2 < 0.5 < min(opening[4], opening[14])
    assert 8 <= opening[5:15].argmin() + 5 <= 9


def test_lips_round_for_a_u_and_spread_for_an_i():
    assert _held("uː")[10, ROUNDING] > 0.9 > 0.1 > _held("iː")[10, ROUNDING]


def test_lips_stay_closed_in_a_pause():
    assert _held("")[:, OPENING].max() == 0


def test_what_was_spoken_before_the_excerpt_does_not_move_the_lips():
    track = viseme_track([(-3200, "ɑː"), (-640, "m")], _noise())
    assert track[3:, OPENING].max() < 0.1


def test_an_unknown_phoneme_is_an_error():
    with pytest.raises(ValueError, match="ʘ"):
        _held("ʘ")


def test_an_open_mouth_is_seen_in_the_picture(face):
    wide = _opened(render(face, _held("ɑː"), np.random.default_rng(1)))
    shut = _opened(render(face, _held("m"), np.random.default_rng(1)))
    assert wide.min() > shut.max() + 0.1


def test_lips_are_96_by_96_bytes_whatever_the_articulators(face):
    for symbol in TARGETS:
        lips = render(face, _held(symbol), np.random.default_rng(1))
        assert lips.shape == (25, 96, 96) and lips.dtype == np.uint8


def test_faces_differ_and_the_head_moves(face):
    track = _held("ə")
    mine = render(face, track, np.random.default_rng(1)).astype(float)
    other = render(Face.draw(np.random.default_rng(1)), track, np.random.default_rng(1)).astype(float)
    assert np.abs(mine - other).mean() > 10
    assert np.abs(mine[0] - mine[12]).mean() > 1
