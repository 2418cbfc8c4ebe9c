"""The corpus on disk: one folder with a manifest, 16-bit audio, lip regions and fixed lists of mixtures.

The folder:

    manifest.jsonl     one Clip a line; written last, so a folder that has it is complete
    audio/<id>.wav     16 kHz mono 16-bit
    lips/<id>.npy      uint8 (frames, 96, 96)
    lists/<name>.jsonl one MixtureSpec a line
    scenes.jsonl       one Scene a line, where the recordings came with mixtures of their own
    rooms/<split>/     impulse responses, where they were given (`supernet.data.mixing.rooms`)

or, packed by `supernet.data.shards`, with shards/*.tar and shards.jsonl in place of audio/ and lips/.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.io import wavfile

from supernet.errors import UserError
from supernet.files import write_atomically, write_text
from supernet.timing import SAMPLE_RATE

Role = Literal["talker", "speech", "noise", "mixture"]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

MANIFEST = "manifest.jsonl"
LISTS = "lists"
SHARDS = "shards.jsonl"
SCENES = "scenes.jsonl"
ROOMS = "rooms"
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


class Corpus:
    """Clips in a folder. Audio and lips are memory-mapped: reading an excerpt costs its own bytes only.

    Args:
        scenes: mixtures as given; those that the folder lists when not given.
        packed: where arrays lie in shards, by what `Clip.audio` and `Clip.lips` say; others are files.
    """

    def __init__(
        self,
        folder: Path | str,
        clips: Iterable[Clip],
        scenes: Iterable[Scene] | None = None,
        packed: Mapping[str, Member] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.clips = tuple(clips)
        self._scenes = scenes
        self.packed = packed or {}

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """The mixtures as given, none for most corpora. Raises UserError for a line that is no scene of its clips."""
        if self._scenes is not None:
            return tuple(self._scenes)
        path, scenes = self.folder / SCENES, []
        lines = path.read_text().splitlines() if path.is_file() else []
        for number, line in enumerate(lines, start=1):
            try:
                scene = Scene(**json.loads(line))
                for clip_id in (scene.target, scene.mixture):
                    self._by_id[clip_id]
            except (ValueError, TypeError, KeyError) as error:
                raise UserError(f"{path}: line {number} is no scene ({error}); delete the folder and prepare it again")
            scenes.append(scene)
        return tuple(scenes)

    @classmethod
    def open(cls, folder: Path | str) -> Corpus:
        """Raises UserError when the folder holds no manifest, or one that cannot be read."""
        path = Path(folder) / MANIFEST
        if not path.is_file():
            raise UserError(f"{path}: not found; prepare the corpus first (`ofa-avse data`) or correct the folder")
        clips = []
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                clips.append(Clip(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise UserError(f"{path}: line {number} is no clip ({error}); delete the folder and prepare it again")
        if not clips:
            raise UserError(f"{path}: holds no clip; delete the folder and prepare it again")
        return cls(folder, clips, packed=_read_shards(path.with_name(SHARDS)))

    @classmethod
    def write(cls, folder: Path | str, clips: Iterable[Clip]) -> Corpus:
        """Write the manifest atomically, and return the corpus."""
        corpus = cls(folder, clips)
        write_lines(corpus.folder / MANIFEST, (asdict(clip) for clip in corpus.clips))
        return corpus

    def joined(self, others: Sequence[Corpus]) -> Corpus:
        """This corpus with the training clips of others, each in its own folder; names get a number before them, for
        two corpora may use the same. Raises UserError when a folder comes twice.
        """
        folders = [corpus.folder.resolve() for corpus in (self, *others)]
        if len(set(folders)) < len(folders):
            raise UserError("data.also: names a corpus twice, or the run's own; name each once")
        clips, scenes, packed = list(self.clips), list(self.scenes), dict(self.packed)
        for number, (folder, other) in enumerate(zip(folders[1:], others), start=1):
            for scene in other.scenes:
                if other.clip(scene.target).split == "train":
                    scenes.append(
                        replace(scene, target=f"{number}:{scene.target}", mixture=f"{number}:{scene.mixture}")
                    )
            for clip in other.select(split="train"):
                names = {"id": f"{number}:{clip.id}", "speaker": clip.speaker and f"{number}:{clip.speaker}"}
                places = {"audio": str(folder / clip.audio), "lips": clip.lips and str(folder / clip.lips)}
                clips.append(replace(clip, **names, **places))
            packed |= {str(folder / name): member for name, member in other.packed.items()}
        return Corpus(self.folder, clips, scenes, packed)

    @cached_property
    def _by_id(self) -> dict[str, Clip]:
        return {clip.id: clip for clip in self.clips}

    def clip(self, clip_id: str) -> Clip:
        """Raises UserError when the manifest has no such clip."""
        try:
            return self._by_id[clip_id]
        except KeyError:
            raise UserError(f"{self.folder / MANIFEST}: has no clip '{clip_id}'; the list belongs to another corpus")

    def select(self, role: Role | None = None, split: Split | None = None) -> list[Clip]:
        return [c for c in self.clips if role in (None, c.role) and split in (None, c.split)]

    def describe(self) -> str:
        """One line: how many clips and minutes of what."""
        parts = []
        names = {"talker": "talking clips", "speech": "speech clips", "noise": "noises", "mixture": "recorded mixtures"}
        for role, name in names.items():
            if clips := self.select(role):
                voices = f" of {len({c.speaker for c in clips})} voices" if role in ("talker", "speech") else ""
                minutes = sum(clip.samples for clip in clips) / SAMPLE_RATE / 60
                parts.append(f"{len(clips)} {name}{voices}, {minutes:.0f} min")
        return "; ".join(parts)

    def audio(self, clip: Clip, start: int = 0, samples: int | None = None) -> np.ndarray:
        """Excerpt from sample `start`, float32 (samples,) in [-1, 1); to the end when `samples` is None."""
        stop = clip.samples if samples is None else start + samples
        _check_range(clip, start, stop, clip.samples, "samples")
        return _map(self._place(clip.audio))[start:stop].astype(np.float32) / 32768

    def lips(self, clip: Clip, start: int = 0, frames: int | None = None) -> np.ndarray:
        """Excerpt from video frame `start`, uint8 (frames, 96, 96), a read-only view of the file."""
        stop = clip.frames if frames is None else start + frames
        _check_range(clip, start, stop, clip.frames, "frames")
        return _map(self._place(clip.lips))[start:stop]

    def level(self, clip: Clip) -> float:
        """RMS of the whole clip, in [0, 1]."""
        return _level(self._place(clip.audio))

    def _place(self, name: str) -> str | Member:
        return self.packed.get(name) or os.path.join(self.folder, name)  # a Path would cost more than the reading

    @property
    def hash(self) -> str:
        """sha256 over the manifest, all lists and, where there are any, scenes and impulse responses: what an
        evaluation on this corpus depends on."""
        digest = hashlib.sha256((self.folder / MANIFEST).read_bytes())
        further = [path for path in [self.folder / SCENES] if path.is_file()]
        further += sorted((self.folder / ROOMS).rglob("*.wav"))
        for path in sorted((self.folder / LISTS).glob("*.jsonl")) + further:
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
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
    again = "delete the corpus folder and prepare it again"
    try:
        if path.suffix != ".wav":
            return np.load(path, mmap_mode="r")
        rate, wave = wavfile.read(path, mmap=True)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {again}")
    if (rate, wave.dtype, wave.ndim) != (SAMPLE_RATE, np.int16, 1):
        raise UserError(f"{path}: must be 16 kHz mono 16-bit; {again}")
    return wave


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """Write a JSON-lines file atomically: it is there completely, or as it was before."""
    write_text(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))


def _check_range(clip: Clip, start: int, stop: int, length: int, unit: str) -> None:
    if not 0 <= start <= stop <= length:
        raise UserError(f"clip '{clip.id}': has {length} {unit}, {start} to {stop} were asked for; rebuild the list")


def _read_shards(path: Path) -> dict[str, Member]:
    """Members by their names in the manifest; none where the corpus is not packed."""
    packed: dict[str, Member] = {}
    if not path.is_file():
        return packed
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            row = json.loads(line)
            shard = str(path.parent / row["shard"])
            packed[row["name"]] = Member(shard, int(row["offset"]), str(row["dtype"]), tuple(map(int, row["shape"])))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: line {number} is no member of a shard ({error!r}); pack the corpus again")
    return packed


@lru_cache(maxsize=OPEN_FILES)
def _map(place: str | Member) -> np.ndarray:
    """Sound or lips, wherever they lie: a plain array, for each slice of a memmap costs 20 us more."""
    return _map_member(place) if isinstance(place, Member) else np.asarray(map_file(Path(place)))


def _map_member(member: Member) -> np.ndarray:
    shard = _map_shard(member.shard)
    size = math.prod(member.shape) * np.dtype(member.dtype).itemsize
    content = shard[member.offset : member.offset + size]
    if len(content) < size:
        raise UserError(f"{member.shard}: is cut short; copy it again, or pack the corpus again")
    return content.view(member.dtype).reshape(member.shape)


@cache
def _map_shard(path: str) -> np.ndarray:
    """The bytes of a shard, uint8 (size,), read-only; the file itself does not stay open."""
    try:
        return np.asarray(np.memmap(path, np.uint8, "r"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); copy it again, or pack the corpus again")


@cache
def _level(place: str | Member) -> float:
    wave = _map(place).astype(np.float32)
    return float(np.sqrt(np.mean(wave**2))) / 32768
