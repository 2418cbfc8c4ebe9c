"""Drawing mixtures: which target, masker, level and room, from the clips of one split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

import numpy as np

from supernet.data.corpus import Clip, Corpus, Scene, Split
from supernet.data.mixing.noise import GENERATED
from supernet.data.mixing.rooms import IMAGE_ROOMS, SPLITS, given_rooms
from supernet.data.mixing.spec import Interferer, MixtureSpec
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

CONDITIONS = {  # where the settings name none
    "synthetic": ("coloured", "modulated", "impulsive", "babble", "talker"),
    "grid": ("ambience", "events", "babble", "talker", "same_talker"),
    "folders": ("ambience", "events", "babble", "talker", "same_talker"),
    "lrs3": ("noise", "babble", "talker", "same_talker"),
    "avsec3": ("scene", "noise", "talker"),
    "avsec4": ("scene", "noise", "music", "talker"),
    "ntcd_timit": ("scene",),
}
EVENTS = ("alarm", "animal", "baby", "bell", "chainsaw", "clap", "clock", "dog", "horn", "knock", "rooster", "siren")
RELATIVE = 3.0  # dB by which further maskers are louder or softer than the first, at most
RAMP = int(0.5 * SAMPLE_RATE)  # samples in which a late masker swells, as in the Clarity and AVSE challenges
TRIES = 8  # starts drawn before the excerpt is placed at the clip's peak
QUIET = 0.1  # an excerpt more than 20 dB below its clip's level is a pause


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
        self.conditions = tuple(settings.conditions) or CONDITIONS[settings.corpus]
        self._talkers = corpus.select("talker", split)
        speech, noise = corpus.select("speech", split), corpus.select("noise", split)
        if targets is None:
            targets = self._talkers + (speech if settings.speech_targets else [])
        long_enough = [clip for clip in targets if clip.frames >= frames]
        if not long_enough:
            raise UserError(f"{corpus.folder}: no '{split}' talker lasts {frames / 25:g} s; ask for shorter mixtures")

        clips_of = Counter(clip.speaker for clip in self._talkers)
        with_other_clip = [clip for clip in long_enough if clips_of[clip.speaker] > 1]
        self._scenes = self._usable_scenes() if "scene" in self.conditions else {}
        special = {"same_talker": with_other_clip, "scene": [clip for clip in long_enough if clip.id in self._scenes]}
        self._targets = {c: special.get(c, long_enough) for c in self.conditions}

        self._weights = {c: _weights(clips, settings.balance) for c, clips in self._targets.items()}
        pools = {
            "babble": speech or self._talkers,
            "talker": self._talkers + speech,
            "same_talker": self._talkers,
            "ambience": [clip for clip in noise if noise_condition(clip.category) == "ambience"],
            "events": [clip for clip in noise if noise_condition(clip.category) == "events"],
            "noise": noise,
            "music": [clip for clip in noise if clip.category == "music"],
        }
        self._pools = {c: pools[c] for c in self.conditions if c in pools}
        self._given_rooms = given_rooms(corpus.folder, split) if settings.rooms_folder else []
        self._own = defaultdict(list)  # talkers' clips by speaker
        for clip in self._talkers:
            self._own[clip.speaker].append(clip)
        self._clips_by_speaker = {c: Counter(clip.speaker for clip in pool) for c, pool in self._pools.items()}
        self._check()

    def spec(self, condition: str, generator: np.random.Generator, target: Clip | None = None) -> MixtureSpec:
        """One mixture under `condition`, of `target` or of a random one."""
        target = target or _choose(generator, self._targets[condition], self._weights[condition])
        if condition == "scene":
            return self._scene(generator, target)
        settings = self.settings
        start = self._start(generator, target, SAMPLES_PER_FRAME) // SAMPLES_PER_FRAME
        onset = self._onset(generator, target, start) if settings.onset else 0
        snr_db = round(generator.uniform(settings.snr_min, settings.snr_max), 4)
        maskers, noise_seed = self._masker(condition, generator, target, onset)
        rooms, room = self._room(generator) if settings.reverberation else ("noise", None)
        gain_db = (
            round(generator.uniform(settings.level_db[0], settings.level_db[1]), 4) if any(settings.level_db) else 0.0
        )
        return MixtureSpec(
            target=target.id,
            start=start,
            frames=self.frames,
            condition=condition,
            snr_db=snr_db,
            maskers=maskers,
            noise_seed=noise_seed,
            room=room,
            rooms=rooms,
            snr_weighting=settings.snr_weighting,
            others=self._others(condition, generator, target, onset, maskers),
            onset=onset,
            ramp=min(RAMP, (self.frames * SAMPLES_PER_FRAME - onset) // 2) if onset else 0,
            gain_db=gain_db,
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

    def _masker(
        self, condition: str, generator: np.random.Generator, target: Clip, onset: int, heard: Collection[str] = ()
    ) -> tuple[tuple[tuple[str, int], ...], int | None]:
        """(clip id, start sample) of the maskers of one condition, none of them among `heard`; or a seed of noise."""
        if condition in GENERATED:
            return (), int(generator.integers(2**31))
        clips = self._choose_maskers(condition, generator, target, heard)
        return tuple((clip.id, self._start(generator, clip, late=onset)) for clip in clips), None

    def _choose_maskers(
        self, condition: str, generator: np.random.Generator, target: Clip, heard: Collection[str]
    ) -> list[Clip]:
        count = 1
        if condition == "babble":
            least, most = self.settings.babble
            count = min(int(generator.integers(least, most + 1)), self._left(condition, target.speaker, heard))
        same = condition == "same_talker"
        chosen: list[Clip] = []
        while len(chosen) < count:
            masker = _choose(generator, self._own[target.speaker] if same else self._pools[condition])
            if (same or masker.speaker != target.speaker) and masker not in (target, *chosen):
                if masker.id not in heard:
                    chosen.append(masker)
        return chosen

    def _others(
        self,
        condition: str,
        generator: np.random.Generator,
        target: Clip,
        onset: int,
        maskers: tuple[tuple[str, int], ...],
    ) -> tuple[Interferer, ...]:
        """The maskers beside that of `condition`, each of a random condition that still has clips for it."""
        least, most = self.settings.interferers
        if most == 1:
            return ()
        others: list[Interferer] = []
        heard = [clip for clip, _ in maskers]
        for _ in range(int(generator.integers(least, most + 1)) - 1):
            possible = [c for c in self.conditions if self._least(c) <= self._left(c, target.speaker, heard)]
            if not possible:
                raise UserError(
                    f"{self.corpus.folder}: the '{self.split}' split has too few clips to mix {most} interferers; add "
                    "recordings, or lower data.interferers"
                )
            kind = possible[generator.integers(len(possible))]
            level_db = round(generator.uniform(-RELATIVE, RELATIVE), 4)
            others.append(Interferer(kind, level_db, *self._masker(kind, generator, target, onset, heard)))
            heard += [clip for clip, _ in others[-1].maskers]
        return tuple(others)

    def _least(self, condition: str) -> int:
        """Clips that a masker of this condition needs."""
        return self.settings.babble[0] if condition == "babble" else 0 if condition in GENERATED else 1

    def _left(self, condition: str, speaker: str, heard: Collection[str] = ()) -> int:
        """Clips that could mask `speaker` beside those that are heard already, at least."""
        if condition not in self._pools:  # generated noise, of which there is always more; scenes stay as they are
            return -1 if condition == "scene" else 0
        counts = self._clips_by_speaker[condition]
        possible = counts[speaker] - 1 if condition == "same_talker" else counts.total() - counts[speaker]
        return possible - len(heard)

    def _room(self, generator: np.random.Generator) -> tuple[str, int]:
        """Kind of room and its number. Image rooms are few, for they take long to compute; no split hears another's."""
        rooms = self.settings.rooms
        if rooms == "image":
            return rooms, int(SPLITS.index(self.split) * IMAGE_ROOMS + generator.integers(IMAGE_ROOMS))
        if self._given_rooms:
            rooms = self._given_rooms[generator.integers(len(self._given_rooms))]
        return rooms, int(generator.integers(2**31))

    def _start(
        self, generator: np.random.Generator, clip: Clip, grid: int = 1, late: int = 0, end: int | None = None
    ) -> int:
        """First sample, a multiple of `grid`, of an excerpt that is no pause (SNR is undefined against silence).

        The excerpt is `late` samples shorter than the mixture, and of what lies before sample `end` of the clip.
        """
        samples = self.frames * SAMPLES_PER_FRAME - late
        there = clip.samples if end is None else min(clip.samples, end)
        if there <= samples:  # all of it is heard
            return 0 if grid > 1 else int(generator.integers(there))
        last = (there - samples) // grid
        if grid == SAMPLES_PER_FRAME:
            last = min(last, clip.frames - self.frames)
        for _ in range(TRIES):
            start = grid * int(generator.integers(last + 1))
            if self._is_audible(clip, start, samples):
                return start
        peak = int(np.abs(self.corpus.audio(clip)).argmax())
        return grid * int(np.clip((peak - samples // 2) // grid, 0, last))

    def _is_audible(self, clip: Clip, start: int, samples: int) -> bool:
        excerpt = self.corpus.audio(clip, start, samples)
        return bool(np.dot(excerpt, excerpt) >= samples * (QUIET * self.corpus.level(clip)) ** 2)

    def _onset(self, generator: np.random.Generator, target: Clip, start: int) -> int:
        """Sample of the first half at which the maskers begin; 0, all the time, where chance or the target's silence
        from there on says so."""
        if generator.random() >= self.settings.onset:
            return 0
        samples = self.frames * SAMPLES_PER_FRAME
        for _ in range(TRIES):
            onset = int(generator.integers(1, samples // 2 + 1))
            if self._is_audible(target, start * SAMPLES_PER_FRAME + onset, samples - onset):
                return onset
        return 0

    def _usable_scenes(self) -> dict[str, list[Scene]]:
        """The scenes of each target, by its clip id, whose mixtures are long enough."""
        scenes = defaultdict(list)
        for scene in self.corpus.scenes:
            if self.corpus.clip(scene.mixture).frames >= self.frames:
                scenes[scene.target].append(scene)
        return scenes

    def _scene(self, generator: np.random.Generator, target: Clip) -> MixtureSpec:
        """One of the target's mixtures as it was given."""
        scenes = self._scenes[target.id]
        scene = scenes[generator.integers(len(scenes))]
        mixture = self.corpus.clip(scene.mixture)
        start = self._start(generator, target, SAMPLES_PER_FRAME, end=mixture.frames * SAMPLES_PER_FRAME)
        snr_db = scene.snr_db
        if snr_db is None:
            excerpt = (start, self.frames * SAMPLES_PER_FRAME)
            clean, mixed = self.corpus.audio(target, *excerpt), self.corpus.audio(mixture, *excerpt)
            snr_db = _measured_snr(clean, mixed, scene)
        place = ((mixture.id, start),)
        return MixtureSpec(target.id, start // SAMPLES_PER_FRAME, self.frames, "scene", snr_db, place)

    def _check(self) -> None:
        """Refuse a split that cannot fill a condition, before a draw would look for ever."""
        for condition in self.conditions:
            speakers = {clip.speaker for clip in self._targets[condition]}
            few = condition in self._pools and any(self._left(condition, s) < self._least(condition) for s in speakers)
            if few or not speakers:
                asked = self.settings.corpus == "grid" and self.split != "train"
                raise UserError(
                    f"{self.corpus.folder}: the '{self.split}' split has too few clips for the condition "
                    f"'{condition}'; add recordings or voices" + asked * f", or raise data.{self.split}_clips"
                )


def _measured_snr(clean: np.ndarray, mixture: np.ndarray, scene: Scene) -> float:
    """Ratio of the plain powers of target and what else the mixture holds, dB."""
    masker = mixture - clean
    powers = float(np.dot(clean, clean)), float(np.dot(masker, masker))
    if not all(powers):
        raise UserError(f"scene '{scene.mixture}': its target is silent, or all of it; take it out of the corpus")
    return round(10 * float(np.log10(powers[0] / powers[1])), 4)


def _weights(clips: Sequence[Clip], balance: float) -> np.ndarray | None:
    """Probability of each clip: a speaker of n clips comes in proportion to n^(1 - balance). None: all alike."""
    if not balance:
        return None
    clips_of = Counter(clip.speaker for clip in clips)
    weights = np.array([clips_of[clip.speaker] ** -balance for clip in clips])
    return weights / weights.sum()


def _choose(generator: np.random.Generator, clips: Sequence[Clip], weights: np.ndarray | None = None) -> Clip:
    return clips[int(generator.integers(len(clips)) if weights is None else generator.choice(len(clips), p=weights))]
