"""The corpus on disk: one folder with a manifest, 16-bit audio, lip regions and fixed lists of mixtures.

The folder:

    manifest.jsonl     one Clip a line; written last, so a folder that has it is complete
    audio/<id>.wav     16 kHz mono 16-bit
    lips/<id>.npy      uint8 (frames, 96, 96)
    lists/<name>.jsonl one MixtureSpec a line
    scenes.jsonl       one Scene a line, where the recordings came with mixtures of their own
    rooms/<split>/     impulse responses, where they were given (`supernet.data.mixing.rooms`)
    SHA256SUMS         hashes of all these (`supernet.data.sums`)

or, packed by `supernet.data.shards`, with shards/*.tar and shards.jsonl in place of audio/ and lips/.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, cast, get_args

import numpy as np
from msgspec import Meta
from scipy.io import wavfile

from supernet.data.sums import check, file_hash, read_sums, write_sums
from supernet.errors import UserError
from supernet.storage.files import read_lines, write_atomically, write_text
from supernet.timing import SAMPLE_RATE

Role = Literal["talker", "speech", "noise", "mixture"]
Split = Literal["train", "val", "test"]
Made = tuple[int, ...]  # tells a corpus from another that was in its folder before
SPLITS: tuple[Split, ...] = get_args(Split)

MANIFEST = "manifest.jsonl"
LISTS = "lists"
SHARDS = "shards.jsonl"
PACK = "pack.json"  # marks no corpus, but what `supernet.data.compact` makes one of
SCENES = "scenes.jsonl"
ROOMS = "rooms"
AGAIN = "delete the folder and prepare it again"
OPEN_FILES = 8192  # memory maps kept: far below the kernel's 65,530 a process; a shard is a single one


@dataclass(frozen=True)
class Clip:
    """One recording. `talker` has audio and lips, `speech` audio only, `noise` has a category and no speaker; `mixture`
    is a recorded mixture, aligned with the talker's clip that is heard in it and as long."""

    id: str
    role: Role
    split: Split
    speaker: str  # "" for noise; the target's for a mixture
    category: str  # kind of noise or of masker, "" otherwise
    audio: str  # path below the corpus folder
    lips: str  # path below the corpus folder, "" without lips
    samples: int  # at 16 kHz
    frames: int  # whole video frames, at 25 fps
    source: str  # where it came from: a file, or the settings of a synthetic voice


@dataclass(frozen=True)
class Scene:
    """A mixture that was recorded, or made by others, with its target alone beside it."""

    target: str  # clip id
    mixture: str  # clip id
    snr_db: float | None  # as its makers noted it, None where they did not
    kind: str  # what the masker is, in the makers' words


class Member(NamedTuple):
    """An array within a shard: `offset` bytes from its beginning, not compressed."""

    shard: str  # path; in shards.jsonl below the corpus folder
    offset: int
    dtype: str
    shape: tuple[int, ...]
    content: str = ""  # sha256 of its bytes; "" in shards of former versions


