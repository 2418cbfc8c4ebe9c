"""The sound of a file: the right track, in its place in time, and a word on what is missing.

Sound is decoded block by block, so that a file may be hours long. Its first 20 s are looked at before, to tell which
of several tracks has the voice, and whether two channels cancel each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from supernet.errors import UserError
from supernet.media.mixdown import to_mono
from supernet.media.opening import Reader, film_of, films, opened, seconds, sound_tracks
from supernet.media.promise import promised, unfinished
from supernet.media.rates import Resampler, resampled
from supernet.media.timeline import Timeline
from supernet.media.voice import voice
from supernet.timing import SAMPLE_RATE

LOOK = 20.0  # s at the beginning, by which a track is chosen
LEAST_MISSING = 0.1  # s; containers round the ends of their tracks
PADDING = 0.1  # s that an encoder may add to fill its last frame
RATES = (1_000, 1_000_000)  # Hz, between which a recorder may sample
MOST_CHANNELS = 64
FAINTEST = 20  # bytes a second; a file of less holds no sound, whatever length its header claims
FULL_SCALE = 8.0  # beyond it, floats are no sound from -1 to 1, but numbers of 16 bits
OF_16_BITS = 32768.0


def read_audio(path: Path | str) -> np.ndarray:
    """The sound of an audio or video file: 16 kHz, one channel, float32 (samples,); see `Sound`.

    Raises UserError when the file is missing, is neither audio nor video, has no sound, or samples that are not finite.
    """
    return Sound.open(Path(path)).read()


@dataclass(frozen=True)
class SoundTrack:
    """A sound track, as the container and its first seconds tell.

    Args:
        number: among the sound tracks, from 1.
        rate: Hz.
        channels: their names, as FFmpeg has them.
        weights: (channels,) of the channels in the mean that is enhanced.
        scale: by which samples are multiplied: 1, or less where they are numbers of 16 bits.
        voice: how much of a voice its first seconds hold, of `media.voice`; 0 for silence.
        seconds: its length as the file has it; None where it does not say.
        promised: the length that the header vouches for; None where it does not.
    """

    number: int
    rate: int
    channels: tuple[str, ...]
    weights: np.ndarray
    scale: float
    voice: float
    seconds: float | None
    promised: float | None


@dataclass
class Sound:
    """The sound of one file.

    Args:
        path: of the file.
        track: the one that is read.
        tracks: how many there are.
        pictures: whether there are moving pictures too.
        missing: how much less was there than its header promises, s; known once all blocks were read.
        words: what should be said of it; complete once all blocks were read.
        name: what it is called; its path where not given.
    """

    path: Path
    track: SoundTrack
    tracks: int
    pictures: bool
    missing: float = 0.0
    words: list[str] = field(default_factory=list)
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.name or str(self.path)

    @classmethod
    def open(cls, path: Path, number: int | None = None) -> Sound:
        """The sound of a file, of the track with a voice, or of the one with that number.

        Raises UserError when there is no such file or track, or none that a recorder could have made.
        """
        tracks, pictures = survey(path)
        if number is not None and not 1 <= number <= len(tracks):
            raise UserError(f"audio_track: {path} has {len(tracks)}, so choose 1 to {len(tracks)}, not {number}")
        chosen = tracks[number - 1] if number else max(tracks, key=lambda track: track.voice)  # the first of equals
        sound = cls(path, chosen, len(tracks), pictures)
        if number is None and len(tracks) > 1:
            sound.words.append(f"of its {len(tracks)} sound tracks no. {chosen.number}, by the voice in it")
        if chosen.scale != 1:
            sound.words.append("its samples are numbers of 16 bits, scaled to full scale 1")
        if (chosen.weights < 0).any():
            sound.words.append("its channels cancel each other, one of them was turned round")
        return sound

    def again(self) -> Sound:
        """The same sound with nothing to say yet, for another reading."""
        return Sound(self.path, self.track, self.tracks, self.pictures, name=self.name)

    def blocks(self, rate: int | None = SAMPLE_RATE, weights: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Float32 (samples, channels) at `rate` Hz, the track's own where None, in order.

        Args:
            weights: (channels of the track, channels of the blocks); the mean that is enhanced where not given.

        Raises UserError when there is no sample at all, or one that is NaN or infinite.
        """
        mixer = self.track.weights[:, None] if weights is None else weights
        native = self._placed(np.float32(self.track.scale) * mixer.astype(np.float32))
        return resampled(native, self.track.rate, rate or self.track.rate, mixer.shape[1])

    def read(self) -> np.ndarray:
        """All of it at 16 kHz, float32 (samples,)."""
        return np.concatenate([block[:, 0] for block in self.blocks()])

    def _placed(self, mixer: np.ndarray) -> Iterator[np.ndarray]:
        """At the track's own rate, on the time line of the pictures."""
        breaks, line = 0, None
        with opened(self.path) as container:
            track, film = sound_tracks(container)[self.track.number - 1], film_of(container)
            reader, mix = Reader(self.path, container, [track, film] if film else [track]), Mix(self.track, mixer)
            for frame in reader.frames(track):
                start, broken = seconds(frame.pts, frame), reader.breaks > breaks
                line = line or Timeline(self.track.rate, _begin(track, film, start))
                block = self._checked(mix(frame), line)
                yield from line.add(block, start, broken)
                breaks = reader.breaks
            if line is None or not line.length:
                raise UserError(f"{self.path}: holds no sound at all; replace the file")
            yield from self._trimmed(line, list(line.flush()), reader.joints)
            form = container.format.name
        self._tell(line, reader.breaks, reader.joints)
        if unfinished(self.path, form):
            self.words.append(f"breaks off after {line.sounding:.2f} s, before its end")

    def _trimmed(self, line: Timeline, blocks: list[np.ndarray], joints: int) -> Iterator[np.ndarray]:
        """The last blocks, without what an encoder added to fill its last frame."""
        end = self.track.seconds
        excess = 0.0 if end is None or joints or self.track.promised is None else line.sounding - end
        drop = round(excess * line.rate) if 0 < excess < PADDING else 0
        for place, block in enumerate(blocks):
            after = sum(map(len, blocks[place + 1 :]))
            keep = len(block) - max(0, min(len(block), drop - after))
            line.done -= len(block) - keep
            yield block[:keep]

    def _checked(self, block: np.ndarray, line: Timeline) -> np.ndarray:
        if not np.isfinite(block).all():
            at = (line.length + np.flatnonzero(~np.isfinite(block).all(1))[0]) / line.rate
            raise UserError(f"{self.path}: sample at {at:.2f} s is NaN or infinite; repair or replace the file")
        return block

    def _tell(self, line: Timeline, breaks: int, joints: int) -> None:
        """What was noticed while it was read."""
        silent, heard = line.silence / line.rate, line.sounding
        if breaks:
            self.words.append(f"is damaged in {_times(breaks, 'place')}; {silent:.2f} s of its sound are silent there")
        elif silent:
            self.words.append(f"its time stamps leave {silent:.2f} s without sound, which are silent")
        if line.led:
            self.words.append(f"its sound begins {line.led / line.rate:.2f} s after the pictures; silence leads it")
        if joints:
            self.words.append(f"its time starts again in {_times(joints, 'place')}; what follows there is joined on")
        if self.track.promised is not None and not joints and self.track.promised - heard > LEAST_MISSING:
            self.missing = self.track.promised - heard
            self.words.append(
                f"is cut short: {heard:.2f} of {self.track.promised:.2f} s are there, {self.missing:.2f} s are missing"
            )


