"""Enhanced sound as a file: a wav of as many bits as it needs, or a video with its sound replaced."""

from __future__ import annotations

import errno
import heapq
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
import soundfile

from supernet.errors import UserError
from supernet.media.opening import Reader, opened, picture_track, seconds
from supernet.storage.files import replacing, write_atomically

Timed = tuple[Fraction, av.Packet]  # s

COPY = 1 << 18  # samples copied at a time
LOUD = 2.0  # full scales; a recording that goes beyond is one of floats, which keep its level
QUIET = {"PCM_24": (10 ** (-50 / 20), "24"), "FLOAT": (1e-5, "32-bit floats")}  # by its loudest sample
LARGEST_WAV = 4_000_000_000  # bytes; beyond it, RF64
FRAMES = {"aac": 1024, "libopus": 960}  # samples that an encoder takes at a time
VIDEO_SUFFIXES = {".mp4": "aac", ".m4v": "aac", ".mov": "aac", ".mkv": "aac", ".webm": "libopus"}


def write_wavs(goals: Sequence[Path], blocks: Iterator[np.ndarray], rate: int) -> list[str]:
    """Write blocks, float32 (samples, files x channels), and return what should be said of each of the results.

    They appear only when complete: 16-bit; with more bits where they are faint, and in floats where they go far beyond
    full scale, so that they come at their own level.
    """
    with ExitStack() as stack:
        temporaries = [stack.enter_context(replacing(goal)) for goal in goals]
        # which go with the process, whatever ends it
        wholes = [stack.enter_context(tempfile.TemporaryFile(dir=goal.parent)) for goal in goals]
        peaks, size = np.zeros(len(goals)), 0
        for block in blocks:
            parts = np.split(block.astype(np.float32), len(goals), axis=1)
            for place, (part, whole) in enumerate(zip(parts, wholes, strict=True)):
                whole.write(np.ascontiguousarray(part).tobytes())
                peaks[place] = max(peaks[place], np.abs(part).max(initial=0.0))
            size += parts[0].size
        channels, words = parts[0].shape[1], []
        for goal, temporary, whole, peak in zip(goals, temporaries, wholes, peaks, strict=True):
            subtype, factor, reason = _form(float(peak))
            words += [f"{goal.name} {why}" if len(goals) > 1 else why for why in reason]
            whole.seek(0)
            try:
                _copy(whole, temporary, rate, channels, subtype, factor, "WAV" if 4 * size < LARGEST_WAV else "RF64")
            except soundfile.LibsndfileError as error:
                raise OSError(errno.EIO, f"cannot be written ({error.error_string})", str(goal)) from error
    return words


def _copy(
    whole: IO[bytes], temporary: Path, rate: int, channels: int, subtype: str, factor: np.float32, form: str
) -> None:
    with (  # by its number, since libsndfile knows not every name
        temporary.open("wb") as raw,
        soundfile.SoundFile(raw.fileno(), "w", rate, channels, subtype, format=form, closefd=False) as file,
    ):
        while part := whole.read(4 * COPY * channels):
            file.write(factor * np.frombuffer(part, np.float32).reshape(-1, channels))


def _form(peak: float) -> tuple[str, np.float32, list[str]]:
    """How samples up to `peak` are written: in which form, times what, and a word on it where that is not in 16 bits as
    they are."""
    if peak > LOUD:
        return "FLOAT", np.float32(1), [f"goes up to {peak:.2f} full scales, and is written in 32-bit floats"]
    if peak > 1:
        words = f"would go beyond full scale, and is written {20 * np.log10(peak):.2f} dB lower"
        return "PCM_16", np.float32(0.9999 / peak), [words]
    for form, (most, bits) in reversed(QUIET.items()):
        if 0 < peak < most:
            return form, np.float32(1), [f"is too quiet for 16 bits, and is written in {bits}"]
    return "PCM_16", np.float32(1), []


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
                pictures = target.add_stream_from_template(track, opaque=True)
                voice = target.add_stream(codec, rate=48_000, layout="mono" if heard.channels == 1 else "stereo")
                packets = _by_time(_shifted(Reader(source, film, [track]), pictures, begin), _encoded(wave, voice))
                for packet in packets:
                    target.mux(packet)
            except (av.FFmpegError, ValueError) as error:
                reason = getattr(error, "strerror", error)
                raise UserError(
                    f"{goal}: the pictures of {source.name} do not go into it ({reason}); name a .mkv"
                ) from error

    write_atomically(goal, write)


def _shifted(reader: Reader, pictures, begin: float) -> Iterator[Timed]:
    """The packets of the pictures, on a clock that begins with the sound."""
    for packet in reader:
        if packet.dts is None:
            continue
        shift = round(begin / packet.time_base)
        packet.dts -= shift
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.stream = pictures
        yield packet.dts * packet.time_base, packet


def _encoded(wave, voice) -> Iterator[Timed]:
    """The packets of the sound, encoded."""
    form = av.AudioResampler(voice.codec_context.format, voice.codec_context.layout, 48_000, FRAMES[voice.name])
    for frame in (*wave.decode(audio=0), None):
        for part in (*form.resample(frame),):
            for packet in voice.encode(part):
                yield packet.dts * packet.time_base, packet
    for packet in voice.encode(None):
        yield packet.dts * packet.time_base, packet


def _by_time(*tracks: Iterator[Timed]) -> Iterator[av.Packet]:
    """Packets of several tracks in the order of their times."""
    yield from (packet for _, packet in heapq.merge(*tracks, key=lambda timed: timed[0]))
