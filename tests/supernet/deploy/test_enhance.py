"""Enhancing files: lengths, chunks, lips and every kind of bad input."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from supernet import AVConvTasNet, SearchSpace
from supernet.data.lips.find import Mouth, crop
from supernet.deploy import enhance as enhancing
from supernet.deploy.chunks import OVERLAP, LipWindow, enhance_stream
from supernet.deploy.enhance import Wanted, enhance_file
from supernet.deploy.lips import Talker
from supernet.deploy.sources import enhance
from supernet.errors import UserError
from supernet.media.pictures import read_frames
from supernet.media.sound import Sound

RATE = 16_000


class Recorder(torch.nn.Module):
    """Stands for a network: hands the mixture through, halved, and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.5))
        self.lips: list[torch.Tensor | None] = []
        self.lengths: list[int] = []

    def forward(self, mixture: torch.Tensor, lips: torch.Tensor | None) -> torch.Tensor:
        assert mixture.shape[1] % 640 == 0
        assert lips is None or tuple(lips.shape) == (1, mixture.shape[1] // 640, 88, 88)
        self.lips.append(lips)
        self.lengths.append(mixture.shape[1])
        return mixture * self.gain


@pytest.fixture
def network() -> Recorder:
    return Recorder()


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def write_video(path: Path, seconds: float = 2.0, rate: int = 25, samples: np.ndarray | None = None) -> Path:
    """A video whose brightness grows by the second, with sound where `samples` are given."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("ffv1", rate=rate)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 96, "gray"
        track = container.add_stream("pcm_s16le", rate=RATE, layout="mono") if samples is not None else None
        for index in range(round(seconds * rate)):
            level = int(20 + 30 * index / rate)
            picture = av.VideoFrame.from_ndarray(np.full((96, 96), level, np.uint8), format="gray")
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode(None))
        if track is not None:
            block = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16)[None], format="s16", layout="mono")
            block.sample_rate = RATE
            container.mux(track.encode(block))
            container.mux(track.encode(None))
    return path


@pytest.fixture
def mouth_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test videos show no face; let the middle of the picture be the mouth."""

    def everywhere(path: Path, sound: Sound, *_) -> list[Talker]:
        return [Talker("", (crop(frame, Mouth(48, 48, 40))[4:92, 4:92] for frame in read_frames(path)))]

    monkeypatch.setattr(enhancing, "talkers", everywhere)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 7.99, 8.0, 8.01, 15.0, 23.7])
def test_chunks_fit_together_at_any_length(network: Recorder, seconds: float) -> None:
    mixture = sound(seconds)
    blocks = iter(np.array_split(mixture[:, None], 1 + len(mixture) // 5000))

    enhanced = np.concatenate(list(enhance_stream(network, blocks, [None], chunk_frames=200)))[:, 0]

    np.testing.assert_allclose(enhanced, 0.5 * mixture, atol=1e-6)
    assert max(network.lengths) <= 200 * 640


def test_a_clip_of_one_chunk_equals_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = AVConvTasNet(SearchSpace.smallest, 1 / 8).eval()
    mixture = sound(1.6)
    source = write_wav(tmp_path / "a.wav", mixture)

    enhanced, rate = soundfile.read(*enhance_file(network, source), dtype="float32")

    expected = network(torch.from_numpy(mixture)[None], None)[0].detach().numpy()
    assert rate == RATE
    np.testing.assert_allclose(enhanced, expected, atol=1 / 32768)


def test_cross_fade_joins_estimates_that_disagree() -> None:
    class Counter(Recorder):
        def forward(self, mixture: torch.Tensor, lips: torch.Tensor | None) -> torch.Tensor:
            super().forward(mixture, lips)
            return torch.full_like(mixture, float(len(self.lengths)))

    enhanced = np.concatenate(list(enhance_stream(Counter(), iter([sound(12)[:, None]]), [None], chunk_frames=200)))[
        :, 0
    ]

    seam = enhanced[7 * RATE : 8 * RATE]
    assert (enhanced[: 7 * RATE] == 1).all() and (enhanced[8 * RATE :] == 2).all()
    assert (np.diff(seam) > 0).all() and np.diff(seam).max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 12345, 44100, 48000])