class Corpus:
    """Clips in a folder. Audio and lips are memory-mapped: reading an excerpt costs its own bytes only.

    Args:
        scenes: mixtures as given; those that the folder lists when not given.
        packed: where arrays lie in shards, by what `Clip.audio` and `Clip.lips` say; others are files.
        sums: hashes of files by the same names, checked when a file is first read.
    """

    def __init__(
        self,
        folder: Path | str,
        clips: Iterable[Clip],
        scenes: Iterable[Scene] | None = None,
        packed: Mapping[str, Member] | None = None,
        sums: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.clips = tuple(clips)
        self._scenes = scenes
        self.packed, self.sums = packed or {}, sums or {}
        self.made = _made(self.folder / MANIFEST)  # what is kept of files in memory is of this corpus alone

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """The mixtures as given, none for most corpora. Raises UserError for a line that is no scene of its clips."""
        if self._scenes is not None:
            return tuple(self._scenes)
        path = self.folder / SCENES
        scenes = read_lines(path, Scene, "scene", AGAIN) if path.is_file() else []
        for number, scene in enumerate(scenes, start=1):
            if missing := {scene.target, scene.mixture} - self._by_id.keys():
                raise UserError(f"{path}: line {number} is no scene (there is no clip '{missing.pop()}'); {AGAIN}")
        self.check(SCENES)
        return tuple(scenes)

    @classmethod
    def open(cls, folder: Path | str) -> Corpus:
        """Raises UserError when the folder holds no manifest, or one that cannot be read."""
        path = Path(folder) / MANIFEST
        if not path.is_file():
            raise UserError(f"{path}: not found; prepare the corpus first (`ofa-avse data`) or correct the folder")
        clips = read_lines(path, Clip, "clip", AGAIN)
        if not clips:
            raise UserError(f"{path}: holds no clip; {AGAIN}")
        corpus = cls(folder, clips, packed=_read_shards(path.with_name(SHARDS)), sums=read_sums(path.parent))
        for name in (MANIFEST, SHARDS):
            corpus.check(name)
        return corpus

    @classmethod
    def write(cls, folder: Path | str, clips: Iterable[Clip]) -> Corpus:
        """Write the hashes of the files and, atomically, the manifest; and return the corpus."""
        corpus = cls(folder, clips)
        manifest = lines(map(asdict, corpus.clips))
        names = [name for clip in corpus.clips for name in (clip.audio, clip.lips) if (corpus.folder / name).is_file()]
        write_sums(corpus.folder, [*names, *corpus.listed], {MANIFEST: manifest.encode()})
        write_text(corpus.folder / MANIFEST, manifest)
        return cls(folder, corpus.clips, sums=read_sums(corpus.folder))

    def joined(self, others: Sequence[Corpus]) -> Corpus:
        """This corpus with the training clips of others, each in its own folder; names get a number before them, for
        two corpora may use the same. Raises UserError when a folder comes twice.
        """
        folders = [corpus.folder.resolve() for corpus in (self, *others)]
        if len(set(folders)) < len(folders):
            raise UserError("data.also: names a corpus twice, or the run's own; name each once")
        clips, scenes, packed, sums = list(self.clips), list(self.scenes), dict(self.packed), dict(self.sums)
        for number, (folder, other) in enumerate(zip(folders[1:], others, strict=True), start=1):
            for scene in other.scenes:
                if other.clip(scene.target).split == "train":
                    scenes.append(
                        replace(scene, target=f"{number}:{scene.target}", mixture=f"{number}:{scene.mixture}")
                    )
            for clip in other.select(split="train"):
                speaker, lips = clip.speaker and f"{number}:{clip.speaker}", clip.lips and str(folder / clip.lips)
                own = replace(clip, id=f"{number}:{clip.id}", speaker=speaker)
                clips.append(replace(own, audio=str(folder / clip.audio), lips=lips))
            packed |= {str(folder / name): member for name, member in other.packed.items()}
            sums |= {str(folder / name): value for name, value in other.sums.items()}
        joined = Corpus(self.folder, clips, scenes, packed, sums)
        joined.made = sum((corpus.made for corpus in (self, *others)), ())
        return joined

    @cached_property
    def _by_id(self) -> dict[str, Clip]:
        return {clip.id: clip for clip in self.clips}

    def clip(self, clip_id: str) -> Clip:
        """Raises UserError when the manifest has no such clip."""
        try:
            return self._by_id[clip_id]
        except KeyError:
            path = self.folder / MANIFEST
            raise UserError(f"{path}: has no clip '{clip_id}'; the list belongs to another corpus") from None

    def select(self, role: Role | None = None, split: Split | None = None) -> list[Clip]:
        return [c for c in self.clips if role in (None, c.role) and split in (None, c.split)]

    def describe(self) -> str:
        """One line: how many clips and minutes of what."""
        parts = []
        names: dict[Role, str] = {
            "talker": "talking clips",
            "speech": "speech clips",
            "noise": "noises",
            "mixture": "recorded mixtures",
        }
        for role, name in names.items():
            if clips := self.select(role):
                voices = f" of {len({c.speaker for c in clips})} voices" if role in ("talker", "speech") else ""
                minutes = sum(clip.samples for clip in clips) / SAMPLE_RATE / 60
                parts.append(f"{len(clips)} {name}{voices}, {minutes:.0f} min")
        return "; ".join(parts)

    def audio(self, clip: Clip, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Excerpt from sample `start`, float32 (samples,) in [-1, 1); to the end when `samples` is None."""
        stop = clip.samples if samples is None else start + samples
        wave = self._array(clip.audio)
        _check_range(clip, start, stop, min(clip.samples, len(wave)), "samples")
        return wave[start:stop].astype(np.float32) / 32768

    def lips(self, clip: Clip, start: int = 0, frames: int | None = None) -> np.ndarray:
        """Excerpt from video frame `start`, uint8 (frames, 96, 96), a read-only view of the file."""
        stop = clip.frames if frames is None else start + frames
        lips = self._array(clip.lips)
        _check_range(clip, start, stop, min(clip.frames, len(lips)), "frames")
        return lips[start:stop]

    def level(self, clip: Clip) -> float:
        """RMS of the whole clip, in [0, 1]."""
        return _level(self._place(clip.audio), self.sums.get(clip.audio), self.made)

    def _array(self, name: str) -> np.ndarray:
        return _map(self._place(name), self.sums.get(name), self.made)

    def _place(self, name: str) -> str | Member:
        return self.packed.get(name) or os.path.join(self.folder, name)  # a Path would cost more than the reading

    def check(self, name: str) -> None:
        """Raise UserError when a file of the corpus is another than its hash says; once a process."""
        if expected := self.sums.get(name):
            _check_file(os.path.join(self.folder, name), expected, self.made)

    @property
    def listed(self) -> list[str]:
        """Names of the files, beside the manifest, that decide what mixtures are made of the clips."""
        lists, rooms = (self.folder / LISTS).glob("*.jsonl"), (self.folder / ROOMS).rglob("*.wav")
        paths = [*sorted(lists), self.folder / SCENES, *sorted(rooms)]
        return [path.relative_to(self.folder).as_posix() for path in paths if path.is_file()]

    @property
    def hash(self) -> str:
        """sha256 over the manifest, all lists and, where there are any, scenes and impulse responses: what an
        evaluation on this corpus depends on."""
        digest = hashlib.sha256((self.folder / MANIFEST).read_bytes())
        for name in self.listed:
            self.check(name)
            digest.update(os.path.basename(name).encode())
            digest.update((self.folder / name).read_bytes())
        return digest.hexdigest()


def save_audio(path: Path, wave: np.ndarray) -> None:
    """Write int16 (samples,) at 16 kHz, atomically."""
    write_atomically(path, lambda temporary: wavfile.write(temporary, SAMPLE_RATE, wave))


def save_lips(path: Path, lips: np.ndarray) -> None:
    """Write uint8 (frames, 96, 96), atomically."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a path, numpy would add a suffix
            np.save(file, lips)

    write_atomically(path, write)


def map_file(path: Path) -> np.memmap:
    """A file of a corpus: int16 (samples,) for a .wav, uint8 (frames, 96, 96) for lips; read-only.

    Its `offset` is where in the file the values begin. Raises UserError when it is not what this program writes.
    """
    try:
        if path.suffix == ".wav":
            rate, array = wavfile.read(path, mmap=True)
        else:
            rate, array = SAMPLE_RATE, np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError, ArithmeticError, UnboundLocalError, struct.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); {AGAIN}") from error
    if path.suffix == ".wav" and (rate, array.dtype, array.ndim) != (SAMPLE_RATE, np.int16, 1):
        raise UserError(f"{path}: must be 16 kHz mono 16-bit; {AGAIN}")
    if path.suffix != ".wav" and (array.dtype, array.ndim) != (np.uint8, 3):
        raise UserError(f"{path}: must be 8-bit pictures; {AGAIN}")
    return cast(np.memmap, array)


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """Write a JSON-lines file atomically: it is there completely, or as it was before."""
    write_text(path, lines(rows))


def lines(rows: Iterable[dict]) -> str:
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)


