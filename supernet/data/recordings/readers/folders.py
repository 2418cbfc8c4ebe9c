"""Folders as people have them: videos of talkers, `<speaker>/<clip>.mp4` (.mpg, .avi, …), speech, and noise.

Speakers of speech and kinds of noise are read from the files' names.
"""

from __future__ import annotations

from pathlib import Path

from supernet.data.corpus import Role
from supernet.data.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from supernet.data.recordings.names import noise_kind, speech_speaker
from supernet.data.recordings.readers import Recording, draft, files, named


def read(root: Path, key: str) -> list[Recording]:
    paths = files(root, key, VIDEO_SUFFIXES, "talker recording", depth=2)
    return [Recording(draft("talker", named("talker", p), p, speaker=p.parts[0]), root / p, root / p) for p in paths]


def read_speech(root: Path, key: str) -> list[Recording]:
    return _read("speech", root, key)


def read_noise(root: Path, key: str) -> list[Recording]:
    return _read("noise", root, key)


def _read(role: Role, root: Path, key: str) -> list[Recording]:
    recordings = []
    for path in files(root, key, AUDIO_SUFFIXES, f"{role} recording"):
        speaker = speech_speaker(path) if role == "speech" else ""
        category = noise_kind(path)[0] if role == "noise" else ""
        recordings.append(Recording(draft(role, named(role, path), path, speaker, category), root / path))
    return recordings