def test_other_sample_rates_keep_their_duration_and_content(tmp_path: Path, network: Recorder, rate: int) -> None:
    time = np.arange(2 * rate) / rate
    source = write_wav(tmp_path / "a.wav", 0.4 * np.sin(2 * np.pi * 440 * time), rate)

    enhanced, written_rate = soundfile.read(*enhance_file(network, source))

    expected = 0.2 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)
    assert written_rate == RATE and abs(len(enhanced) - 2 * RATE) <= 1
    np.testing.assert_allclose(enhanced[400:-400], expected[400 : len(enhanced) - 400], atol=2e-3)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mka"])
def test_stereo_becomes_the_mean_of_its_channels(tmp_path: Path, network: Recorder, suffix: str, capsys) -> None:
    left, right = sound(1, seed=1), sound(1, seed=2)
    source = tmp_path / f"a.{suffix}"
    if suffix == "mka":
        with av.open(str(source), "w") as container:
            track = container.add_stream("pcm_f32le", rate=RATE, layout="stereo")
            block = av.AudioFrame.from_ndarray(np.stack([left, right], 1).reshape(1, -1), format="flt", layout="stereo")
            block.sample_rate = RATE
            container.mux(track.encode(block))
    else:
        soundfile.write(source, np.stack([left, right], 1), RATE)

    enhanced, _ = soundfile.read(*enhance_file(network, source))

    np.testing.assert_allclose(enhanced, 0.25 * (left + right), atol=1e-4)
    assert "mean of its 2 channels" in capsys.readouterr().err


@pytest.mark.parametrize("rate", [24, 25, 30])
def test_a_video_is_enhanced_with_its_own_lips(tmp_path: Path, network: Recorder, mouth_everywhere, rate: int) -> None:
    source = write_video(tmp_path / "a.mkv", seconds=2.0, rate=rate, samples=sound(2))

    enhanced = soundfile.info(*enhance_file(network, source))

    (lips,) = network.lips
    assert enhanced.frames == 2 * RATE and enhanced.samplerate == RATE
    brightness = lips[0].float().mean(dim=(1, 2)).numpy()
    np.testing.assert_allclose(brightness[[5, 25, 45]], [20 + 30 * (k + 0.5) / 25 for k in (5, 25, 45)], atol=2.5)


def test_lips_come_from_a_separate_video_or_not_at_all(tmp_path: Path, network: Recorder, mouth_everywhere) -> None:
    video = write_video(tmp_path / "face.mkv")
    wav = write_wav(tmp_path / "a.wav", sound(2))
    talking = write_video(tmp_path / "talking.mkv", samples=sound(2))

    enhance_file(network, wav, wanted=Wanted(lips=video))
    enhance_file(network, wav)
    enhance_file(network, talking, wanted=Wanted(no_lips=True))

    assert [lips is not None for lips in network.lips] == [True, False, False]


def test_lips_are_found_by_the_rule_that_is_given(tmp_path: Path, network: Recorder) -> None:
    source = write_video(tmp_path / "a.mkv", samples=sound(2))  # shows no face, but could be a face track

    enhance_file(network, source, wanted=Wanted(lip_region="face_track"))

    (lips,) = network.lips
    assert lips is not None and lips.shape[1] == 50


def test_sound_that_outlasts_its_video_goes_on_without_lips(
    tmp_path: Path, network: Recorder, mouth_everywhere, capsys
) -> None:
    video, wav = write_video(tmp_path / "face.mkv", seconds=6), write_wav(tmp_path / "a.wav", sound(20))

    enhance_file(network, wav, wanted=Wanted(lips=video))

    assert [lips is not None for lips in network.lips] == [True, False, False]
    assert network.lips[0][0, 150:].eq(network.lips[0][0, 149]).all()  # the last picture stands
    assert "lips 6.0 s" in capsys.readouterr().err