def _check_range(clip: Clip, start: int, stop: int, length: int, unit: str) -> None:
    if not 0 <= start <= stop <= length:
        raise UserError(f"clip '{clip.id}': has {length} {unit}, {start} to {stop} were asked for; rebuild the list")


@dataclass(frozen=True)
class _Line:
    """Of shards.jsonl: the name in the manifest, and the Member."""

    name: str
    shard: str
    offset: Annotated[int, Meta(ge=0)]
    dtype: Literal["<i2", "|u1"]
    shape: tuple[Annotated[int, Meta(ge=0)], ...]
    content: str = ""


def _read_shards(path: Path) -> dict[str, Member]:
    """Members by their names in the manifest; none where the corpus is not packed."""
    if not path.is_file():
        return {}
    members = read_lines(path, _Line, "member of a shard", "pack the corpus again")
    return {m.name: Member(str(path.parent / m.shard), m.offset, m.dtype, m.shape, m.content) for m in members}


def _made(manifest: Path) -> Made:
    if not manifest.is_file():
        return ()
    file = manifest.stat()
    return file.st_ino, file.st_mtime_ns


@lru_cache(maxsize=OPEN_FILES)
def _map(place: str | Member, expected: str | None, made: Made) -> np.ndarray:
    """Sound or lips, wherever they lie: a plain array, for each slice of a memmap costs 20 us more."""
    if isinstance(place, Member):
        return _map_member(place, made)
    if expected:
        _check_file(place, expected, made)
    return np.asarray(map_file(Path(place)))


@cache
def _check_file(path: str, expected: str, made: Made) -> None:
    check(Path(path), file_hash(Path(path)), expected)


def _map_member(member: Member, made: Made) -> np.ndarray:
    shard = _map_shard(member.shard, made)
    size = math.prod(member.shape) * np.dtype(member.dtype).itemsize
    content = shard[member.offset : member.offset + size]
    if len(content) < size:
        raise UserError(f"{member.shard}: is cut short; copy it again, or pack the corpus again")
    if member.content and not _is_intact(member, made):
        raise UserError(f"{member.shard}: is damaged at byte {member.offset}; copy it again, or pack the corpus again")
    return content.view(member.dtype).reshape(member.shape)


@cache
def _map_shard(path: str, made: Made) -> np.ndarray:
    """The bytes of a shard, uint8 (size,), read-only; the file itself does not stay open."""
    try:
        return np.asarray(np.memmap(path, np.uint8, "r"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); copy it again, or pack the corpus again") from error


@cache
def _is_intact(member: Member, made: Made) -> bool:
    size = math.prod(member.shape) * np.dtype(member.dtype).itemsize
    content = _map_shard(member.shard, made)[member.offset : member.offset + size]
    return hashlib.sha256(content.data).hexdigest() == member.content


@cache
def _level(place: str | Member, expected: str | None, made: Made) -> float:
    wave = _map(place, expected, made).astype(np.float32)
    return float(np.sqrt(np.mean(wave**2))) / 32768
