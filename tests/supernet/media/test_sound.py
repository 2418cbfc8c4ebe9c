"""What is wrong with a sound file is mended, or said: nothing is lost or invented without a word."""

import io
import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from supernet.errors import UserError
from supernet.media.sound import Sound, read_audio
from tests.supernet.media.making import delay, encoded, put, scrambled, speech, wav

RATE = 16_000
WAVE, WAVE_44, WAVE_48 = (speech(4.0, rate) for rate in (RATE, 44_100, 48_000))


def made(kind: str) -> bytes:
    match kind:
        case "mp3":
            return encoded("mp3", "libmp3lame", [WAVE_44], 44_100)
        case "aac":
            return encoded("adts", "aac", [WAVE_44], 44_100)
        case "m4a":
            return encoded("ipod", "aac", [WAVE_44], 44_100)
        case "flac":
            return encoded("flac", "flac", [WAVE_44], 44_100)
        case "ogg":
            return encoded("ogg", "libopus", [WAVE_48], 48_000)
        case "vorbis":
            return wav(WAVE_44, 44_100, "VORBIS", "OGG")
        case "webm":
            return encoded("webm", "libopus", [WAVE_48], 48_000)
        case "mka":
            return encoded("matroska", "aac", [WAVE_44], 44_100)
        case "ts":
            return encoded("mpegts", "aac", [WAVE_44], 44_100)
    return wav(WAVE, RATE)


def heard(path: Path) -> tuple[np.ndarray, str]:
    sound = Sound.open(path)
    wave = sound.read()
    return wave, "; ".join(sound.words)


