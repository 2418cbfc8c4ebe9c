"""Whose face is taken, and what each of several talkers gets."""

from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile

from supernet.data.lips.faces import Face, Track
from supernet.data.lips.find import DOWN_THE_FACE, Faces, Pairs
from supernet.data.lips.speaking import Heard, speaking
from supernet.deploy import lips
from supernet.deploy.enhance import Wanted, enhance_file
from supernet.deploy.lips import talkers
from supernet.deploy.together import separated
from supernet.errors import UserError
from supernet.media.sound import Sound
from tests.supernet.deploy.test_enhance import Recorder
from tests.supernet.media.making import put, speech, wav

SECONDS, WIDTH = 4, 200


def openings(wave: np.ndarray) -> np.ndarray:
    """How wide a mouth is open that says this, 25 times a second, 0 to 1."""
    level = np.sqrt(np.square(wave.reshape(-1, 640)).mean(1))
    return level / level.max()


def face(opening: float, x: int, picture: np.ndarray) -> None:
    """Draw a face of `WIDTH` pixels around (x, 240)."""
    cv2.circle(picture, (x, 240), WIDTH // 2, 170, -1)
    for side in (-45, 45):
        cv2.circle(picture, (x + side, 205), 10, 60, -1)
    mouth = (x, round(240 + DOWN_THE_FACE * WIDTH))
    cv2.ellipse(picture, mouth, (35, 3 + round(18 * opening)), 0, 0, 360, 40, -1)


@pytest.fixture
def film(tmp_path, monkeypatch):
    """A video of faces that say something, and the sound of some of them; the faces are found where they were drawn."""

    def make(said: list[np.ndarray], sound: np.ndarray) -> Path:
        path = tmp_path / "film.mkv"
        xs = [160 + 260 * number for number in range(len(said))]
        tracks = [Track(list(range(25 * SECONDS)), [Face(x, 240, WIDTH)] * (25 * SECONDS)) for x in xs]
        pairs = Pairs()
        with av.open(str(path), "w") as container:
            pictures = container.add_stream("ffv1", rate=25)
            pictures.width, pictures.height, pictures.pix_fmt = 320 + 260 * len(said), 480, "gray"
            track = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            for opening in zip(*map(openings, said), strict=True):
                picture = np.full((480, pictures.width), 90, np.uint8)
                for own, x in zip(opening, xs, strict=True):
                    face(own, x, picture)
                pairs.add(picture)
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
            container.mux(pictures.encode(None))
            block = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None], format="s16", layout="mono")
            block.sample_rate = 16_000
            container.mux(track.encode(block))
        found = Faces(path, 25 * SECONDS, tracks, pairs, (0.0, DOWN_THE_FACE))
        monkeypatch.setattr(lips, "find_faces", lambda *_: found)
        return path

    return make


VOICES = [speech(SECONDS, seed=seed) for seed in range(4)]
SILENCE = np.zeros_like(VOICES[0]) + 1e-9


def quiet(wave: np.ndarray) -> np.ndarray:
    """Nothing is said, but a mouth twitches now and then."""
    return np.where(np.arange(len(wave)) % 16_000 < 640, 0.1, 1e-9).astype(np.float32)


@pytest.mark.parametrize("who", [0, 1, 2])
def test_the_face_that_moves_with_the_sound_is_taken_and_named(film, who):
    said = [quiet(VOICES[0])] * 3
    said[who] = VOICES[0]
    noise = 0.03 * np.random.default_rng(0).standard_normal(len(VOICES[0])).astype(np.float32)
    (talker,) = talkers(path := film(said, VOICES[0] + noise), Sound.open(path))
    assert f"of 3 faces the one no. {who + 1} from the left, whose mouth moves with the sound" in talker.words[0]
    shown = np.stack(list(talker.lips))
    assert shown.shape == (25 * SECONDS, 88, 88)
    dark = (shown < 60).sum((1, 2))
    assert np.corrcoef(dark, openings(said[who]))[0, 1] > 0.9


def test_of_two_that_talk_the_one_that_is_heard_is_taken(film):
    for who in (0, 1):
        path = film(VOICES[:2], VOICES[who])
        (talker,) = talkers(path, Sound.open(path))
        assert f"on the {('left', 'right')[who]}" in talker.words[0]


@pytest.mark.parametrize(
    ("face", "place"),
    [("left", 1), ("right", 3), ("1", 1), ("2", 2), ("3", 3), ("160,240", 1), ("420,250", 2), ("690.5,230", 3)],
)
def test_a_face_may_be_named(film, face, place):
    path = film(VOICES[:3], VOICES[0])
    (talker,) = talkers(path, Sound.open(path), face)
    assert talker.words == (f"of 3 faces the one no. {place} from the left; --face chooses another",)


