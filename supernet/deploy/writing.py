"""Enhanced sound as a file: a wav of as many bits as it needs, or a video with its sound replaced."""

from __future__ import annotations

import errno
import heapq
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

from supernet.errors import UserError
from supernet.media.opening import opened, picture_track, seconds
from supernet.storage.files import write_atomically

Timed = tuple[Fraction, av.Packet]  # s

COPY = 1 << 18  # samples copied at a time
QUIET = {
    "PCM_24": 10 ** (-50 / 20),
    "FLOAT": 10 ** (-100 / 20),
}  # full scales at most, under which more bits are needed
LARGEST_WAV = 4_000_000_000  # bytes; beyond it, RF64
VIDEO_SUFFIXES = {".mp4": "aac", ".m4v": "aac", ".mov": "aac", ".mkv": "aac", ".webm": "libopus"}


def write_wav(goal: Path, blocks: Iterator[np.ndarray], rate: int, channels: int) -> list[str]:
    """Write blocks, float32 (samples, channels), and return what should be said of the result.

    It appears only when complete: 16-bit; with more bits where it is faint, and in floats where it goes beyond full
    scale, so that it always comes at its own level.
    """
    words: list[str] = []

    def write(temporary: Path) -> None:
        with tempfile.TemporaryFile(dir=goal.parent) as whole:  # which goes with the process, whatever ends it
            peak, size = 0.0, 0
            for block in blocks:
                whole.write(np.ascontiguousarray(block, np.float32).tobytes())
                peak, size = max(peak, float(np.abs(block).max(initial=0.0))), size + block.size
            subtype, reason = _subtype(peak)
            words.extend(reason)
            form = "WAV" if 4 * size < LARGEST_WAV else "RF64"
            whole.seek(0)
            try:
                with soundfile.SoundFile(temporary, "w", rate, channels, subtype, format=form) as file:
                    while part := whole.read(4 * COPY * channels):
                        file.write(np.frombuffer(part, np.float32).reshape(-1, channels))
            except soundfile.LibsndfileError as error:
                raise OSError(errno.EIO, f"cannot be written ({error.error_string})", str(goal)) from error

    write_atomically(goal, write)
    return words


def _subtype(peak: float) -> tuple[str, list[str]]:
    """How samples up to `peak` are written, and a word on it where that is not in 16 bits."""
    if peak > 1:
        return "FLOAT", [f"goes up to {peak:.2f} full scales, and is written in 32-bit floats"]
    if 0 < peak < QUIET["FLOAT"]:
        return "FLOAT", ["is too quiet for 24 bits, and is written in 32-bit floats"]
    if 0 < peak < QUIET["PCM_24"]:
        return "PCM_24", ["is too quiet for 16 bits, and is written in 24"]
    return "PCM_16", []


def write_video(goal: Path, source: Path, sound: Path) -> None:
    """The pictures of `source` as they are, with the sound of a wav that starts when they do, or with the sound before.

    Raises UserError when the pictures do not fit the container that the name of `goal` asks for.
    """
    codec = VIDEO_SUFFIXES[goal.suffix.lower()]

    def write(temporary: Path) -> None:
        form = {".mkv": "matroska", ".mov": "mov", ".webm": "webm"}.get(goal.suffix.lower(), "mp4")
        with opened(source) as film, opened(sound) as wave, av.open(str(temporary), "w", format=form) as target:
            track, heard = picture_track(source, film), wave.streams.audio[0]
            starts = [s for t in (*film.streams.audio, track) if (s := seconds(t.start_time, t)) is not None]
            begin = min(starts, default=0.0)
            try:
                pictures = target.add_stream_from_template(track)
                voice = target.add_stream(codec, rate=48_000, layout=heard.layout.name)
                packets = _by_time(_shifted(film, track, pictures, begin), _encoded(wave, voice))
                for packet in packets:
                    target.mux(packet)
            except (av.FFmpegError, ValueError) as error:
                reason = getattr(error, "strerror", error)
                raise UserError(
                    f"{goal}: the pictures of {source.name} do not go into it ({reason}); name a .mkv"
                ) from error

    write_atomically(goal, write)


def _shifted(film, track, pictures, begin: float) -> Iterator[Timed]:
    """The packets of the pictures, on a clock that begins with the sound."""
    for packet in film.demux(track):
        if packet.dts is None:
            continue
        shift = round(begin / packet.time_base)
        packet.dts -= shift
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.stream = pictures
        yield packet.dts * packet.time_base, packet


def _encoded(wave, voice) -> Iterator[Timed]:
    """The packets of the sound, encoded."""
    form = av.AudioResampler(voice.codec_context.format, voice.codec_context.layout, 48_000, voice.frame_size or 960)
    for frame in (*wave.decode(audio=0), None):
        for part in (*form.resample(frame),):
            for packet in voice.encode(part):
                yield packet.dts * packet.time_base, packet
    for packet in voice.encode(None):
        yield packet.dts * packet.time_base, packet


def _by_time(*tracks: Iterator[Timed]) -> Iterator[av.Packet]:
    """Packets of several tracks in the order of their times."""
    yield from (packet for _, packet in heapq.merge(*tracks, key=lambda timed: timed[0]))
