"""Any container and codec that people have gives the sound that went in: in step, as long, as loud."""

import math

import numpy as np
import pytest

from supernet.media.sound import Sound
from tests.supernet.media.making import delay, encoded, put, speech, wav

SECONDS = 1.5
# container, codec, rate, channels, seconds by which the codec may be longer
CODED = [
    ("wav", "pcm_s16le", 16_000, 1, 0),
    ("wav", "pcm_s24le", 48_000, 2, 0),
    ("wav", "pcm_f32le", 44_100, 1, 0),
    ("wav", "pcm_f64le", 96_000, 2, 0),
    ("wav", "pcm_u8", 8_000, 1, 0),
    ("wav", "pcm_alaw", 8_000, 1, 0),
    ("wav", "pcm_mulaw", 8_000, 1, 0),
    ("wav", "adpcm_ima_wav", 22_050, 1, 0.1),
    ("wav", "adpcm_ms", 22_050, 2, 0.1),
    ("wav", "g726", 8_000, 1, 0.01),
    ("w64", "pcm_s16le", 48_000, 2, 0),
    ("aiff", "pcm_s16be", 44_100, 1, 0),
    ("au", "pcm_s16be", 16_000, 1, 0),
    ("caf", "pcm_s16be", 44_100, 2, 0),
    ("flac", "flac", 44_100, 2, 0),
    ("ogg", "flac", 48_000, 1, 0),
    ("ogg", "libopus", 48_000, 1, 0.03),
    ("webm", "libopus", 48_000, 2, 0.03),
    ("matroska", "libopus", 24_000, 1, 0.03),
    ("matroska", "aac", 48_000, 2, 0.1),
    ("matroska", "ac3", 48_000, 6, 0.1),
    ("matroska", "pcm_s16le", 16_000, 1, 0),
    ("matroska", "libmp3lame", 44_100, 1, 0.1),
    ("mp3", "libmp3lame", 44_100, 2, 0.1),
    ("mp3", "libmp3lame", 16_000, 1, 0.15),
    ("mp2", "mp2", 44_100, 2, 0.1),
    ("ipod", "aac", 44_100, 1, 0),
    ("ipod", "alac", 44_100, 2, 0.1),
    ("mp4", "aac", 16_000, 1, 0),
    ("mp4", "aac", 48_000, 2, 0),
    ("mp4", "aac", 96_000, 1, 0),
    ("mov", "pcm_s16le", 48_000, 2, 0),
    ("mov", "alac", 48_000, 1, 0.1),
    ("adts", "aac", 44_100, 1, 0.1),
    ("mpegts", "aac", 48_000, 2, 0.1),
    ("mpegts", "mp2", 48_000, 1, 0.1),
    ("mpegts", "ac3", 48_000, 2, 0.1),
    ("ac3", "ac3", 44_100, 2, 0.1),
    ("eac3", "eac3", 48_000, 2, 0.1),
    ("avi", "pcm_s16le", 44_100, 2, 0),
    ("avi", "libmp3lame", 44_100, 1, 0.15),
    ("flv", "aac", 44_100, 1, 0.1),
    ("tta", "tta", 44_100, 1, 0),
    ("wv", "wavpack", 44_100, 2, 0),
    ("3gp", "aac", 16_000, 1, 0.1),
]
# an encoder's own delay where no header tells it, samples at the codec's rate
OWN_DELAY = {
    ("adts", "aac"): 1024,
    ("mpegts", "aac"): 1024,
    ("flv", "aac"): 1024,
    ("mp2", "mp2"): 482,
    ("mpegts", "mp2"): 482,
    ("ac3", "ac3"): 257,
    ("eac3", "eac3"): 257,
    ("mpegts", "ac3"): 257,
    ("avi", "libmp3lame"): 1105,
}


@pytest.mark.parametrize(("form", "codec", "rate", "channels", "longer"), CODED, ids=str)
def test_sound_comes_back_in_step(tmp_path, form, codec, rate, channels, longer):
    wave = speech(SECONDS, rate)
    if channels == 6:
        sent = np.stack([0.3 * wave, 0.3 * wave, wave, 0 * wave, 0 * wave, 0 * wave])
    else:
        sent = np.stack([wave] * channels)
    sound = Sound.open(put(tmp_path / "sound.bin", encoded(form, codec, [sent], rate)))
    heard, expected = sound.read(), Sound.open(put(tmp_path / "sent.wav", wav(wave, rate, "FLOAT"))).read()
    assert -0.002 <= len(heard) / 16_000 - SECONDS <= longer + 0.002
    most = math.ceil(OWN_DELAY.get((form, codec), 0) * 16_000 / rate)
    assert 0 <= delay(heard, expected) <= most
    assert not sound.missing and not [words for words in sound.words if "damaged" in words or "pauses" in words]


@pytest.mark.parametrize("subtype", ["GSM610", "IMA_ADPCM", "MS_ADPCM", "ALAW", "DOUBLE", "PCM_32"])
def test_a_wav_of_any_kind(tmp_path, subtype):
    wave = speech(SECONDS, 8000)
    heard = Sound.open(put(tmp_path / "a.wav", wav(wave, 8000, subtype))).read()
    assert abs(len(heard) / 16_000 - SECONDS) < 0.1
    assert abs(delay(heard, Sound.open(put(tmp_path / "b.wav", wav(wave, 8000, "FLOAT"))).read())) <= 1


@pytest.mark.parametrize("form", ["NIST", "AU", "AIFF", "CAF", "W64", "RF64", "FLAC", "OGG", "VOC", "WAVEX", "IRCAM"])
def test_what_libsndfile_writes(tmp_path, form):
    wave = speech(SECONDS)
    subtype = {"OGG": "VORBIS"}.get(form, "PCM_16")
    heard = Sound.open(put(tmp_path / "a.bin", wav(wave, 16_000, subtype, form))).read()
    assert abs(len(heard) - len(wave)) <= 480
    assert abs(delay(heard, wave)) <= 1