@pytest.mark.parametrize("face", ["0", "4", "middle", "10,10", "1,2,3", "-1"])
def test_a_face_that_is_not_there_is_one_line(film, face):
    path = film(VOICES[:3], VOICES[0])
    with pytest.raises(UserError, match=f"face: {face} is none of the 3 faces in film.mkv; use left, right"):
        talkers(path, Sound.open(path), face)


def test_all_are_named_by_their_places(film):
    for count, names in ((1, [""]), (2, ["left", "right"]), (3, ["1", "2", "3"])):
        path = film(VOICES[:count], VOICES[0])
        assert [talker.name for talker in talkers(path, Sound.open(path), "all")] == names


def test_a_mouth_that_does_not_move_is_left_out_with_a_word(film):
    (talker,) = talkers(path := film([SILENCE], VOICES[0]), Sound.open(path))
    assert talker.lips is None and "does not move with the sound; its lips are left out" in talker.words[0]


def test_a_still_picture_has_no_lips_to_follow(tmp_path, monkeypatch, capsys):
    picture = np.full((480, 640), 90, np.uint8)
    face(0.5, 320, picture)
    cv2.imwrite(str(tmp_path / "still.png"), picture)
    found = Faces(tmp_path / "still.png", 1, [Track([0], [Face(320, 240, WIDTH)])], Pairs(), (0.0, DOWN_THE_FACE))
    monkeypatch.setattr(lips, "find_faces", lambda *_: found)
    source, network = put(tmp_path / "a.wav", wav(VOICES[0])), Recorder()
    enhance_file(network, source, wanted=Wanted(lips=tmp_path / "still.png"))
    assert network.lips == [None] and "the lips 0.0 s; the rest was enhanced without lips" in capsys.readouterr().err


def test_speaking_grows_with_what_mouth_and_sound_have_in_common(film):
    path = film(VOICES[:1], VOICES[0])
    faces = lips.find_faces(path)
    own, other, none = (speaking(faces, faces.tracks[0], Heard.of([w])).score for w in (*VOICES[:2], SILENCE))
    assert own > max(other, none)


def test_two_talkers_do_not_get_the_same_voice():
    """A network that always follows the louder voice, whatever lips it is shown."""
    rng = np.random.default_rng(0)
    levels = [np.repeat(np.clip(rng.standard_normal(5 * SECONDS), 0.02, None), 3200) for _ in range(2)]
    loud, soft = (gain * rng.standard_normal(16_000 * SECONDS) * v for gain, v in zip((0.1, 0.03), levels, strict=True))

    def follows_the_louder(mixture: np.ndarray, video: np.ndarray | None) -> np.ndarray:
        gains = [np.dot(mixture, voice) / np.dot(voice, voice) for voice in (loud, soft)]
        energies = [gain**2 * np.dot(voice, voice) for gain, voice in zip(gains, (loud, soft), strict=True)]
        return (gains[0] * loud if energies[0] > energies[1] else gains[1] * soft).astype(np.float32)

    videos = []
    for voice in (loud, soft):
        frames = np.full((25 * SECONDS, 88, 88), 170, np.uint8)
        for frame, opening in zip(frames, openings(voice), strict=True):
            cv2.ellipse(frame, (44, 50), (20, 2 + round(14 * opening)), 0, 0, 360, 40, -1)
        videos.append(frames)
    for order in ((0, 1), (1, 0)):
        estimates = separated(follows_the_louder, loud + soft, [videos[place] for place in order])
        for estimate, place in zip(estimates, order, strict=True):
            own, other = (loud, soft) if place == 0 else (soft, loud)
            assert np.corrcoef(estimate, own)[0, 1] > 0.9 and abs(np.corrcoef(estimate, other)[0, 1]) < 0.1
    assert [e is not None for e in separated(follows_the_louder, loud + soft, [None, videos[0]])] == [True, True]


def test_each_talker_has_a_file(film, tmp_path):
    path = film(VOICES[:2], VOICES[0] + VOICES[1])
    written = enhance_file(Recorder(), path, tmp_path, Wanted(face="all"))
    assert [result.name for result in written] == ["film.enhanced.left.wav", "film.enhanced.right.wav"]
    assert all(soundfile.info(result).frames == SECONDS * 16_000 for result in written)
    assert len({result.stat().st_size for result in written}) == 1 and not list(tmp_path.glob(".*"))


def test_names_stand_from_left_to_right():
    names = lips._names(5)
    assert names == ["1", "2", "3", "4", "5"] and all(int(b) - int(a) == 1 for a, b in pairwise(names))