def late(wave: np.ndarray) -> float:
    """By how many ms the last second of the sound is late."""
    part = WAVE[3 * RATE - 800 : 3 * RATE + 7200]
    around = wave[3 * RATE - 800 - 2000 : 3 * RATE + 7200 + 2000]
    return (int(np.argmax(np.correlate(around, part, "valid"))) - 2000) / 16


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "webm", "mka"])
def test_a_cut_file_gives_what_is_there_and_says_what_is_missing(tmp_path, kind):
    content = made(kind)
    wave, words = heard(put(tmp_path / "a.bin", content[: len(content) // 2]))
    assert 1.8 < len(wave) / RATE < 2.1
    missing = float(words.split("are there, ")[1].split(" s are missing")[0])
    assert missing + len(wave) / RATE == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("kind", ["ogg", "vorbis"])
def test_an_ogg_without_its_last_page_is_said_to_break_off(tmp_path, kind):
    content = made(kind)
    _, words = heard(put(tmp_path / "a.bin", content[: len(content) // 2]))
    assert "breaks off" in words
    assert not heard(put(tmp_path / "b.bin", content))[1]


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac", "ogg", "vorbis", "mka", "ts", "webm"])
def test_streams_joined_end_to_end_are_all_heard(tmp_path, kind):
    content = made(kind)
    once, twice, thrice = (heard(put(tmp_path / "a.bin", n * content))[0] for n in (1, 2, 3))
    assert len(twice) / RATE == pytest.approx(2 * len(once) / RATE, abs=0.1)
    assert len(thrice) / RATE == pytest.approx(3 * len(once) / RATE, abs=0.2)
    second = twice[len(twice) - len(once) :]
    assert np.square(second).mean() == pytest.approx(np.square(once).mean(), rel=0.1)


@pytest.mark.parametrize("kind", ["mp3", "aac", "m4a", "flac", "ogg", "vorbis", "webm", "mka", "ts"])
def test_what_follows_damage_is_heard_in_its_place(tmp_path, kind):
    whole = heard(put(tmp_path / "whole.bin", made(kind)))[0]
    wave, words = heard(put(tmp_path / "a.bin", scrambled(made(kind), 0.5, 400)))
    assert len(wave) / RATE == pytest.approx(len(whole) / RATE, abs=0.05)
    assert abs(late(wave) - late(whole)) < 50 if kind == "aac" else abs(late(wave) - late(whole)) < 1
    assert "damaged" in words or "without sound" in words


@pytest.mark.parametrize("kind", ["flac", "ogg", "webm", "mka", "ts"])
def test_a_hole_in_the_middle_is_silence(tmp_path, kind):
    content = made(kind)
    hole = content[: len(content) // 2] + content[len(content) // 2 + len(content) // 8 :]
    wave, words = heard(put(tmp_path / "a.bin", hole))
    whole = heard(put(tmp_path / "whole.bin", content))[0]
    assert abs(len(wave) - len(whole)) / RATE < 0.05 and abs(late(wave) - late(whole)) < 1
    assert "silent" in words


def remuxed(content: bytes, form: str, moved) -> bytes:
    """With each packet's time `moved(number, seconds)`."""
    file = io.BytesIO()
    with av.open(io.BytesIO(content)) as source, av.open(file, "w", format=form) as target:
        track = target.add_stream_from_template(source.streams.audio[0])
        last = -1
        for number, packet in enumerate(p for p in source.demux() if p.size):
            time = moved(number, float(packet.pts * packet.time_base))
            last = max(last + 1, round(Fraction(time).limit_denominator(100_000) / packet.time_base))
            packet.pts = packet.dts = last  # which a container wants in order
            packet.stream = track
            target.mux(packet)
    return file.getvalue()


def pcm(block: int = 320) -> bytes:
    return encoded("matroska", "pcm_s16le", [WAVE], RATE, block=block)


@pytest.mark.parametrize("several", [1, 3])
def test_late_stamps_of_single_packets_move_nothing(tmp_path, several):
    content = remuxed(pcm(), "matroska", lambda n, t: t + (0.2 + 0.001 * n if 20 <= n < 20 + several else 0))
    wave, words = heard(put(tmp_path / "a.mka", content))
    assert len(wave) == len(WAVE) and delay(wave, WAVE) == 0 and not words


def test_jitter_of_stamps_is_smoothed(tmp_path):
    rng = np.random.default_rng(0)
    content = remuxed(pcm(), "matroska", lambda n, t: t + rng.uniform(0, 0.018) + 0.02 * (n % 2))
    wave, _ = heard(put(tmp_path / "a.mka", content))
    assert np.abs(wave[2000:] - WAVE[2000 - (len(WAVE) - len(wave)) :][: len(wave) - 2000]).max() < 0.001
    assert abs(len(wave) - len(WAVE)) / RATE < 0.05


def test_a_muted_stretch_is_silence_in_its_place(tmp_path):
    content = remuxed(pcm(), "matroska", lambda n, t: t + (1.5 if n >= 100 else 0))
    wave, words = heard(put(tmp_path / "a.mka", content))
    assert len(wave) / RATE == pytest.approx(5.5, abs=0.01) and "1.50 s without sound" in words
    assert not wave[int(2.01 * RATE) : int(3.49 * RATE)].any()
    assert np.abs(wave[int(3.5 * RATE) :] - WAVE[2 * RATE :]).max() < 1e-3


def test_of_several_tracks_the_one_with_the_voice_is_taken_and_named(tmp_path):
    rng = np.random.default_rng(0)
    time = np.arange(4 * RATE) / RATE
    music = 0.2 * sum(np.sin(2 * np.pi * f * time) for f in (220, 277, 330)) * (1 + 0.2 * np.sin(2 * np.pi * 2 * time))
    noise = 0.2 * rng.standard_normal(4 * RATE)
    for place in range(4):
        tracks = [0 * WAVE, music, noise]
        tracks.insert(place, WAVE)
        path = put(tmp_path / "a.mka", encoded("matroska", "pcm_s16le", tracks, RATE))
        wave, words = heard(path)
        assert delay(wave, WAVE) == 0 and f"of its 4 sound tracks no. {place + 1}" in words
        other = Sound.open(path, number=1 + (place + 1) % 4)
        assert other.track.number == 1 + (place + 1) % 4 and not other.words
    with pytest.raises(UserError, match="audio_track: .*a.mka has 4, so choose 1 to 4, not 5"):
        Sound.open(path, number=5)


def test_in_surround_sound_the_centre_leads_and_effects_stay_out(tmp_path):
    rumble = 0.3 * np.sin(2 * np.pi * 40 * np.arange(len(WAVE)) / RATE).astype(np.float32)
    nothing = 0 * WAVE
    six = np.stack([nothing, nothing, WAVE, rumble, nothing, nothing], axis=1)
    wave, _ = heard(put(tmp_path / "a.flac", wav(six, RATE, form="FLAC")))
    assert np.abs(wave - WAVE).max() < 1e-3


@pytest.mark.parametrize("form", ["flac", "matroska", "ipod"])
def test_channels_in_antiphase_do_not_cancel(tmp_path, form):
    codec = {"flac": "flac", "matroska": "pcm_s16le", "ipod": "aac"}[form]
    sound = Sound.open(put(tmp_path / "a.bin", encoded(form, codec, [np.stack([WAVE, -WAVE])], RATE)))
    assert np.square(sound.read()).mean() == pytest.approx(np.square(WAVE).mean(), rel=0.05)
    assert any("cancel" in words for words in sound.words)


def test_floats_in_the_range_of_16_bits_are_scaled(tmp_path):
    wave, words = heard(put(tmp_path / "a.wav", wav(32768 * WAVE, RATE, "FLOAT")))
    assert np.abs(wave - WAVE).max() < 1e-4 and "scaled to full scale 1" in words


def test_floats_beyond_full_scale_keep_their_level(tmp_path):
    wave, words = heard(put(tmp_path / "a.wav", wav(4 * WAVE, RATE, "FLOAT")))
    assert np.abs(wave - 4 * WAVE).max() < 1e-4 and not words


def headers(**fields: int) -> bytes:
    """A wav with some of its header's numbers replaced."""
    content = bytearray(wav(WAVE, RATE))
    data = content.index(b"data")
    for name, value in fields.items():
        at = {"riff": 4, "rate": 24, "channels": 22, "data": data + 4}[name]
        form = "<H" if name == "channels" else "<I"
        content[at : at + struct.calcsize(form)] = struct.pack(form, value)
    return bytes(content)


@pytest.mark.parametrize("size", [0, 2**32 - 1, 0x7FFFFFFF])
def test_sizes_that_nobody_filled_in_are_those_of_the_file(tmp_path, size):
    wave, words = heard(put(tmp_path / "a.wav", headers(riff=size, data=size)))
    assert len(wave) == len(WAVE) and not words


@pytest.mark.parametrize("rate", [10, 999, 2_000_000_000])
def test_impossible_rates_are_named(tmp_path, rate):
    with pytest.raises(UserError, match=f"a.wav: has a sampling rate of {rate:,} Hz"):
        Sound.open(put(tmp_path / "a.wav", headers(rate=rate)))


@pytest.mark.parametrize("kind", ["webm", "m4a", "mp3", "flac"])
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a", "b:c.wav", "file:x.wav", "pipe:0", "a b\n.ogg"])
def test_content_counts_and_not_the_name(tmp_path, kind, name):
    assert abs(len(read_audio(put(tmp_path / name, made(kind)))) / RATE - 4) < 0.1


def test_a_name_may_hold_bytes_that_are_no_text(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    assert len(read_audio(put(path, wav(WAVE, RATE)))) == len(WAVE)


@pytest.mark.parametrize("text", ["Entrevista nº 3 - José", "\x00\x01"])
def test_text_in_headers_may_be_none(tmp_path, text):
    title = text.encode("latin-1") + b"\0" * (1 + (len(text) + 1) % 2)
    body = b"INFOINAM" + struct.pack("<I", len(title)) + title
    content = wav(WAVE, RATE)
    content = content[:36] + b"LIST" + struct.pack("<I", len(body)) + body + content[36:]
    assert len(read_audio(put(tmp_path / "a.wav", content))) == len(WAVE)


def test_a_flac_from_a_pipe_does_not_know_its_length(tmp_path):
    content = bytearray(made("flac"))
    content[21] &= 0xF0  # the last 36 of 64 bits after ten bytes of STREAMINFO
    content[22:26] = bytes(4)
    wave, words = heard(put(tmp_path / "a.flac", bytes(content)))
    assert len(wave) == 4 * RATE and not words


@pytest.mark.parametrize("what", ["#EXTM3U\n/etc/passwd\n", "ffconcat version 1.0\nfile a.wav\n", "hello " * 99])
def test_text_is_no_sound(tmp_path, what):
    with pytest.raises(UserError, match="a.wav: "):
        Sound.open(put(tmp_path / "a.wav", what.encode()))


def test_the_reader_needs_no_torch():
    modules = "supernet.media.sound, supernet.media.pictures, supernet.data.lips.find, supernet.deploy.level"
    check = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=Path(__file__).parents[3])
