"""Any audio or video lands on the 16 kHz, 25 frames-a-second grid, or is refused with its reason."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from supernet.errors import UserError
from supernet.media.pictures import read_frames
from supernet.media.sound import Sound, read_audio
from supernet.timing import SAMPLE_RATE


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_any_rate_becomes_16_kHz(tmp_path, rate):
    soundfile.write(tmp_path / "tone.wav", tone(rate), rate)
    wave = read_audio(tmp_path / "tone.wav")
    assert wave.dtype == np.float32 and len(wave) == 16_000
    assert np.abs(wave - tone(16_000))[200:-200].max() < 0.01


def test_stereo_becomes_the_mean_of_its_channels(tmp_path):
    soundfile.write(tmp_path / "stereo.flac", np.stack([tone(16_000), 0.2 * tone(16_000)], axis=1), 16_000)
    assert np.abs(read_audio(tmp_path / "stereo.flac") - 0.6 * tone(16_000)).max() < 1e-3


def test_silence_is_read_as_silence(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    assert not read_audio(tmp_path / "silence.wav").any()


def paused(path: Path, pause: float) -> Path:
    """A second of sound, `pause` seconds without any, and another second."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for start in (0.0, 1.0 + pause):
            block = av.AudioFrame.from_ndarray(np.full((1, 48_000), 8000, np.int16), format="s16", layout="mono")
            block.sample_rate, block.time_base, block.pts = 48_000, Fraction(1, 48_000), round(start * 48_000)
            container.mux(track.encode(block))
        container.mux(track.encode(None))
    return path


