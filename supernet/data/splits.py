"""Who is heard where: training, validation and test share no speaker, no noise recording and no test clip.

Used by `supernet.data.preparing`. Names of speakers and recordings are read from file names, as corpora give them.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from supernet.data.manifest import Clip, Split
from supernet.data.settings import DataSettings

UNNAMED = "noise"  # kind of a file whose name and folder tell none
SHARE = 0.15  # of the groups, for validation and for test each
NONSPEECH_100 = {  # last number of each kind: http://web.cse.ohio-state.edu/pnl/corpus/HuNonspeech/HuCorpus.html
    17: "crowd",
    24: "machine",
    38: "alarm",
    44: "traffic",
    55: "animal",
    69: "water",
    78: "wind",
    82: "bell",
    100: "event",
}


def speech_speaker(path: Path) -> str:
    """Speaker of a file named as LibriSpeech (`103-1240-0000`) or VCTK (`p225_003`) do; else the file's stem."""
    if match := re.fullmatch(r"(?:[A-Za-z-]+_)?(\d+)-\d+-\d+", path.stem):
        return f"librispeech_{match[1]}"
    if match := re.fullmatch(r"(p\d{3})_\d+(?:_mic\d)?", path.stem):
        return f"vctk_{match[1]}"
    return path.stem


def noise_kind(path: Path) -> tuple[str, str]:
    """Kind of noise, and the recording that a file is cut from: ESC-50 and Nonspeech 100 names, `rain_0`, `rain_1`."""
    stem = path.stem
    if match := re.fullmatch(r"(?:(.+)_)?\d-(\d+)-[A-Z](?:-\d+)?", stem):  # fold, source recording, take
        return match[1] or path.parent.name or UNNAMED, f"esc_{match[2]}"
    if match := re.fullmatch(r"n(\d{1,2}|100)", stem):
        return next(kind for last, kind in NONSPEECH_100.items() if int(match[1]) <= last), f"nonspeech_{stem}"
    recording = re.sub(r"_\d+$", "", stem)  # numbered pieces of one recording
    return re.sub(r"[\d_]+$", "", recording) or path.parent.name or UNNAMED, f"{path.parent.name}_{recording}"


def assign(clips: Iterable[Clip], settings: DataSettings) -> list[Clip]:
    """The clips with their splits, a pure function of the clips' names and the settings.

    Talkers: `test_clips` and `val_clips` of the test speaker are kept for test and validation; of the other
    speakers, ranked by their number of clips, every second one is held out for test, up to `held_out_speakers`.
    Speech is split by speaker, noise by recording, each kind of noise in every split where it can be.
    """
    clips = sorted(clips, key=lambda clip: clip.id)
    talkers = [clip for clip in clips if clip.role == "talker"]
    split_of = _talker_splits(talkers, settings)
    speech = [clip for clip in clips if clip.role == "speech"]
    by_speaker = _share({clip.speaker for clip in speech}, settings.seed, "speech")
    split_of |= {clip.id: by_speaker[clip.speaker] for clip in speech}
    split_of |= _noise_splits([clip for clip in clips if clip.role == "noise"], settings.seed)
    return [replace(clip, split=split_of[clip.id]) for clip in clips]


def _talker_splits(talkers: list[Clip], settings: DataSettings) -> dict[str, Split]:
    own = [clip.id for clip in talkers if clip.speaker == settings.test_speaker]
    order = list(_generator(settings.seed, settings.test_speaker).permutation(own))
    test, val = settings.test_clips, settings.test_clips + settings.val_clips
    splits: dict[str, Split] = dict.fromkeys(order[:test], "test")
    splits |= dict.fromkeys(order[test:val], "val") | dict.fromkeys(order[val:], "train")

    counts = Counter(clip.speaker for clip in talkers if clip.speaker != settings.test_speaker)
    shuffled = _generator(settings.seed, "speakers").permutation(sorted(counts))
    ranked = sorted(shuffled, key=lambda speaker: -counts[speaker])
    held_out = set(ranked[1::2][: settings.held_out_speakers])
    others = [clip for clip in talkers if clip.speaker != settings.test_speaker]
    return splits | {clip.id: "test" if clip.speaker in held_out else "train" for clip in others}


def _noise_splits(noises: list[Clip], seed: int) -> dict[str, Split]:
    recordings: dict[str, set[str]] = defaultdict(set)
    recording_of = {clip.id: noise_kind(Path(clip.source))[1] for clip in noises}
    for clip in noises:
        recordings[clip.category].add(recording_of[clip.id])
    split_of: dict[str, Split] = {}
    for kind in sorted(recordings):  # a recording under two kinds stays where the first one put it
        split_of = _share(recordings[kind], seed, kind) | split_of
    return {clip.id: split_of[recording_of[clip.id]] for clip in noises}


def _share(groups: set[str], seed: int, name: str) -> dict[str, Split]:
    """Split groups at random. Two groups go to training and test, a single one to training."""
    order = list(_generator(seed, name).permutation(sorted(groups)))
    each = max(1, round(SHARE * len(order))) if len(order) > 2 else 0
    test = max(each, len(order) == 2)
    splits: dict[str, Split] = dict.fromkeys(order[:test], "test")
    return splits | dict.fromkeys(order[test : test + each], "val") | dict.fromkeys(order[test + each :], "train")


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng((seed, zlib.crc32(name.encode())))
