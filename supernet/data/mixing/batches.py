"""Batches of mixtures: random ones for training, fixed lists for validation and test."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np
import torch

from supernet.checkpoint import identity_hash
from supernet.data.corpus import LISTS, Corpus
from supernet.data.mixing.degradations import degrade
from supernet.data.mixing.draw import Drawing
from supernet.data.mixing.realise import Example, realise
from supernet.data.mixing.spec import MixtureSpec
from supernet.data.settings import DEGRADING, MIXING, DataSettings, Degradation, whole_frames
from supernet.errors import UserError
from supernet.space import PIXELS, REGION
from supernet.storage.files import read_lines

MARGIN = REGION - PIXELS  # of a lip region, around what the network sees
LIPS = ("true", "none", "other", *get_args(Degradation))  # what a test can show


@dataclass(frozen=True)
class Batch:
    """Mixtures of equal length; lips are zeros where `lips_present` is False."""

    mixture: torch.Tensor  # float32 (batch, samples)
    clean: torch.Tensor  # float32 (batch, samples)
    lips: torch.Tensor  # uint8 (batch, frames, 88, 88)
    lips_present: torch.Tensor  # bool (batch,)

    def to(self, device: torch.device | str) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__dataclass_fields__))

    def pin_memory(self) -> Batch:
        """In memory from which a copy to a GPU need not be waited for; asked for by torch's DataLoader."""
        return Batch(*(getattr(self, name).pin_memory() for name in self.__dataclass_fields__))


class TrainingMixtures:
    """Random mixtures of the training split. A batch is a pure function of (seed, step).

    Args:
        clip_seconds: length of an excerpt, a multiple of 0.04 s.
        lip_dropout: share of the examples that come without lips.
    """

    def __init__(
        self,
        corpus: Corpus,
        settings: DataSettings,
        batch_size: int,
        clip_seconds: float,
        lip_dropout: float,
        seed: int,
    ) -> None:
        self.batch_size, self.lip_dropout, self.seed, self.loaders = batch_size, lip_dropout, seed, settings.loaders
        self.lip_region = settings.lip_region
        self._indices = range(batch_size)  # of the batch, those that are mixed here
        self.frames = whole_frames(clip_seconds, "clip_seconds")
        self._parts = [corpus, *map(Corpus.open, settings.also)]
        self.corpus = corpus.joined(self._parts[1:])
        self._drawing = Drawing(self.corpus, settings, "train", self.frames)

    @property
    def identity(self) -> dict[str, Any]:
        """JSON values that decide every batch: what a resumed run compares itself with."""
        settings, (main, *others) = self._drawing.settings, self._parts
        extra: dict[str, Any] = {"also": [corpus.hash for corpus in others]} if others else {}
        extra |= {"speech_targets": True} if settings.speech_targets else {}
        extra |= {"balance": settings.balance} if settings.balance else {}
        extra |= settings.changed(MIXING + DEGRADING if settings.lip_degradation else MIXING)
        return extra | {
            "corpus": main.hash,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "frames": self.frames,
            "lip_dropout": self.lip_dropout,
            "snr_db": [settings.snr_min, settings.snr_max],
            "reverberation": settings.reverberation,
        }

    def share(self, rank: int, world: int) -> TrainingMixtures:
        """The part of each batch that falls to one of `world` processes: equal, disjoint, together the whole.

        Raises UserError when the batch cannot be divided so.
        """
        if self.batch_size % world:
            raise UserError(f"batch_size: {self.batch_size} is no multiple of the {world} processes that share it")
        part, size = copy(self), self.batch_size // world
        part._indices = range(rank * size, (rank + 1) * size)
        return part

    def batch(self, step: int) -> Batch:
        """The batch of optimiser step `step`; conditions take turns, so that each has an equal share."""
        conditions = self._drawing.conditions
        examples, lips, present = [], [], []
        for index in self._indices:
            generator = np.random.default_rng((self.seed, step, index))
            condition = conditions[(step * self.batch_size + index) % len(conditions)]
            spec = self._drawing.spec(condition, generator)
            example = realise(self.corpus, spec)
            present.append(bool(generator.random() >= self.lip_dropout and example.lips is not None))
            top, left = generator.integers(MARGIN + 1, size=2)
            region = np.zeros((self.frames, 1, 1), np.uint8) if example.lips is None else example.lips
            if present[-1]:
                region = self._perhaps_degraded(region, spec, (self.seed, step, index))
            cropped = np.broadcast_to(region, (self.frames, REGION, REGION))
            cropped = cropped[:, top : top + PIXELS, left : left + PIXELS]
            lips.append(cropped[:, :, ::-1] if generator.random() < 0.5 else cropped)
            examples.append(example)
        return _collate(examples, lips, present)

    def _perhaps_degraded(self, lips: np.ndarray, spec: MixtureSpec, place: tuple[int, int, int]) -> np.ndarray:
        """`lips`, or what bad video makes of them, uint8 (frames, 96, 96); drawn apart from all else."""
        settings = self._drawing.settings
        if not settings.lip_degradation:
            return lips
        generator = np.random.default_rng((*place, zlib.crc32(b"lips")))
        if generator.random() >= settings.lip_degradation:
            return lips
        kind = settings.lip_degradations[generator.integers(len(settings.lip_degradations))]
        whole = self.corpus.lips(self.corpus.clip(spec.target))
        return degrade(whole, spec.start, spec.frames, kind, generator)