def test_lip_window_moves_with_the_chunks() -> None:
    window = LipWindow(np.full((88, 88), index, np.uint8) for index in range(100))

    first = window.show(60)
    window.advance(60 - OVERLAP)
    second = window.show(60)

    assert first[:, 0, 0].tolist() == list(range(60))
    assert second[:, 0, 0].tolist() == list(range(35, 95))


def test_silence_stays_silent(tmp_path: Path) -> None:
    network = AVConvTasNet(SearchSpace.smallest, 1 / 8).eval()

    enhanced, _ = soundfile.read(*enhance_file(network, write_wav(tmp_path / "a.wav", np.zeros(RATE))))

    assert np.isfinite(enhanced).all() and np.abs(enhanced).max() < 1e-3


def nan_wav(folder: Path) -> Path:
    samples = sound(1)
    samples[500] = np.nan
    return write_wav(folder / "nan.wav", samples)


def corrupt_video(folder: Path) -> Path:
    path = folder / "broken.mp4"
    path.write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(1000))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nan_wav, "NaN"),
        (corrupt_video, "cannot be read"),
        (lambda folder: folder / "absent.wav", "no such file"),
        (lambda folder: write_wav(folder / "empty.wav", np.zeros(0)), "no sound at all"),
        (lambda folder: write_video(folder / "mute.mkv"), "has no audio track"),
        (lambda folder: write_video(folder / "faceless.mkv", samples=sound(2)), "no face found.*--no_lips"),
    ],
    ids=["nan", "corrupt", "absent", "empty", "mute", "faceless"],
)
def test_bad_input_is_one_clear_error_and_leaves_nothing(tmp_path: Path, network: Recorder, make, message: str) -> None:
    source = make(tmp_path)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(UserError, match=message) as error:
        enhance_file(network, source)

    assert source.name in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("codec", "track"), [(b"A_PCM", "audio"), (b"V_FFV1", "video")])
def test_a_track_of_an_unknown_format_is_named(network, tmp_path, codec, track):
    path = write_video(tmp_path / "a.mkv", samples=np.zeros(2 * RATE, np.float32))
    path.write_bytes(path.read_bytes().replace(codec, codec[:2] + b"X" * len(codec[2:])))
    with pytest.raises(UserError, match=f"a.mkv: its {track} track is of no known format"):
        enhance(network, path, tmp_path / "out.wav")
    assert not (tmp_path / "out.wav").exists()


def test_sources_are_never_overwritten(tmp_path: Path, network: Recorder) -> None:
    source = write_wav(tmp_path / "a.wav", sound(1))
    before = source.read_bytes()

    with pytest.raises(UserError, match="would overwrite an input"):
        enhance_file(network, source, output=tmp_path / "." / "a.wav")
    with pytest.raises(UserError, match="must end in .wav"):
        enhance_file(network, source, output=tmp_path / "b.mp3")
    with pytest.raises(UserError, match="contradicts"):
        enhance_file(network, source, wanted=Wanted(lips=tmp_path / "v.mp4", no_lips=True))
    with pytest.raises(UserError, match="chunk_seconds"):
        enhance_file(network, source, wanted=Wanted(chunk_seconds=1))

    assert source.read_bytes() == before


def test_a_folder_is_enhanced_whole_and_its_failures_are_told(tmp_path: Path, network: Recorder, capsys) -> None:
    write_wav(tmp_path / "good.wav", sound(1))
    nan_wav(tmp_path)
    (tmp_path / "notes.txt").write_text("not media")

    with pytest.raises(UserError, match="1 of 2 files failed.*nan.wav"):
        enhance(network, tmp_path)
    assert (tmp_path / "good.enhanced.wav").exists() and not (tmp_path / "nan.enhanced.wav").exists()
    assert "notes.txt" in capsys.readouterr().err

    (tmp_path / "nan.wav").unlink()
    assert enhance(network, tmp_path) == [tmp_path / "good.enhanced.wav"]  # its own results are no sources


def test_an_empty_folder_is_an_error(tmp_path: Path, network: Recorder) -> None:
    with pytest.raises(UserError, match="no sound or video file"):
        enhance(network, tmp_path)
