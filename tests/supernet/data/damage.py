"""Files damaged in every way that collections of recordings are, each with the reason that it must be refused for.

Used by `test_damaged`. The good files that they are made from are `good.mp4`, `good.mkv`, `good.wav` and `good.flac`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from scipy.io import wavfile

from tests.supernet.data.conftest import encode_video, lighter, voice

Damage = Callable[[Path, Path, np.random.Generator], None]  # (a good file, the file to write, what is random)


def cut(good: Path, bad: Path, generator: np.random.Generator) -> None:
    content = good.read_bytes()
    bad.write_bytes(content[: generator.integers(1, int(0.85 * len(content)))])


def scrambled(good: Path, bad: Path, generator: np.random.Generator) -> None:
    content = good.read_bytes()
    bad.write_bytes(content[:200] + generator.bytes(len(content) - 200))


def garbage_header(good: Path, bad: Path, generator: np.random.Generator) -> None:
    bad.write_bytes(generator.bytes(4096) + good.read_bytes()[4096:])


def empty(good: Path, bad: Path, generator: np.random.Generator) -> None:
    bad.touch()


def text(good: Path, bad: Path, generator: np.random.Generator) -> None:
    bad.write_text("It was a bright cold day in April, and the clocks were striking thirteen.\n" * 20)


def folder(good: Path, bad: Path, generator: np.random.Generator) -> None:
    bad.mkdir()


def dangling(good: Path, bad: Path, generator: np.random.Generator) -> None:
    bad.symlink_to(bad.parent / "gone")


def pipe(good: Path, bad: Path, generator: np.random.Generator) -> None:
    os.mkfifo(bad)


def locked(good: Path, bad: Path, generator: np.random.Generator) -> None:
    bad.write_bytes(good.read_bytes())
    bad.chmod(0)
    if os.access(bad, os.R_OK):  # root may read everything
        bad.unlink()


def renamed(other: str) -> Damage:
    return lambda good, bad, generator: bad.write_bytes((good.parent / other).read_bytes())


def sound(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Damage:
    def write(good: Path, bad: Path, generator: np.random.Generator) -> None:
        wavfile.write(bad, 16_000, change(voice(generator, 8000), generator).astype(np.float32))

    return write


def spoiled(value: float) -> Damage:
    def put(wave: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        wave[generator.integers(len(wave))] = value
        return wave

    return sound(put)


def header(patch: Callable[[bytearray], None]) -> Damage:
    def write(good: Path, bad: Path, generator: np.random.Generator) -> None:
        content = bytearray(good.read_bytes())
        patch(content)
        bad.write_bytes(content)

    return write


def ten_hours_of_wav(content: bytearray) -> None:
    content[40:44] = (10 * 3600 * 32_000).to_bytes(4, "little")
    content[4:8] = (10 * 3600 * 32_000 + 36).to_bytes(4, "little")


def wav_rate(content: bytearray) -> None:
    content[24:28] = (2**31 - 1).to_bytes(4, "little")


def wav_channels(content: bytearray) -> None:
    content[22:24] = (1000).to_bytes(2, "little")


def days_of_flac(content: bytearray) -> None:
    content[21] |= 0x0F  # the number of samples: the last 36 of 64 bits after the first ten bytes of STREAMINFO
    content[22:26] = b"\xff" * 4


def picture(good: Path, bad: Path, generator: np.random.Generator) -> None:
    png = cv2.imencode(".png", generator.integers(0, 256, (288, 360), dtype=np.uint8))[1]
    bad.write_bytes(png.tobytes())


def video(pictures: Callable[[int], np.ndarray] | None, frames: int, seconds: float) -> Damage:
    def write(good: Path, bad: Path, generator: np.random.Generator) -> None:
        wave = voice(generator, int(16_000 * seconds)) if seconds else None
        encode_video(bad, frames=frames, sound=wave, draw=pictures)

    return write


def kinds(face: Callable[[int], np.ndarray]) -> list[tuple[str, str, Damage, str]]:
    """(name, suffix, damage, reason): suffixes of videos go among the talkers, the others among noise."""
    unreadable_video = "cannot be read as sound or video"
    return [
        ("cut", ".mp4", cut, unreadable_video),
        ("cut", ".mkv", cut, "breaks off|cannot be|no (audio|video) track|no sound|no picture|of sound and|claims"),
        ("cut", ".wav", cut, "breaks off|cannot be read|no sound at all"),
        ("cut", ".flac", cut, "breaks off|cannot be read|no sound at all"),
        ("scrambled", ".mp4", scrambled, "cannot be|no sound at all|track"),
        ("scrambled", ".flac", scrambled, "cannot be read|breaks off|no sound at all"),
        ("garbage-header", ".mp4", garbage_header, "cannot be|track"),
        ("garbage-header", ".wav", garbage_header, "cannot be read"),
        ("empty", ".mp4", empty, "is empty \\(0 bytes\\)"),
        ("empty", ".wav", empty, "is empty \\(0 bytes\\)"),
        ("text", ".mp4", text, unreadable_video),
        ("text", ".flac", text, "cannot be read|of no known format"),
        ("wav-named", ".mp4", renamed("good.wav"), "has no video track"),
        ("picture-named", ".mp4", picture, "has no audio track"),
        ("nan", ".wav", spoiled(np.nan), "is NaN or infinite"),
        ("infinite", ".wav", spoiled(-np.inf), "is NaN or infinite"),
        ("silent", ".wav", sound(lambda wave, _: 0 * wave), "is silent"),
        ("mute", ".mp4", video(face, 10, 0), "has no audio track"),
        ("blind", ".mp4", video(None, 0, 0.4), "has no video track"),
        ("faceless", ".mp4", video(lighter, 10, 0.4), "no (frontal )?face found"),
        ("unequal", ".mp4", video(face, 10, 1.2), "its pictures last 0.4 s and the sound 1.2 s"),
        ("hours", ".wav", header(ten_hours_of_wav), "claims 10.0 hours of sound"),
        ("days", ".flac", header(days_of_flac), "claims .* hours of sound"),
        ("rate", ".wav", header(wav_rate), "sampling rate"),
        ("channels", ".wav", header(wav_channels), "claims .* channels"),
        ("folder", ".mp4", folder, "is a folder"),
        ("folder", ".wav", folder, "is a folder"),
        ("dangling", ".mp4", dangling, "is a link to nothing"),
        ("dangling", ".wav", dangling, "is a link to nothing"),
        ("pipe", ".mp4", pipe, "is no regular file"),
        ("pipe", ".wav", pipe, "is no regular file"),
        ("locked", ".mp4", locked, "may not be read"),
        ("locked", ".wav", locked, "may not be read"),
    ]
