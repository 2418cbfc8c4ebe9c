"""Media as streams, in bounded memory: sound on the 16 kHz grid block by block, lip regions frame by frame.
`supernet.data.media` reads whole signals for corpora; here a file may be hours long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np
import soundfile
from av.stream import Disposition
from tqdm import tqdm

from supernet.data.lips.find import NoTalkerError, Rule, iterate_lip_regions
from supernet.data.media import AUDIO_SUFFIXES, first_track, opened, track_blocks
from supernet.errors import UserError
from supernet.space import PIXELS, REGION
from supernet.timing import SAMPLE_RATE

BLOCK = 1 << 16  # samples read from a sound file at a time


@dataclass(frozen=True)
class Media:
    """What a file holds."""

    seconds: float | None  # None where the container does not say
    channels: int  # of its sound
    rate: int  # of its sound, Hz
    pictures: bool  # a video track; the cover of a song is none


def headers(path: Path) -> Media:
    """Look into a file without decoding it. Raises UserError when it is missing, unreadable or has no sound."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; correct the path")
    with opened(path) as container:
        if not container.streams.audio:
            raise UserError(f"{path}: has no sound to enhance; give a file with an audio track")
        sound = first_track(container, "audio", path)
        pictures = [v for v in container.streams.video if not v.disposition & Disposition.attached_pic]
        seconds = container.duration / av.time_base if container.duration else None
        return Media(seconds, sound.channels, sound.rate, bool(pictures))


def audio_blocks(path: Path) -> Iterator[np.ndarray]:
    """The sound of an audio or video file, float32 (samples,) at 16 kHz a block, the mean of its channels.

    Raises UserError when the file breaks off, holds no sample, or holds one that is NaN or infinite.
    """
    # Swresample keeps its filter's state between blocks; torchaudio's resample wants the whole signal.
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    native = _sound_file_blocks(path) if path.suffix.lower() in AUDIO_SUFFIXES else _track_blocks(path)
    done = 0
    for mono, rate in native:
        if not np.isfinite(mono).all():
            second = (done + np.flatnonzero(~np.isfinite(mono))[0]) / rate
            raise UserError(f"{path}: sample at {second:.2f} s is NaN or infinite; repair or replace the file")
        done += len(mono)
        frame = av.AudioFrame.from_ndarray(mono[None], format="flt", layout="mono")
        frame.sample_rate = rate
        for block in resampler.resample(frame):
            yield block.to_ndarray()[0]
    if not done:
        raise UserError(f"{path}: holds no sound at all; replace the file")
    for block in resampler.resample(None):
        yield block.to_ndarray()[0]


def lip_frames(path: Path, rule: Rule = "detect", landmark_model: str | None = None) -> Iterator[np.ndarray]:
    """The talker's lips, uint8 (88, 88) each, 25 a second. The video is read twice, and never held whole.

    Args:
        rule: how the mouth is found; see `supernet.data.lips.find`.
        landmark_model: file of the face landmarker, for `landmarks`.

    Raises UserError when the file has no video, or when the talker's face is not found in it.
    """
    if rule == "landmarks" and landmark_model is None:
        raise UserError(
            f"landmark_model: not given, to find the lips in {path}; name MediaPipe's file, or use lip_region: detect"
        )
    watch = partial(tqdm, desc=f"find the mouth in {path.name}", unit=" frames", mininterval=1)
    try:
        regions = iterate_lip_regions(path, rule, landmark_model, watch)
    except NoTalkerError as error:
        raise UserError(f"{error} with --lips VIDEO, or use --no_lips to enhance from the sound alone") from error
    margin = (REGION - PIXELS) // 2
    inner = slice(margin, margin + PIXELS)
    return (region[inner, inner] for region in regions)


def _sound_file_blocks(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """The mean of the channels, float32 (samples,) a block, and its rate in Hz."""
    try:
        with soundfile.SoundFile(path) as file:
            for block in file.blocks(BLOCK, dtype="float32", always_2d=True):
                yield block.mean(axis=1), file.samplerate
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: cannot be read as sound ({error.error_string}); replace the file") from error


def _track_blocks(path: Path) -> Iterator[tuple[np.ndarray, int]]:
    """The same from the first audio track of a container."""
    with opened(path) as container:
        for block in track_blocks(container, path):
            yield block, container.streams.audio[0].rate
