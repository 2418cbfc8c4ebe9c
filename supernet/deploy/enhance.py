"""Enhance a sound file or a video, to a wav or a video, at its own level and length."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from supernet.data.lips.find import Rule
from supernet.deploy.chunks import OVERLAP, LipWindow, Runnable, enhance_stream, runnable
from supernet.deploy.lips import Talker, talkers
from supernet.deploy.writing import VIDEO_SUFFIXES, write_video, write_wavs
from supernet.errors import UserError
from supernet.media.mixdown import to_stereo
from supernet.media.rates import resampled
from supernet.media.sound import Sound
from supernet.timing import FRAME_RATE, SAMPLE_RATE

MARK = ".enhanced"
SHORTFALL = 0.5  # seconds by which a video may end before the sound without a word about it
Rate = Literal["16k", "source"]
Channels = Literal["mono", "keep"]


@dataclass(frozen=True)
class Wanted:
    """How a source is enhanced.

    Args:
        lips: a video of the talker that starts with the sound; the source's own pictures where not given.
        no_lips: use the sound alone.
        face: which face of a video talks; see `deploy.lips.talkers`.
        audio_track: number of the sound track, from 1; the one with a voice where not given.
        rate: of the result: 16 kHz, or the source's, in which what lies above 8 kHz is left out.
        channels: of the result: one, or two where the source has more than one.
        video: write the source's pictures too, with the new sound.
        strength: from 0, the noisy sound, to 1, the estimate.
        chunk_seconds: length of the pieces that the network sees; memory grows with it.
        lip_region: how the mouth is found; see `supernet.data.lips.find`.
        landmark_model: file of the face landmarker, for `landmarks`.
    """

    lips: Path | None = None
    no_lips: bool = False
    face: str | None = None
    audio_track: int | None = None
    rate: Rate = "16k"
    channels: Channels = "mono"
    video: bool = False
    strength: float = 1.0
    chunk_seconds: float = 8.0
    lip_region: Rule = "detect"
    landmark_model: str | None = None

    def __post_init__(self) -> None:
        if self.chunk_frames <= 2 * OVERLAP:
            least = 2 * OVERLAP / FRAME_RATE
            raise UserError(f"chunk_seconds: {self.chunk_seconds:g} is too short; use more than {least:g}")
        if not 0 <= self.strength <= 1:
            raise UserError(f"strength: must be from 0 to 1, but is {self.strength:g}")
        if self.no_lips and self.lips:
            raise UserError(f"no_lips: contradicts lips {self.lips}; give one of the two")
        if self.rate not in get_args(Rate):
            raise UserError(f"rate: must be 16k or source, but is {self.rate}")

    @property
    def chunk_frames(self) -> int:
        return round(self.chunk_seconds * FRAME_RATE)


def enhance_file(
    network: Any,
    source: Path | str,
    output: Path | str | None = None,
    wanted: Wanted | None = None,
    name: str = "",
) -> list[Path]:
    """Enhance one file of any length, sample rate and number of channels, and return where the results lie: one, or one
    for each talker where all are wanted.

    Args:
        network: as `supernet.load` or `runtime.Enhancer.open` gives it.
        source: a sound file or a video.
        output: the file to write, or a folder for it; by default `<name>.enhanced.wav` beside the source. It is as long
            as the source, at its level, and appears only when complete.
        wanted: how it is done.
        name: what the source is called, where that is not its path.

    Raises:
        UserError: a file is missing or unreadable, holds NaN or no sound, no face is found in a video whose lips are
            to be used, or the output would overwrite an input.
    """
    network, wanted, source = runnable(network), wanted or Wanted(), Path(source)
    goal = _goal(source, output, wanted)
    if any(path is not None and goal.resolve() == path.resolve() for path in (source, wanted.lips)):
        raise UserError(f"output {goal}: would overwrite an input; give another name")
    sound = Sound.open(source, wanted.audio_track)
    sound.name = name or sound.name
    if wanted.video and not sound.pictures:
        raise UserError(f"video: {source} has no pictures to keep; leave it out")
    video = wanted.lips or (source if sound.pictures and not wanted.no_lips else None)
    _describe(sound, video, wanted, network)
    people = _people(video, sound, wanted)
    for talker in people:
        for words in talker.words:
            say(f"{sound.name}: {words}")
    goals = [goal.with_name(f"{goal.stem}.{t.name}{goal.suffix}") if t.name else goal for t in people]
    _enhance(network, sound, goals, [LipWindow(t.lips) if t.lips else None for t in people], wanted)
    return goals


def _people(video: Path | None, sound: Sound, wanted: Wanted) -> list[Talker]:
    if video is None:
        return [Talker("", None)]
    return talkers(video, sound, wanted.face, wanted.lip_region, wanted.landmark_model)


def _enhance(
    network: Runnable, sound: Sound, goals: Sequence[Path], windows: Sequence[LipWindow | None], wanted: Wanted
) -> None:
    """Read, enhance and write block by block, a file for each talker."""
    track = sound.track
    stereo = wanted.channels == "keep" and len(track.channels) > 1
    mixer = np.concatenate([track.weights[:, None], to_stereo(track.channels)], axis=1) if stereo else None
    rate = track.rate if wanted.rate == "source" else SAMPLE_RATE
    length = 0

    def blocks() -> Iterator[np.ndarray]:
        nonlocal length
        noisy = sound.blocks(SAMPLE_RATE, mixer)
        with _progress(sound) as progress:
            for block in enhance_stream(network, noisy, windows, wanted.chunk_frames, wanted.strength):
                length += len(block)
                progress.update(min(len(block) / SAMPLE_RATE, (progress.total or math.inf) - progress.n))
                yield np.delete(block, np.s_[::3], axis=1) if stereo else block

    enhanced = resampled(blocks(), SAMPLE_RATE, rate, (2 if stereo else 1) * len(goals))
    if wanted.video:
        sounds = [goal.with_name(f".{goal.name}.wav") for goal in goals]
        try:
            words = write_wavs(sounds, enhanced, rate)
            for goal, own in zip(goals, sounds, strict=True):
                write_video(goal, sound.path, own)
        finally:
            for own in sounds:
                own.unlink(missing_ok=True)
    else:
        words = write_wavs(goals, enhanced, rate)
    for word in (*sound.words, *words):
        say(f"{sound.name}: {word}")
    seen = min((window.seen / FRAME_RATE for window in windows if window), default=math.inf)
    if seen < length / SAMPLE_RATE - SHORTFALL:
        say(f"{sound.name}: its sound lasts {length / SAMPLE_RATE:.1f} s, the lips {seen:.1f} s; "
            "the rest was enhanced without lips")  # fmt: skip


def _goal(source: Path, output: Path | str | None, wanted: Wanted) -> Path:
    suffix = (source.suffix.lower() if source.suffix.lower() in VIDEO_SUFFIXES else ".mkv") if wanted.video else ".wav"
    if output is None:
        return source.with_name(f"{source.stem}{MARK}{suffix}")
    output = Path(output)
    if output.is_dir():
        return output / f"{source.stem}{MARK}{suffix}"
    allowed = tuple(VIDEO_SUFFIXES) if wanted.video else (".wav",)
    if output.suffix.lower() not in allowed:
        raise UserError(f"output {output}: must end in {' or '.join(allowed)}, or be a folder that exists")
    return output


def _describe(sound: Sound, video: Path | None, wanted: Wanted, network: Runnable) -> None:
    """Say what will happen to the sound, whose lips are used, and where it is done."""
    track, changes = sound.track, []
    if len(track.channels) > 1 and wanted.channels == "mono":
        mean = "the centre and" if "FC" in track.channels else "the mean of"
        changes.append(f"{mean} its {len(track.channels)} channels")
    if track.rate != SAMPLE_RATE and wanted.rate == "16k":
        changes.append(f"resampled from {track.rate} Hz to {SAMPLE_RATE} Hz")
    elif track.rate > SAMPLE_RATE:
        changes.append(f"at {track.rate} Hz, without what lies above {SAMPLE_RATE // 2000} kHz")
    changes.append(f"with the lips of {video.name}" if video else "without lips")
    changes.append(f"on {network.place}")
    say(f"{sound.name}: {', '.join(changes)}")


def _progress(sound: Sound) -> tqdm:
    total = None if sound.track.seconds is None else round(sound.track.seconds, 1)
    form = "{desc} {percentage:3.0f} % |{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]" if total else None
    return tqdm(total=total, desc=f"enhance {Path(sound.name).name}", unit="s", mininterval=1, bar_format=form)


def say(message: str) -> None:
    """A line on the error stream, where there is one."""
    with suppress(OSError, ValueError):
        tqdm.write(message, file=sys.stderr)
