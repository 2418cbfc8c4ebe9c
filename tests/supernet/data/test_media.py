"""Any audio or video lands on the 16 kHz, 25 frames-a-second grid, or is refused with its reason."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile

from supernet.data.media import read_audio, read_frames
from supernet.errors import UserError


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


def test_nan_samples_are_refused_with_their_place(tmp_path):
    wave = tone(16_000).astype(np.float32)
    wave[8_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", wave, 16_000, subtype="FLOAT")
    with pytest.raises(UserError, match=r"nan.wav: sample at 0.50 s is NaN or infinite"):
        read_audio(tmp_path / "nan.wav")


def test_empty_missing_and_corrupt_sound_is_refused(tmp_path):
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    (tmp_path / "corrupt.wav").write_bytes(b"no sound")
    for name, reason in (("empty", "no sound at all"), ("corrupt", "cannot be read as audio"), ("gone", "no such")):
        with pytest.raises(UserError, match=f"{name}.wav: .*{reason}"):
            read_audio(tmp_path / f"{name}.wav")


def test_corrupt_video_is_refused_by_both_readers(tmp_path, write_video):
    (tmp_path / "corrupt.mp4").write_bytes(bytes(range(256)) * 40)
    whole = write_video(tmp_path / "whole.mp4", sound=tone(16_000)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("corrupt.mp4", "cut.mp4"):
        for read in (read_audio, lambda path: list(read_frames(path))):
            with pytest.raises(UserError, match=f"{name}: cannot be read as video or audio"):
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
