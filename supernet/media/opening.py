"""Media files opened by what they hold, whatever they are called, and packets in the order of one clock.

The stamps of a file may start again, as where streams were joined end to end; what follows is then moved behind what
came before, the same for every track, so that sound and pictures of all parts stay together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from supernet.errors import UserError
from supernet.media import matroska
from supernet.storage.signals import heed

Track = AudioStream | VideoStream

BACK = Fraction(1)  # s by which stamps go back where they start again; less is the order of decoding
AHEAD = 3600.0  # s by which they go ahead where they are wrong; less may be a pause
NO_MEDIA = {"tty", "hls", "concat", "dash", "sdp", "rtsp", "srt", "ass", "webvtt", "ffmetadata", "lrc", "subviewer"}
UNSTAMPED = {"mp3", "aac", "ac3", "eac3", "dts", "mp2"}  # streams of frames alone, whose times are counted
TAGS = (b"ID3", b"TAG", b"APETAGEX")  # text between such frames
TRIES = 100  # packets in a row that cannot be read, after which a file ends


def check_file(path: Path) -> None:
    """Raise UserError, in a line that begins with the path, unless it is a file with something in it."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder, not a file; rename or remove it")
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: is a link to nothing; restore {os.readlink(path)}")
    if not path.exists():
        raise UserError(f"{path}: no such file; correct the path")
    if not path.is_file():
        raise UserError(f"{path}: is no regular file; remove it")
    if not os.access(path, os.R_OK):
        raise UserError(f"{path}: may not be read; change its permissions")
    if not path.stat().st_size:
        raise UserError(f"{path}: is empty (0 bytes); replace the file")


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A media file, open. Raises UserError naming it when it is none, or what is done with it breaks off."""
    check_file(path)
    with path.open("rb") as file:  # by its content: names may hold a colon, which FFmpeg reads as a protocol's
        try:
            with av.open(file, metadata_errors="ignore") as container:
                if container.format.name in NO_MEDIA:
                    raise UserError(f"{path}: is neither sound nor video, but {container.format.long_name}")
                yield cast(InputContainer, container)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            reason = getattr(error, "strerror", error)
            raise UserError(f"{path}: cannot be read as sound or video ({reason}); replace the file") from error


def sound_tracks(container: InputContainer) -> list[AudioStream]:
    """Those that can be decoded."""
    return [track for track in container.streams.audio if track.codec_context is not None and track.rate]


def film_of(container: InputContainer) -> VideoStream | None:
    """The first track of moving pictures; the cover of a song is none, nor is what cannot be decoded."""
    tracks = films(container)
    return tracks[0] if tracks and tracks[0].codec_context is not None else None


def films(container: InputContainer) -> list[VideoStream]:
    """All tracks of moving pictures, whether they can be decoded or not."""
    return [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]


def picture_track(path: Path, container: InputContainer) -> VideoStream:
    """The same. Raises UserError where there is none."""
    track = film_of(container)
    if track is None and films(container):
        raise UserError(f"{path}: its video track is of no known format; replace the file")
    if track is None:
        raise UserError(f"{path}: has no video track; give a file with pictures")
    if not (track.width and track.height):
        raise UserError(f"{path}: its video track has no size; replace the file")
    return track


def seconds(ticks: int | None, clock: Any) -> float | None:
    """Of ticks of a clock's `time_base`."""
    return None if ticks is None or clock.time_base is None else float(ticks * clock.time_base)


class Reader:
    """Packets of some tracks, in the order of the file, on one clock.

    Args:
        path: of the file.
        container: the same, open.
        tracks: whose packets are wanted.
    """

    def __init__(self, path: Path, container: InputContainer, tracks: Sequence[Track]) -> None:
        self.path, self.container = path, container
        self.tracks = [track.index for track in tracks]
        self.joints = 0  # where the stamps started again
        whole = container.duration / av.time_base if container.duration else AHEAD
        self._ahead = min(AHEAD, whole + BACK)  # s; no pause is longer than the file
        self.breaks = 0  # where packets could not be read
        self._part = dict.fromkeys(self.tracks, 0)
        self._shifts = [Fraction(0)]  # of each part, s
        self._latest: dict[int, Fraction] = {}  # of each track, on the common clock
        self._end = Fraction(0)
        self._place = 0  # in the file, bytes
        self._bytes = self._count = 0  # of the packets

    def frames(self, track: Any) -> Iterator[Any]:
        """The decoded frames of one of the tracks; what cannot be decoded is left out, and counted in `breaks`."""
        for packet in chain(self, [None]):
            if packet is None or packet.stream.index == track.index:
                try:
                    yield from track.decode(packet)
                except av.FFmpegError:
                    if packet is not None and not bytes(packet).startswith(TAGS):
                        self.breaks += 1
                        self._lose(packet)

    def __iter__(self) -> Iterator[Packet]:
        yield from self._packets(self.container, 0)
        while "matroska" in self.container.format.name and (found := matroska.rest(self.path, self._place + 1)):
            self.breaks += 1
            with suppress(av.FFmpegError, IndexError), av.open(found, metadata_errors="ignore") as container:
                yield from self._packets(cast(InputContainer, container), found.place - len(found.head))
            self._place = max(self._place, found.place)

    def _packets(self, container: InputContainer, offset: int) -> Iterator[Packet]:
        """Of a file that begins so many bytes into the whole."""
        tracks = [container.streams[index] for index in self.tracks]
        packets, failed = container.demux(*tracks), 0
        while failed < TRIES:
            heed()
            try:
                packet = next(packets)
            except StopIteration:
                return
            except IndexError:  # of a track that begins in the middle, which PyAV does not know
                packets = container.demux(*tracks)
                continue
            except av.FFmpegError:
                failed += 1
                self.breaks += failed == 1
                packets = container.demux(*tracks)
                continue
            failed = 0
            if packet.pos is not None and packet.pos >= 0:
                self._place = max(self._place, offset + packet.pos + packet.size)
            if packet.size:  # FFmpeg ends with empty ones
                self._bytes, self._count = self._bytes + packet.size, self._count + 1
                self._move(packet)
                yield packet

    def _lose(self, packet: Packet) -> None:
        """In a stream of frames alone, a packet that is no frame, but longer than one, is the time of several."""
        if self.container.format.name in UNSTAMPED and packet.duration and packet.time_base is not None:
            frames = round(packet.size * self._count / self._bytes)
            self._shifts[-1] += max(0, frames - 1) * packet.duration * packet.time_base

    def _move(self, packet: Packet) -> None:
        """A packet's stamps onto the common clock."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or packet.time_base is None:
            return
        track, base = packet.stream.index, packet.time_base
        time = stamp * base + self._shifts[self._part[track]]
        latest = self._latest.get(track)
        if latest is not None and not -BACK <= time - latest <= self._ahead:
            self._part[track] += 1
            if self._part[track] == len(self._shifts):
                self._shifts.append(self._end - stamp * base)
                self.joints += 1
            time = stamp * base + self._shifts[self._part[track]]
        shift = self._shifts[self._part[track]] / base
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + round(shift)
            packet.dts = None if packet.dts is None else packet.dts + round(shift)
        self._latest[track] = max(time, latest) if latest is not None and -BACK <= time - latest else time
        self._end = max(self._end, time + min((packet.duration or 0) * base, BACK))
