"""Small corpora and media files, made of noise and drawings, for the tests of `supernet.data`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from scipy.io import wavfile

from supernet.data.corpus import Clip, Corpus
from supernet.data.settings import DataSettings

sys.path.insert(0, str(Path(__file__).parent))  # for `layouts`
from layouts import Drawn

FRAMES = 50
SAMPLES = FRAMES * 640


def voice(generator: np.random.Generator, samples: int = SAMPLES) -> np.ndarray:
    """Noise in syllables with pauses, float (samples,) below 0.3."""
    syllables = np.repeat(generator.random(samples // 3200 + 1) > 0.3, 3200)[:samples]
    return 0.1 * generator.uniform(-1, 1, samples) * (syllables + 1e-3)


def add_clip(folder: Path, clip_id: str, role: str, split: str, speaker: str = "", category: str = "") -> Clip:
    """Write a clip whose lips show its frame number in the left half and its own grey in the right half."""
    generator = np.random.default_rng(list(clip_id.encode()))
    for kind in ("audio", "lips"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    wave = (voice(generator) * 32768).astype(np.int16)
    wavfile.write(folder / f"audio/{clip_id}.wav", 16_000, wave)
    lips = f"lips/{clip_id}.npy" if role == "talker" else ""
    if lips:
        region = np.full((FRAMES, 96, 96), generator.integers(100, 256), np.uint8)
        region[:, :, :48] = np.arange(FRAMES)[:, None, None]
        np.save(folder / lips, region)
    return Clip(clip_id, role, split, speaker, category, f"audio/{clip_id}.wav", lips, SAMPLES, FRAMES, "test")


@pytest.fixture(scope="session")
def synthetic_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Four speakers a split, two clips each."""
    folder = tmp_path_factory.mktemp("synthetic")
    names = [(split, f"{split}{s}", c) for split in ("train", "val", "test") for s in range(4) for c in "ab"]
    return Corpus.write(folder, [add_clip(folder, f"{spk}{c}", "talker", split, spk) for split, spk, c in names])


@pytest.fixture(scope="session")
def real_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Talkers, speech and noise of all kinds in each split; conditions as for real recordings."""
    folder = tmp_path_factory.mktemp("real")
    clips = []
    for split in ("train", "val", "test"):
        clips += [add_clip(folder, f"{split}{s}{c}", "talker", split, f"{split}{s}") for s in range(3) for c in "abc"]
        clips += [add_clip(folder, f"{split}-speech{s}", "speech", split, f"{split}-reader{s}") for s in range(5)]
        clips += [add_clip(folder, f"{split}-{k}", "noise", split, category=k) for k in ("rain", "dog_bark")]
    return Corpus.write(folder, clips)


@pytest.fixture(params=["synthetic", "grid"])
def corpus_and_settings(request: pytest.FixtureRequest) -> tuple[Corpus, DataSettings]:
    fixture = "synthetic_corpus" if request.param == "synthetic" else "real_corpus"
    return request.getfixturevalue(fixture), DataSettings(corpus=request.param)


def lighter(index: int) -> np.ndarray:
    """A plain picture, lighter by 2 than the one before."""
    return np.full((48, 64), 20 + 2 * index, np.uint8)


def draw_face(index: int) -> np.ndarray:
    """A face that the cascade finds, its dark mouth centred at (180, 192); the mouth opens and closes."""
    picture = np.full((288, 360), 90, np.uint8)
    cv2.ellipse(picture, (180, 140), (70, 95), 0, 0, 360, 190, -1)  # face
    cv2.ellipse(picture, (180, 75), (72, 40), 0, 180, 360, 50, -1)  # hair
    for x in (152, 208):
        cv2.ellipse(picture, (x, 112), (18, 4), 0, 0, 360, 70, -1)  # brow
        cv2.ellipse(picture, (x, 126), (14, 7), 0, 0, 360, 110, -1)  # eye
        cv2.circle(picture, (x, 126), 6, 40, -1)
    cv2.ellipse(picture, (180, 160), (12, 6), 0, 0, 360, 140, -1)  # nose
    cv2.ellipse(picture, (180, 192), (26, 10), 0, 0, 360, 110, -1)  # lips
    cv2.ellipse(picture, (180, 192), (20, 2 + index % 7), 0, 0, 360, 20, -1)
    return cv2.GaussianBlur(picture, (0, 0), 3)


def encode_video(
    path: Path,
    frames: int = 25,
    rate: Fraction = Fraction(25),
    sound: np.ndarray | None = None,
    delay: float = 0.0,
    draw: Callable[[int], np.ndarray] | None = lighter,
) -> Path:
    """A lossless video with `sound` at 16 kHz; pictures come from `draw(index)` and start `delay` s late."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1", rate=rate) if draw else None
        audio = container.add_stream("flac", rate=16_000) if sound is not None else None
        if video:
            video.height, video.width = draw(0).shape
            video.pix_fmt = "gray"
            for index in range(frames):
                picture = av.VideoFrame.from_ndarray(draw(index), format="gray")
                picture.pts, picture.time_base = index + round(delay * rate), 1 / rate
                container.mux(video.encode(picture))
            container.mux(video.encode())
        if audio:
            block = av.AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16_000, 0, Fraction(1, 16_000)
            container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


@pytest.fixture
def write_video() -> Callable[..., Path]:
    return encode_video


@pytest.fixture
def face() -> Callable[[int], np.ndarray]:
    return draw_face


@pytest.fixture(scope="session")
def media() -> Drawn:
    """Makes what the miniatures of `layouts` hold."""
    return Drawn(draw_face, encode_video, voice)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as people have them: grid/ (s1: 9 clips, s2 and s3: 3), speech/ (24 speakers), noise/, and bad ones."""
    folder = tmp_path_factory.mktemp("recordings")
    generator = np.random.default_rng(0)
    for kind in ("grid/s1", "grid/s2", "grid/s3", "speech", "noise/esc10"):
        (folder / kind).mkdir(parents=True)
    for name in [f"{s}/{n}" for s, count in (("s1", 9), ("s2", 3), ("s3", 3)) for n in range(count)]:
        encode_video(folder / f"grid/{name}.mp4", sound=voice(generator, 16_000), draw=draw_face)
    for speaker in range(24):
        wavfile.write(folder / f"speech/{speaker}-1-0000.wav", 16_000, voice(generator, 24_000).astype(np.float32))
    for kind in ("rain", "dog_bark"):
        for recording in range(3):
            for take in "AB":
                wave = voice(generator, 24_000).astype(np.float32)
                wavfile.write(folder / f"noise/esc10/{kind}_1-{recording}{recording}-{take}.wav", 16_000, wave)
    (folder / "grid/s3/corrupt.mp4").write_bytes(b"no video")
    encode_video(folder / "grid/s3/faceless.mp4", sound=voice(generator, 16_000))
    wavfile.write(folder / "noise/silent.wav", 16_000, np.zeros(16_000, np.float32))
    return folder


@pytest.fixture(scope="session")
def real_settings(recordings: Path) -> DataSettings:
    return DataSettings(
        corpus="grid",
        root=str(recordings / "grid"),
        speech=str(recordings / "speech"),
        noise=str(recordings / "noise"),
        list_seconds=0.8,
        val_items=10,
        test_items=10,
        other_items=10,
        test_clips=3,
        val_clips=3,
        held_out_speakers=1,
    )