class FixedMixtures:
    """A fixed list of mixtures of one length: the same for every model that is scored on it.

    Args:
        specs: the list, or the name of one of the corpus's lists, such as `val` or `test`.
    """

    def __init__(self, corpus: Corpus, specs: Sequence[MixtureSpec] | str) -> None:
        self.corpus = corpus
        self.specs = read_list(corpus, specs) if isinstance(specs, str) else list(specs)
        if len({spec.frames for spec in self.specs}) != 1:
            raise UserError(f"{corpus.folder}: a list needs at least one mixture, and all of the same length")

    def __len__(self) -> int:
        return len(self.specs)

    @property
    def conditions(self) -> list[str]:
        """Condition of each mixture, in the order of the list."""
        return [spec.condition for spec in self.specs]

    @property
    def hash(self) -> str:
        """sha256 of the list; the clips themselves are covered by `Corpus.hash`."""
        text = json.dumps([spec.to_json() for spec in self.specs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def data_hash(self) -> str:
        """A short hash of the list and of the corpus behind it: all that a score depends on besides the model."""
        return identity_hash({"corpus": self.corpus.hash, "list": self.hash})[:16]

    def batch(self, indices: Sequence[int], lips: str = "true") -> Batch:
        """The mixtures at `indices` with their own lips, centre crop.

        Args:
            lips: `true`; `none`; `other`, those of another clip; or a degradation of their own (see
                `supernet.data.mixing.degradations`), the same at each call.
        """
        if lips not in LIPS:
            raise UserError(f"lips: '{lips}' is none of {', '.join(LIPS)}")
        examples = [realise(self.corpus, self.specs[index]) for index in indices]
        if lips == "other":
            regions = [self._other_lips(index) for index in indices]
        elif lips in get_args(Degradation):
            regions = [self._degraded_lips(index, lips) for index in indices]
        else:
            regions = [cast(np.ndarray, example.lips) for example in examples]  # every target of a list has them
        centre = slice(MARGIN // 2, MARGIN // 2 + PIXELS)
        return _collate(examples, [r[:, centre, centre] for r in regions], [lips != "none"] * len(examples))

    def _degraded_lips(self, index: int, kind: str) -> np.ndarray:
        """Lips of the target as bad video shows them, uint8 (frames, 96, 96); each mixture draws its own."""
        spec, generator = self.specs[index], np.random.default_rng((index, zlib.crc32(kind.encode())))
        return degrade(self.corpus.lips(self.corpus.clip(spec.target)), spec.start, spec.frames, kind, generator)

    def _other_lips(self, index: int) -> np.ndarray:
        """Lips of the next target of the list that is not heard in this mixture, uint8 (frames, 96, 96)."""
        heard = self.specs[index].heard
        for other in self.specs[index + 1 :] + self.specs[:index]:
            if other.target not in heard:
                return self.corpus.lips(self.corpus.clip(other.target), other.start, other.frames)
        raise UserError(
            f"{self.corpus.folder}: every talker clip of this list is heard in one of its mixtures, so no other lips "
            "are left for it; add recordings"
        )


def read_list(corpus: Corpus, name: str) -> list[MixtureSpec]:
    """Raises UserError when the corpus has no such list, or one that cannot be read."""
    path = corpus.folder / LISTS / f"{name}.jsonl"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.jsonl"))) or "none"
        raise UserError(f"{path}: not found; the lists of this corpus are: {known}")
    specs = read_lines(path, MixtureSpec, "mixture", "delete the folder and prepare it again")
    corpus.check(f"{LISTS}/{name}.jsonl")
    return specs


def _collate(examples: Sequence[Example], lips: Sequence[np.ndarray], present: Sequence[bool]) -> Batch:
    """Stack; `lips` are the cropped regions, uint8 (frames, 88, 88) each."""
    regions = np.zeros((len(lips), *lips[0].shape), np.uint8)
    for number, there in enumerate(present):
        if there:
            regions[number] = lips[number]
    return Batch(
        torch.from_numpy(np.stack([example.mixture for example in examples])),
        torch.from_numpy(np.stack([example.clean for example in examples])),
        torch.from_numpy(regions),
        torch.tensor(present),
    )
