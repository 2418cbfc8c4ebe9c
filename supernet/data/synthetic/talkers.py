"""The embedded corpus: talkers with a synthetic voice and a drawn mouth.

A clip is a pure function of the settings, its split and its index: whichever process makes it, when, and after what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from supernet.data.corpus import Clip, Split, save_audio, save_lips
from supernet.data.synthetic.espeak import Voice, speak
from supernet.data.synthetic.painting import Face, render
from supernet.data.synthetic.sentences import passage
from supernet.data.synthetic.visemes import viseme_track
from supernet.errors import UserError
from supernet.processes import WorkerPool
from supernet.timing import FRAME_RATE, SAMPLES_PER_FRAME

GENERATOR = 1  # goes up whenever the same settings give other clips

ACCENTS = "en en-029 en-US en-US-nyc en-GB-scotland en-GB-x-gbclan en-GB-x-gbcwmd en-GB-x-rp".split()
# espeak's variants without the robots and whisperers; no split hears those of another.
VARIANTS = {
    "train": (
        "m1 f1 m3 f2 m5 f5 m6 Alicia m8 Annie Alex aunty Denis shelby Gene2 linda Lee Mario Mike adam benjamin ed ian "
        "john kaukovalta klatt3 klatt6 max michel miguel pablo robert sandro victor"
    ).split(),
    "val": "m4 f3 Gene grandma david norbert rob".split(),
    "test": "m2 f4 m7 belinda Andy steph Michael boris quincy travis".split(),
}
SPLITS: tuple[Split, ...] = ("train", "val", "test")

LEVEL = -26.0  # dBFS, RMS of a clip
LEVEL_SPREAD = 2.0  # dB to either side
PEAK = 0.95  # of full scale; a clip that would exceed it is made softer
FADE = 80  # samples, 5 ms, where a passage is cut
ONSET = 0.01  # of the loudest sample: what is softer before the first sound is trimmed
WORDS_PER_SECOND = 6  # the fastest voice at its fastest rate speaks 4.4


@dataclass(frozen=True)
class SyntheticSettings:
    """How many synthetic talkers and clips there are, and how long they are.

    Args:
        train_clips: clips for training.
        val_clips: clips for validation.
        test_clips: clips for the final test.
        train_voices: speakers of the training clips.
        val_voices: speakers of the validation clips, none of them heard in training.
        test_voices: speakers of the test clips, none of them heard before.
        clip_seconds: length of each clip, a multiple of 0.04 s.
        seed: decides voices, faces and sentences.
        workers: processes that make clips; 1 makes them in this process. Changes no result.
    """

    train_clips: int = 900
    val_clips: int = 100
    test_clips: int = 150
    train_voices: int = 150
    val_voices: int = 20
    test_voices: int = 30
    clip_seconds: float = 3.2
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        for split in SPLITS:
            for name, least in ((f"{split}_clips", 0), (f"{split}_voices", 1)):
                if getattr(self, name) < least:
                    raise UserError(f"data.synthetic.{name}: is {getattr(self, name)}, must be at least {least}")
        if self.seed < 0:
            raise UserError(f"data.synthetic.seed: is {self.seed}, must not be negative")
        if self.workers < 1:
            raise UserError(f"data.synthetic.workers: is {self.workers}, must be at least 1")
        if not np.isfinite(self.clip_seconds):
            raise UserError(f"data.synthetic.clip_seconds: must be finite, not {self.clip_seconds:g}")
        if self.frames < 1 or abs(self.frames - self.clip_seconds * FRAME_RATE) > 1e-6:
            seconds = f"{self.clip_seconds:g}"
            raise UserError(f"data.synthetic.clip_seconds: is {seconds}, must be a positive multiple of 0.04")

    @property
    def frames(self) -> int:
        """Video frames of a clip."""
        return round(self.clip_seconds * FRAME_RATE)


@dataclass(frozen=True)
class Talker:
    """A speaker: a name, a voice and a face, alike in all clips."""

    name: str
    voice: Voice
    face: Face


def synthesize(folder: Path, settings: SyntheticSettings) -> list[Clip]:
    """Write the clips of all splits below `folder`; return them: training, validation, test, each in order of index.

    Clips that are there already are kept, so a killed run goes on where it stopped.

    Raises:
        UserError: espeak-ng cannot be loaded.
    """
    names: list[tuple[Split, int]] = [
        (split, index) for split in SPLITS for index in range(getattr(settings, f"{split}_clips"))
    ]
    clips = [_describe(settings, *name) for name in names]
    missing = [name for name, clip in zip(names, clips, strict=True) if not (folder / clip.audio).exists()]
    progress = tqdm(total=len(names), initial=len(names) - len(missing), desc="talkers", unit="clip", mininterval=1)
    with progress:
        for _ in _map(partial(_make, folder, settings), missing, settings.workers):
            progress.update()
    return clips


def perform(settings: SyntheticSettings, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """One clip: speech at 16 kHz, int16 (640 frames,), and lips, uint8 (frames, 96, 96)."""
    speaker = _speaker(settings, split, index)
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), 1, index])
    text = passage(rng, words=round(WORDS_PER_SECOND * settings.clip_seconds))
    spoken, phonemes = speak(text, speaker.voice)
    start = int(np.argmax(np.abs(spoken) > ONSET * np.abs(spoken).max()))
    samples = settings.frames * SAMPLES_PER_FRAME
    speech = spoken[start : start + samples].copy()
    if len(speech) < samples:
        raise RuntimeError(f"{speaker.voice} spoke {len(speech)} of {samples} samples; raise WORDS_PER_SECOND")
    speech[-FADE:] *= np.linspace(1, 0, FADE, dtype=np.float32)
    level = LEVEL + rng.uniform(-LEVEL_SPREAD, LEVEL_SPREAD)
    speech *= min(10 ** (level / 20) / np.sqrt(np.mean(speech**2)), PEAK / np.abs(speech).max())

    heard = [(begin - start, symbols) for begin, symbols in phonemes if begin - start < samples]
    lips = render(speaker.face, viseme_track(heard, speech), rng)
    return np.round(speech * 32767).astype(np.int16), lips


@cache
def talker(settings: SyntheticSettings, split: str, number: int) -> Talker:
    """The speaker of this number in a split, with a voice that no other split has."""
    rng = np.random.default_rng([settings.seed, SPLITS.index(split), 0, number])
    variants = VARIANTS[split]
    voice = Voice(
        name=f"gmw/{ACCENTS[rng.integers(len(ACCENTS))]}+{variants[number % len(variants)]}",
        pitch=int(rng.integers(30, 71)),
        range=int(rng.integers(30, 81)),
        rate=int(rng.integers(140, 191)),
    )
    return Talker(f"{split}_{number:03d}", voice, Face.draw(rng))


def _speaker(settings: SyntheticSettings, split: str, index: int) -> Talker:
    return talker(settings, split, index % getattr(settings, f"{split}_voices"))


def _describe(settings: SyntheticSettings, split: Split, index: int) -> Clip:
    speaker = _speaker(settings, split, index)
    voice = speaker.voice
    name = f"{speaker.name}_{index:05d}"
    return Clip(
        id=name,
        role="talker",
        split=split,
        speaker=speaker.name,
        category="",
        audio=f"audio/{name}.wav",
        lips=f"lips/{name}.npy",
        samples=settings.frames * SAMPLES_PER_FRAME,
        frames=settings.frames,
        source=f"espeak-ng {voice.name} pitch {voice.pitch} range {voice.range} rate {voice.rate}",
    )


def _make(folder: Path, settings: SyntheticSettings, name: tuple[Split, int]) -> None:
    """Write one clip; the audio last, so that a clip with audio is complete."""
    speech, lips = perform(settings, *name)
    clip = _describe(settings, *name)
    save_lips(folder / clip.lips, lips)
    save_audio(folder / clip.audio, speech)


def _map(function: Callable, items: list, workers: int) -> Iterator:
    """`map` over worker processes, for espeak-ng is not thread-safe; with one worker, in this process."""
    if min(workers, len(items)) <= 1:
        yield from map(function, items)
        return
    with WorkerPool(workers) as pool:
        for future in [pool.submit(function, item) for item in items]:
            yield future.result()
