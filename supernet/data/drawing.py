"""Drawing mixtures: which target, masker, level and room, from the clips of one split.

Used by `supernet.data.mixtures` at each training step and by `supernet.data.corpora` once, for the fixed lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from supernet.data.manifest import Clip, Corpus, Split
from supernet.data.noise import GENERATED
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.timing import SAMPLES_PER_FRAME

CONDITIONS = {
    "synthetic": ("coloured", "modulated", "impulsive", "babble", "talker"),
    "grid": ("ambience", "events", "babble", "talker", "same_talker"),
}
EVENTS = ("alarm", "animal", "baby", "bell", "chainsaw", "clap", "clock", "dog", "horn", "knock", "rooster", "siren")
BABBLE = (3, 6)  # talkers
TRIES = 8  # starts drawn before the excerpt is placed at the clip's peak
QUIET = 0.1  # an excerpt more than 20 dB below its clip's level is a pause


@dataclass(frozen=True)
class MixtureSpec:
    """All that is needed to make one mixture again.

    Generated noise is of the kind that `condition` names and comes from `noise_seed`; recorded maskers are
    (clip id, start sample) and go round when they are shorter than the target.
    """

    target: str  # clip id
    start: int  # video frame
    frames: int
    condition: str
    snr_db: float
    maskers: tuple[tuple[str, int], ...] = ()
    noise_seed: int | None = None
    room: int | None = None

    @classmethod
    def from_json(cls, fields: dict) -> MixtureSpec:
        maskers = tuple((str(clip), int(start)) for clip, start in fields["maskers"])
        return cls(**{**fields, "maskers": maskers})


def noise_condition(category: str) -> str:
    """`events` for noises that come and go (a dog, an alarm), `ambience` for the others."""
    return "events" if any(word in category.lower() for word in EVENTS) else "ambience"


class Drawing:
    """Draws mixtures of `frames` video frames from one split; `targets` defaults to all of its talkers.

    Raises UserError when the split cannot fill a condition.
    """

    def __init__(
        self, corpus: Corpus, settings: DataSettings, split: Split, frames: int, targets: Sequence[Clip] | None = None
    ) -> None:
        self.corpus, self.settings, self.split, self.frames = corpus, settings, split, frames
        self.conditions = CONDITIONS[settings.corpus]
        self._talkers = corpus.select("talker", split)
        speech, noise = corpus.select("speech", split), corpus.select("noise", split)
        if targets is None:
            targets = self._talkers + (speech if settings.speech_targets else [])
        long_enough = [clip for clip in targets if clip.frames >= frames]
        if not long_enough:
            raise UserError(f"{corpus.folder}: no '{split}' talker lasts {frames / 25:g} s; ask for shorter mixtures")

        clips_of = Counter(clip.speaker for clip in self._talkers)
        with_other_clip = [clip for clip in long_enough if clips_of[clip.speaker] > 1]
        self._targets = {c: with_other_clip if c == "same_talker" else long_enough for c in self.conditions}

        self._weights = {c: _weights(clips, settings.balance) for c, clips in self._targets.items()}
        pools = {
            "babble": speech or self._talkers,
            "talker": self._talkers + speech,
            "same_talker": self._talkers,
            "ambience": [clip for clip in noise if noise_condition(clip.category) == "ambience"],
            "events": [clip for clip in noise if noise_condition(clip.category) == "events"],
        }
        self._pools = {c: pools[c] for c in self.conditions if c not in GENERATED}
        self._clips_by_speaker = {c: Counter(clip.speaker for clip in pool) for c, pool in self._pools.items()}
        self._check()

    def spec(self, condition: str, generator: np.random.Generator, target: Clip | None = None) -> MixtureSpec:
        """One mixture under `condition`, of `target` or of a random one."""
        target = target or _choose(generator, self._targets[condition], self._weights[condition])
        return MixtureSpec(
            target=target.id,
            start=self._start(generator, target, SAMPLES_PER_FRAME) // SAMPLES_PER_FRAME,
            frames=self.frames,
            condition=condition,
            snr_db=round(generator.uniform(self.settings.snr_min, self.settings.snr_max), 4),
            maskers=tuple((m.id, self._start(generator, m)) for m in self._maskers(condition, generator, target)),
            noise_seed=int(generator.integers(2**31)) if condition in GENERATED else None,
            room=int(generator.integers(2**31)) if self.settings.reverberation else None,
        )

    def specs(self, items: int, seed: Sequence[int]) -> list[MixtureSpec]:
        """A fixed list: conditions in equal shares, and each goes round all its targets before one comes again."""
        drawn = []
        for item in range(items):
            turn, which = divmod(item, len(self.conditions))
            condition = self.conditions[which]
            targets = self._targets[condition]
            order = np.random.default_rng(seed).permutation(len(targets))
            shift = which * len(targets) // len(self.conditions)  # conditions begin at different targets
            target = targets[order[(turn + shift) % len(targets)]]
            drawn.append(self.spec(condition, np.random.default_rng((*seed, item)), target))
        return drawn

    def _maskers(self, condition: str, generator: np.random.Generator, target: Clip) -> list[Clip]:
        if condition in GENERATED:
            return []
        count = 1
        if condition == "babble":
            count = min(generator.integers(BABBLE[0], BABBLE[1] + 1), self._others(condition, target.speaker))
        chosen: list[Clip] = []
        while len(chosen) < count:
            masker = _choose(generator, self._pools[condition])
            same_speaker = masker.speaker == target.speaker
            if same_speaker == (condition == "same_talker") and masker not in (target, *chosen):
                chosen.append(masker)
        return chosen

    def _others(self, condition: str, speaker: str) -> int:
        """Clips of other speakers that could mask `speaker`."""
        counts = self._clips_by_speaker[condition]
        return counts.total() - counts[speaker]

    def _start(self, generator: np.random.Generator, clip: Clip, grid: int = 1) -> int:
        """First sample, a multiple of `grid`, of an excerpt that is no pause (SNR is undefined against silence)."""
        samples = self.frames * SAMPLES_PER_FRAME
        if clip.samples <= samples:  # all of it is heard
            return 0 if grid > 1 else int(generator.integers(clip.samples))
        last = (clip.samples - samples) // grid
        if grid == SAMPLES_PER_FRAME:
            last = min(last, clip.frames - self.frames)
        for _ in range(TRIES):
            start = grid * int(generator.integers(last + 1))
            excerpt = self.corpus.audio(clip, start, samples)
            if np.dot(excerpt, excerpt) >= samples * (QUIET * self.corpus.level(clip)) ** 2:
                return start
        peak = int(np.abs(self.corpus.audio(clip)).argmax())
        return grid * int(np.clip((peak - samples // 2) // grid, 0, last))

    def _check(self) -> None:
        """Refuse a split that cannot fill a condition, before a draw would look for ever."""
        speakers = {clip.speaker for clip in self._targets[self.conditions[0]]}
        for condition, pool in self._pools.items():
            need = BABBLE[0] if condition == "babble" else 1
            possible = self._targets[condition] if condition == "same_talker" else pool
            if not possible or condition != "same_talker" and any(self._others(condition, s) < need for s in speakers):
                raise UserError(
                    f"{self.corpus.folder}: the '{self.split}' split has too few clips for the condition "
                    f"'{condition}'; add recordings or voices"
                )


def _weights(clips: Sequence[Clip], balance: float) -> np.ndarray | None:
    """Probability of each clip: a speaker of n clips comes in proportion to n^(1 - balance). None: all alike."""
    if not balance:
        return None
    clips_of = Counter(clip.speaker for clip in clips)
    weights = np.array([clips_of[clip.speaker] ** -balance for clip in clips])
    return weights / weights.sum()


def _choose(generator: np.random.Generator, clips: Sequence[Clip], weights: np.ndarray | None = None) -> Clip:
    return clips[generator.integers(len(clips)) if weights is None else generator.choice(len(clips), p=weights)]
