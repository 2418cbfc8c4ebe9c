"""A mixture in words: what `mixing.draw` draws, a list keeps, and `mixing.realise` makes audible."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

ADDED = ("rooms", "snr_weighting", "others", "onset", "ramp", "gain_db")  # fields that lists of older versions lack


@dataclass(frozen=True)
class Interferer:
    """A masker beside the first, of a condition of its own; the fields are those of a MixtureSpec."""

    condition: str
    level_db: float  # against the first masker
    maskers: tuple[tuple[str, int], ...] = ()
    noise_seed: int | None = None


@dataclass(frozen=True)
class MixtureSpec:
    """All that is needed to make one mixture again.

    Generated noise is of the kind that `condition` names and comes from `noise_seed`; recorded maskers are
    (clip id, start sample) and go round when they are shorter than the target. Under `scene` the one masker is the
    whole mixture as it was given, and `snr_db` is its makers' note, or measured where they left none.
    """

    target: str  # clip id
    start: int  # video frame
    frames: int
    condition: str
    snr_db: float
    maskers: tuple[tuple[str, int], ...] = ()
    noise_seed: int | None = None
    room: int | None = None
    rooms: str = "noise"  # what `room` counts: rooms of noise, image rooms, or a folder of responses in the corpus
    snr_weighting: str = "plain"
    others: tuple[Interferer, ...] = ()
    onset: int = 0  # sample at which the maskers begin
    ramp: int = 0  # samples in which they swell
    gain_db: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The fields. What older versions did not know is left out where it is unset: their lists keep their hashes."""
        unset = [f.name for f in fields(self) if f.name in ADDED and getattr(self, f.name) == f.default]
        return {name: value for name, value in asdict(self).items() if name not in unset}

    @property
    def parts(self) -> tuple[MixtureSpec | Interferer, ...]:
        """All that masks the target: what the mixture itself says, and the others."""
        return (self, *self.others)

    @property
    def heard(self) -> set[str]:
        """Ids of the clips in the mixture."""
        return {self.target, *(clip for part in self.parts for clip, _ in part.maskers)}
