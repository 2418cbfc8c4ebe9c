"""Reading what people have: any audio file, any video, onto the grid of 16 kHz and 25 frames a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast, overload

import av
import numpy as np
import soundfile
import torch
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from torchaudio.functional import resample

from supernet.errors import UserError
from supernet.timing import FRAME_RATE, SAMPLE_RATE

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff")
VIDEO_SUFFIXES = (".mp4", ".mpg", ".mpeg", ".avi", ".mov", ".mkv", ".webm", ".m4v")
SHORTEST_GAP, LONGEST_GAP = 0.02, 60.0  # s: less is rounding of time stamps, more is damage
BLOCK = 1 << 20  # samples of all channels read at a time, so that only the mono signal is held whole


def read_audio(path: Path | str) -> np.ndarray:
    """The sound of an audio or video file: 16 kHz, the mean of its channels, float32 (samples,).

    Raises UserError when the file is missing, is neither audio nor video, has no audio track, is empty, or holds
    values that are not finite.
    """
    path = Path(path)
    _require(path)
    wave, rate = _read_sound_file(path) if path.suffix.lower() in AUDIO_SUFFIXES else _read_track(path)
    if not len(wave):
        raise UserError(f"{path}: holds no sound at all; replace the file")
    if not np.isfinite(wave).all():
        second = np.flatnonzero(~np.isfinite(wave))[0] / rate
        raise UserError(f"{path}: sample at {second:.2f} s is NaN or infinite; repair or replace the file")
    return resample(torch.from_numpy(wave), rate, SAMPLE_RATE).numpy()


def read_frames(path: Path | str) -> Iterator[np.ndarray]:
    """The pictures of a video at 25 frames a second, one at a time: grey, uint8 (height, width).

    Frame n is the picture on the screen at (n + 0.5) / 25 s by the file's own time stamps, so that 24, 29.97, 30
    and 50 frames a second keep pace with the sound. Time starts with the sound, or with the first picture of a
    silent film; a picture that comes late stands from the beginning. Pictures stand upright, as players show them:
    a telephone films on its side and notes that in the file.

    Raises UserError when the file is missing, is no video, has no video track, or breaks off.
    """
    path = Path(path)
    _require(path)
    with opened(path) as container:
        stream = first_track(container, "video", path)
        shown: np.ndarray | None = None
        index, end = 0, Fraction(0)
        origin = _start(container.streams.audio[0]) if container.streams.audio else None
        grey = VideoReformatter()
        for frame in container.decode(stream):
            if frame.pts is None:
                raise UserError(f"{path}: one of its pictures has no time stamp; repair or replace the file")
            start = _time(frame.pts, frame)
            origin = start if origin is None else origin
            while shown is not None and origin + _middle(index) < start:
                yield shown
                index += 1
            shown, end = _upright(grey.reformat(frame, format="gray"), frame), start + _duration(frame, stream)
        if shown is None or origin is None:
            raise UserError(f"{path}: its video track holds no picture; replace the file")
        while origin + _middle(index) < end:
            yield shown
            index += 1


def _upright(picture: av.VideoFrame, frame: av.VideoFrame) -> np.ndarray:
    """`picture` turned as the decoded `frame` asks for, uint8 (height, width)."""
    return np.ascontiguousarray(np.rot90(picture.to_ndarray(), round(frame.rotation / 90)))


def _middle(index: int) -> Fraction:
    return Fraction(2 * index + 1, 2 * FRAME_RATE)


def _time(ticks: int, of: av.VideoFrame | av.AudioFrame | av.AudioStream | av.VideoStream) -> Fraction:
    """In seconds, of a frame's or a track's own clock."""
    return ticks * cast(Fraction, of.time_base)


def _start(stream: av.AudioStream) -> Fraction:
    return _time(stream.start_time or 0, stream)


def _duration(frame: av.VideoFrame, stream: av.VideoStream) -> Fraction:
    if frame.duration:
        return _time(frame.duration, frame)
    return 1 / (stream.average_rate or Fraction(FRAME_RATE))


def _require(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such file; correct the path")


def _read_sound_file(path: Path) -> tuple[np.ndarray, int]:
    """float32 (samples,) and its sample rate."""
    try:
        with soundfile.SoundFile(path) as file:
            rows = max(1, BLOCK // file.channels)
            blocks = [block.mean(axis=1) for block in file.blocks(rows, dtype="float32", always_2d=True)]
            return np.concatenate(blocks or [np.zeros(0, np.float32)]), file.samplerate
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: cannot be read as audio ({error.error_string}); replace the file") from error


def _read_track(path: Path) -> tuple[np.ndarray, int]:
    """The first audio track of a container, float32 (samples,), and its sample rate."""
    with opened(path) as container:
        rate = first_track(container, "audio", path).rate
        return np.concatenate([np.zeros(0, np.float32), *track_blocks(container, path)]), rate


@overload
def first_track(container: InputContainer, kind: Literal["audio"], path: Path) -> av.AudioStream: ...


@overload
def first_track(container: InputContainer, kind: Literal["video"], path: Path) -> av.VideoStream: ...


def first_track(container: InputContainer, kind: Literal["audio", "video"], path: Path) -> Any:
    """Raises UserError naming `path` when there is none, or it is of no known format, as in a file cut short."""
    streams = getattr(container.streams, kind)
    if not streams:
        raise UserError(f"{path}: has no {kind} track; give a file with {'sound' if kind == 'audio' else 'pictures'}")
    if streams[0].codec_context is None:
        raise UserError(f"{path}: its {kind} track is of no known format; replace the file")
    return streams[0]


def track_blocks(container: InputContainer, path: Path) -> Iterator[np.ndarray]:
    """The mean of the channels of the first audio track, float32 (samples,) a block, at the track's rate.

    Where its time stamps leave a gap there is silence, so that what follows keeps pace with the pictures.
    Raises UserError naming `path` when a gap is longer than a damaged time stamp would have it.
    """
    stream = container.streams.audio[0]
    planar = av.AudioResampler(format="fltp")  # the format only: swresample's downmix is not the mean of the channels
    origin, done = None, 0
    for frame in container.decode(stream):
        if frame.pts is not None:
            start = _time(frame.pts, frame)
            origin = start if origin is None else origin
            gap = float(start - origin) - done / stream.rate
            if gap > LONGEST_GAP:
                raise UserError(f"{path}: its sound pauses for {gap:.0f} s by its time stamps; repair or cut the file")
            if gap > SHORTEST_GAP:
                silence = np.zeros(round(gap * stream.rate), np.float32)
                done += len(silence)
                yield silence
        for block in planar.resample(frame):
            mono = block.to_ndarray().mean(axis=0)
            done += len(mono)
            yield mono


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A media file, open. Raises UserError naming it when it, or what is done with it, breaks off."""
    try:
        with av.open(str(path)) as container:
            yield container
    except (av.FFmpegError, UnicodeDecodeError) as error:  # the second: text in the header that is none
        reason = getattr(error, "strerror", error)
        raise UserError(f"{path}: cannot be read as sound or video ({reason}); replace the file") from error