def test_a_pause_in_the_time_stamps_of_sound_is_silence(tmp_path):
    wave = read_audio(paused(tmp_path / "paused.mkv", 0.5))
    assert len(wave) == pytest.approx(2.5 * SAMPLE_RATE, abs=20)
    loud = np.abs(wave) > 0.1
    assert loud[: SAMPLE_RATE - 20].all() and loud[SAMPLE_RATE * 3 // 2 + 20 :].all()
    assert not loud[SAMPLE_RATE + 20 : SAMPLE_RATE * 3 // 2 - 20].any()


def test_a_pause_of_hours_is_a_wrong_stamp(tmp_path):
    sound = Sound.open(paused(tmp_path / "paused.mkv", 7200))
    assert len(sound.read()) == pytest.approx(2 * SAMPLE_RATE, abs=20)
    assert any("time starts again in one place" in words for words in sound.words)


def test_nan_samples_are_refused_with_their_place(tmp_path):
    wave = tone(16_000).astype(np.float32)
    wave[8_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, 16_000, subtype="FLOAT")
    with pytest.raises(UserError, match=r"nan.wav: sample at 0.50 s is NaN or infinite"):
        read_audio(tmp_path / "nan.wav")


def test_empty_missing_and_corrupt_sound_is_refused(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    (tmp_path / "corrupt.wav").write_bytes(b"no sound")
    for name, reason in (("empty", "no sound at all"), ("corrupt", "cannot be read as sound"), ("gone", "no such")):
        with pytest.raises(UserError, match=f"{name}.wav: .*{reason}"):
            read_audio(tmp_path / f"{name}.wav")


def test_corrupt_video_is_refused_by_both_readers(tmp_path, write_video):
    (tmp_path / "corrupt.mp4").write_bytes(bytes(range(256)) * 40)
    whole = write_video(tmp_path / "whole.mp4", sound=tone(16_000)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("corrupt.mp4", "cut.mp4"):
        for read in (read_audio, lambda path: list(read_frames(path))):
            with pytest.raises(UserError, match=f"{name}: cannot be read as sound or video"):
                read(tmp_path / name)


def test_missing_tracks_are_named(tmp_path, write_video):
    silent_film = write_video(tmp_path / "film.mp4")
    only_sound = write_video(tmp_path / "sound.mp4", sound=tone(16_000), draw=None)
    assert len(list(read_frames(silent_film))) == 25
    assert len(read_audio(only_sound)) == 16_000
    with pytest.raises(UserError, match="film.mp4: has no audio track"):
        read_audio(silent_film)
    with pytest.raises(UserError, match="sound.mp4: has no video track"):
        next(read_frames(only_sound))


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(30), Fraction(50)])
def test_pictures_of_any_rate_keep_pace_with_time(tmp_path, write_video, rate):
    path = write_video(tmp_path / "film.mp4", frames=int(2 * rate), rate=rate, sound=tone(16_000, 2.0))
    pictures = list(read_frames(path))
    assert len(pictures) in (49, 50)  # 59 pictures at 29.97 last 1.97 s
    shown = [(float(picture.mean()) - 20) / 2 for picture in pictures]
    expected = [int(Fraction(2 * n + 1, 50) * rate) for n in range(len(shown))]
    assert np.abs(np.array(shown) - expected).max() < 1


def test_pictures_that_start_late_stay_in_step_with_the_sound(tmp_path, write_video):
    path = write_video(tmp_path / "late.mkv", frames=25, sound=tone(16_000, 1.4), delay=0.4)
    pictures = [round((float(picture.mean()) - 20) / 2) for picture in read_frames(path)]
    assert len(pictures) == 35
    assert pictures == [0] * 10 + list(range(25))


FLASHES = (0.5, 1.3, 2.1, 2.9)  # s, each 0.2 s long
STARTS = {"together": (0, 0), "picture late": (0.3, 0), "sound late": (0, 0.3), "both late": (1, 0.7)}  # s


def flash_and_click(path: Path, rate: Fraction, codecs: tuple[str, str], starts: tuple[float, float]) -> Path:
    """A light that goes on and off in 4 s of film with 44.1 kHz sound, and a tone while it is on, from the time at
    which the first lit picture is shown. `starts`: of pictures and sound, in seconds of the container's clock."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream(codecs[0], rate=rate)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        pictures.codec_context.time_base = 1 / rate
        sound = container.add_stream(codecs[1], rate=44_100, layout="mono")
        first, origin = round(Fraction(starts[0]) * rate), Fraction(min(starts))
        packets, tone_at = [], {}
        for index in range(int(4 * rate)):
            shown = (first + index) / rate
            flash = next((f for f in FLASHES if f <= shown - origin < f + 0.2), None)
            tone_at.setdefault(flash, shown)
            grey = np.full((48, 64), 20 if flash is None else 235, np.uint8)
            picture = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            picture.pts, picture.time_base = first + index, 1 / rate
            packets += pictures.encode(picture)
        packets += pictures.encode(None)
        wave = np.zeros(4 * 44_100, np.float32)
        for flash in FLASHES:
            begin = round((tone_at[flash] - Fraction(starts[1])) * 44_100)
            wave[max(0, begin) : begin + 8820] = tone(44_100, hertz=4000)[: begin + 8820 - max(0, begin)]
        block = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
        block.sample_rate, block.pts, block.time_base = 44_100, round(starts[1] * 44_100), Fraction(1, 44_100)
        form = av.AudioResampler(format=sound.codec_context.format, frame_size=sound.codec_context.frame_size)
        for piece in form.resample(block) + form.resample(None):
            packets += sound.encode(piece)
        packets += sound.encode(None)
        for packet in sorted((p for p in packets if p.dts is not None), key=lambda p: p.dts * p.time_base):
            container.mux(packet)
    return path


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(30), Fraction(50)])
@pytest.mark.parametrize("kind", [("mp4", "libx264", "aac"), ("mp4", "mpeg4", "aac"), ("mkv", "libx264", "flac")])
def test_flash_and_click_stay_together_within_half_a_frame(tmp_path, kind, rate):
    for name, starts in STARTS.items():
        path = flash_and_click(tmp_path / f"{name}.{kind[0]}", rate, kind[1:], starts)
        lit = np.array([picture.mean() > 128 for picture in read_frames(path)])
        loud = np.abs(read_audio(path)) > 0.1
        flashes = (np.flatnonzero(lit[1:] & ~lit[:-1]) + 1) / 25
        moments = np.flatnonzero(loud) / 16_000
        clicks = moments[np.diff(moments, prepend=-1) > 0.1]
        assert len(flashes) == len(clicks) == 4, name
        assert np.abs(flashes - clicks).max() < 0.0215, name  # 20 ms, and how exactly clicks and time stamps are known


def test_files_of_flash_and_click_do_start_late_and_shift_by_edit_lists(tmp_path):
    path = flash_and_click(tmp_path / "late.mp4", Fraction(25), ("libx264", "aac"), STARTS["both late"])
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert float(video.start_time * video.time_base) == pytest.approx(1.0, abs=0.1)
        assert 0.5 < float(audio.start_time * audio.time_base) < 0.75
    assert b"elst" in path.read_bytes()


def test_a_film_taken_on_its_side_stands_upright(tmp_path, write_video):
    def bright_left(index):
        return np.repeat([[220] * 32 + [30] * 32], 48, axis=0).astype(np.uint8)

    path = write_video(tmp_path / "telephone.mp4", frames=2, draw=bright_left)
    content = bytearray(path.read_bytes())
    matrix = content.find(b"tkhd") + 4 + 40  # https://developer.apple.com/documentation/quicktime-file-format
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30)  # clockwise
    path.write_bytes(content)
    picture = next(read_frames(path))
    assert picture.shape == (64, 48) and picture[:30].min() > 200 and picture[34:].max() < 50