class Mix:
    """Decoded frames to float32 (samples, mixed channels) at one rate, whatever a frame's own form."""

    def __init__(self, track: SoundTrack, mixer: np.ndarray) -> None:
        self.track, self.mixer = track, mixer
        self._form: tuple = ()
        self._planar = av.AudioResampler(format="fltp")
        self._to_rate: Resampler | None = None

    def __call__(self, frame: AudioFrame) -> np.ndarray:
        form = frame.format.name, frame.layout.name, frame.sample_rate
        if form != self._form:
            other = frame.sample_rate != self.track.rate
            self._form, self._planar = form, av.AudioResampler(format="fltp")
            self._to_rate = Resampler(frame.sample_rate, self.track.rate, self.mixer.shape[1]) if other else None
        samples = np.concatenate([block.to_ndarray().T for block in self._planar.resample(frame)])
        mixer = self.mixer
        if len(mixer) != samples.shape[1]:  # as where another stream was joined
            names = [channel.name for channel in frame.layout.channels]
            mixer = np.float32(self.track.scale) * np.repeat(to_mono(names, samples)[:, None], mixer.shape[1], axis=1)
        mixed = samples @ mixer
        return mixed if self._to_rate is None else self._to_rate(mixed)


def survey(path: Path, listen: bool = True) -> tuple[list[SoundTrack], bool]:
    """The sound tracks of a file, and whether it has moving pictures.

    Args:
        path: of the file.
        listen: to its first seconds too, not to its headers alone.

    Raises UserError when there is no such file, no sound in it, or none that a recorder could have made.
    """
    with opened(path) as container:
        streams = sound_tracks(container)
        if not streams and container.streams.audio:
            raise UserError(f"{path}: its audio track is of no known format; replace the file")
        if not streams:
            raise UserError(f"{path}: has no audio track; give a file with sound")
        for stream in streams:
            _check(path, stream)
        heard = _listen(path, container, streams) if listen else [np.zeros((0, 1), np.float32)] * len(streams)
        form = container.format.name
        tracks = []
        for number, (stream, samples) in enumerate(zip(streams, heard, strict=True), start=1):
            names = tuple(channel.name for channel in stream.codec_context.layout.channels)
            length = seconds(stream.duration, stream)
            if length is None and container.duration:
                length = container.duration / av.time_base
            loudest = float(np.abs(samples[np.isfinite(samples)]).max(initial=0.0))
            weights = to_mono(names, samples)
            mono = samples @ weights if samples.shape[1] == len(weights) else samples.mean(1)
            track = SoundTrack(
                number,
                stream.rate,
                names,
                weights,
                1 / OF_16_BITS if loudest > FULL_SCALE else 1.0,
                voice(mono, stream.rate) if len(streams) > 1 else 0.0,
                length,
                promised(path, form, length, (stream.bit_rate or 0) / 8),
            )
            _check_length(path, track)
            tracks.append(track)
        return tracks, bool(films(container))


