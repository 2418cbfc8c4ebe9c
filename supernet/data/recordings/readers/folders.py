"""Folders as people have them: videos of talkers, `<speaker>/<clip>.mp4` (.mpg, .avi, …), speech, and noise.

A folder that holds nothing but `train/`, `val/` and `test/`, all three, gives the splits of what is below them:
`train/<speaker>/<clip>.mp4`. Speakers of speech and kinds of noise are read from the files' names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from supernet.data.corpus import SPLITS, Role, Split
from supernet.data.recordings.names import noise_kind, speech_speaker
from supernet.data.recordings.readers import Recording, draft, files, named
from supernet.media.names import AUDIO_SUFFIXES, VIDEO_SUFFIXES


def read(root: Path, key: str) -> list[Recording]:
    paths = files(root, key, VIDEO_SUFFIXES, "talker recording", depth=2)
    depth = 1 if _splits_given(paths, 3) else 0  # of the speaker's folder
    recordings = []
    for path in paths:
        clip = draft("talker", named("talker", path), path, speaker=path.parts[depth])
        recordings.append(Recording(clip, root / path, root / path, splits=_splits(path, depth > 0)))
    return recordings


def read_speech(root: Path, key: str) -> list[Recording]:
    return _read("speech", root, key)


def read_noise(root: Path, key: str) -> list[Recording]:
    return _read("noise", root, key)


def _read(role: Role, root: Path, key: str) -> list[Recording]:
    paths = files(root, key, AUDIO_SUFFIXES, f"{role} recording")
    given, recordings = _splits_given(paths, 2), []
    for path in paths:
        speaker = speech_speaker(path) if role == "speech" else ""
        category = noise_kind(path)[0] if role == "noise" else ""
        clip = draft(role, named(role, path), path, speaker, category)
        recordings.append(Recording(clip, root / path, splits=_splits(path, given)))
    return recordings


def _splits_given(paths: Sequence[Path], depth: int) -> bool:
    """Whether all three splits, and nothing else, are the uppermost folders of files that lie `depth` parts deep."""
    return {path.parts[0] for path in paths} == set(SPLITS) and all(len(path.parts) >= depth for path in paths)


def _splits(path: Path, given: bool) -> tuple[Split, ...]:
    return (cast(Split, path.parts[0]),) if given else SPLITS
