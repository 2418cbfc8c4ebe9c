"""Who is heard where: training, validation and test share no speaker, no noise recording and no test clip. A corpus's
own splits are kept; where it has none, speakers and recordings are divided.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from supernet.data.corpus import SPLITS, Clip, Role, Split
from supernet.data.recordings.names import noise_kind
from supernet.data.recordings.readers import Recording
from supernet.data.settings import DataSettings

SHARE = 0.15  # of the groups, for validation and for test each
MOST = 100  # talkers for validation and for test each, where there are hundreds


def assign(clips: Iterable[Clip], settings: DataSettings, recordings: Iterable[Recording] = ()) -> list[Clip]:
    """The clips with their splits, a pure function of the clips' names, their recordings and the settings.

    A clip whose recording leaves one split stays there; among several, its group falls to one of them. Recorded
    mixtures go with their talker. For `grid`, `test_clips` and `val_clips` of the test speaker are kept for test and
    validation; of the other speakers, ranked by their number of clips, every second one is held out for test, up to
    `held_out_speakers`. Elsewhere talkers are divided by speaker, up to 100 of them for validation and for test each.
    Speech is divided by speaker, noise by recording, each kind of noise in every split where it can be.
    """
    clips = sorted(clips, key=lambda clip: clip.id)
    of = {recording.clip.id: recording for recording in recordings}
    split_of: dict[str, Split] = {}
    pools: dict[tuple[Role, tuple[Split, ...]], list[Clip]] = defaultdict(list)
    for clip in clips:
        pools[clip.role, of[clip.id].splits if clip.id in of else SPLITS].append(clip)
    for (role, splits), pool in pools.items():
        if len(splits) == 1:
            split_of |= dict.fromkeys((clip.id for clip in pool), splits[0])
        elif role == "talker" and settings.corpus == "grid":
            split_of |= _talker_splits(pool, settings)
        elif role == "noise":
            split_of |= _noise_splits(pool, settings.seed, splits, of)
        elif role != "mixture":
            by_speaker = _share(
                {c.speaker for c in pool}, settings.seed, role, splits, MOST if role == "talker" else None
            )
            split_of |= {clip.id: by_speaker[clip.speaker] for clip in pool}
    split_of |= {clip.id: split_of[of[clip.id].mixture_of] for clip in clips if clip.role == "mixture"}
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


def _noise_splits(
    noises: list[Clip], seed: int, splits: Sequence[Split], of: Mapping[str, Recording]
) -> dict[str, Split]:
    recordings: dict[str, set[str]] = defaultdict(set)
    named = {clip.id: of[clip.id].group if clip.id in of else "" for clip in noises}
    recording_of = {clip.id: named[clip.id] or noise_kind(Path(clip.source))[1] for clip in noises}
    for clip in noises:
        recordings[clip.category].add(recording_of[clip.id])
    split_of: dict[str, Split] = {}
    for kind in sorted(recordings):  # a recording under two kinds stays where the first one put it
        split_of = _share(recordings[kind], seed, kind, splits) | split_of
    return {clip.id: split_of[recording_of[clip.id]] for clip in noises}


def _share(
    groups: set[str], seed: int, name: str, splits: Sequence[Split] = SPLITS, most: int | None = None
) -> dict[str, Split]:
    """Divide groups at random: the greater part trains, `most` groups at most go to validation and to test each; where
    nothing is to train, halves. Of too few groups one trains first, and one tests before one validates.
    """
    order = list(_generator(seed, name).permutation(sorted(groups)))
    if "train" not in splits:
        half = (len(order) + 1) // 2
        return dict.fromkeys(order[:half], "test") | dict.fromkeys(order[half:], "val")
    each = max(1, min(round(SHARE * len(order)), most or len(order)))
    kept: list[Split] = [split for split in ("test", "val") if split in splits][: len(order) - 1]
    split_of: dict[str, Split] = dict.fromkeys(order[len(kept) * each :], "train")
    for number, split in enumerate(kept):
        split_of |= dict.fromkeys(order[number * each : (number + 1) * each], split)
    return split_of


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng((seed, zlib.crc32(name.encode())))
