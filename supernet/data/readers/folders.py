"""Folders of speech and of noise, as people have them; speakers and kinds of noise are read from the files' names."""

from __future__ import annotations

from pathlib import Path

from supernet.data.manifest import Role
from supernet.data.media import AUDIO_SUFFIXES
from supernet.data.readers import Recording, draft, files
from supernet.data.splits import noise_kind, speech_speaker


def read_speech(root: Path, key: str) -> list[Recording]:
    return _read("speech", root, key)


def read_noise(root: Path, key: str) -> list[Recording]:
    return _read("noise", root, key)


def _read(role: Role, root: Path, key: str) -> list[Recording]:
    recordings = []
    for path in files(root, key, AUDIO_SUFFIXES, f"{role} recording"):
        name = "-".join((role, *path.with_suffix("").parts))
        speaker = speech_speaker(path) if role == "speech" else ""
        category = noise_kind(path)[0] if role == "noise" else ""
        recordings.append(Recording(draft(role, name, path, speaker, category), root / path))
    return recordings