def _listen(path: Path, container: InputContainer, streams: list[AudioStream]) -> list[np.ndarray]:
    """The first seconds of each track, (samples, channels)."""
    parts: dict[int, list[np.ndarray]] = {stream.index: [] for stream in streams}
    left = {stream.index: round(LOOK * stream.rate) for stream in streams}
    forms = {stream.index: av.AudioResampler(format="fltp") for stream in streams}
    for packet in Reader(path, container, streams):
        index, at = packet.stream.index, seconds(packet.pts, packet) or 0.0
        if max(left.values()) <= 0 or at > 2 * LOOK + (seconds(packet.stream.start_time, packet.stream) or 0.0):
            break
        if left[index] > 0:
            with suppress(av.FFmpegError, ValueError):  # what cannot be decoded, or changes its form, tells nothing
                for frame in cast(list[AudioFrame], packet.decode()):
                    parts[index] += [block.to_ndarray().T for block in forms[index].resample(frame)]
                    left[index] -= frame.samples
    return [_joined(blocks) for blocks in parts.values()]


def _joined(blocks: list[np.ndarray]) -> np.ndarray:
    """Those that have as many channels as the first, (samples, channels)."""
    if not blocks:
        return np.zeros((0, 1), np.float32)
    return np.concatenate([block for block in blocks if block.shape[1] == blocks[0].shape[1]])


def _begin(track: AudioStream, film: av.VideoStream | None, start: float | None) -> float:
    """Time of the first sample on the time line: that of the first picture where it is earlier than the sound's."""
    own = 0.0 if start is None else start
    shown = seconds(film.start_time, film) if film else None
    return own if shown is None else min(own, shown)


def _check_length(path: Path, track: SoundTrack) -> None:
    """Raise UserError for a length that no sound of the file's size can have."""
    size = path.stat().st_size
    length = track.promised or track.seconds or 0.0
    if length * FAINTEST > size:
        claimed = f"{length / 3600:,.1f} hours" if length > 3600 else f"{length:.1f} s"
        raise UserError(f"{path}: claims {claimed} of sound in {size:,} bytes; replace the file")


def _times(count: int, of: str) -> str:
    return f"one {of}" if count == 1 else f"{count} {of}s"


def _check(path: Path, stream: AudioStream) -> None:
    """Raise UserError for what no recorder makes."""
    if not RATES[0] <= stream.rate <= RATES[1]:
        raise UserError(f"{path}: has a sampling rate of {stream.rate:,} Hz, which no recorder uses; correct the file")
    if not 1 <= stream.channels <= MOST_CHANNELS:
        raise UserError(f"{path}: claims {stream.channels:,} channels; replace the file")
