"""Interferers of the second Clarity enhancement challenge, `{train,dev}/interferers/{noise,music,speech}/`, 44.1 kHz.

Lists [R: claritychallenge/clarity, tests/test_data/metadata]: `metadata/masker_nonspeech_list.json` with `ID`
("CIN_fan_014") and `class`; `masker_music_list.json` with `file` ("48/948.low.mp3") and `artist`;
`masker_speech_list.json` with `speaker` ("irm_02484"); each with `dataset`. Offsets and durations of the scenes count
samples at 44.1 kHz; scenes are not used, since their targets have no video.

dev tests, for eval is not published with its interferers; train is divided into training and validation, by noise
recording, artist or speaker.
"""

from __future__ import annotations

import re
from pathlib import Path

from supernet.data.corpus import Clip, Split
from supernet.data.recordings.readers import Recording, count, draft, field, found_below, named, rows
from supernet.errors import UserError
from supernet.media.names import AUDIO_SUFFIXES as AUDIO

PARTS: dict[str, tuple[Split, ...]] = {"train": ("train", "val"), "dev": ("test",)}
LISTS = {"music": "masker_music_list.json", "noise": "masker_nonspeech_list.json", "speech": "masker_speech_list.json"}
LAYOUT = (
    "the packages 'core' and 'train' of CEC2 unpack to clarity_data/ with train/, dev/ and metadata/ "
    "(https://claritychallenge.org/docs/cec2/cec2_data)"
)


def read(root: Path, key: str) -> list[Recording]:
    root = root / "clarity_data" if (root / "clarity_data").is_dir() else root
    for part in PARTS:
        if not found_below(root / part / "interferers" / "noise", AUDIO):
            raise UserError(f"{key}: {root} has no {part}/interferers/noise/ with sound in it; {LAYOUT}")
    recordings, lost, unlisted = [], 0, 0
    for part, splits in sorted(PARTS.items()):
        for kind, name in LISTS.items():
            listed = _listed(root / "metadata" / name, kind, part)
            there = [Path(part, "interferers", kind, p) for p in found_below(root / part / "interferers" / kind, AUDIO)]
            maskers = [_masker(path, kind) for path in there]
            lost, unlisted = lost + len(listed.keys() - set(maskers)), unlisted + sum(m not in listed for m in maskers)
            for masker, path in zip(maskers, there, strict=True):
                clip, group = _clip(kind, masker, listed.get(masker, {}), path)
                recordings.append(Recording(clip, root / path, splits=splits, group=group))
    count(root, {"entries of the lists have no file": lost, "files are in no list": unlisted})
    return recordings


def _listed(path: Path, kind: str, part: str) -> dict[str, dict]:
    """The entries of one list that belong to `part`, by what `_masker` calls their files."""
    name = {"music": "file", "noise": "ID", "speech": "speaker"}[kind]
    own = [row for row in rows(path) if field(row, "dataset", path) == part]
    return {Path(str(field(row, name, path))).name: row for row in own}


def _masker(path: Path, kind: str) -> str:
    """What identifies a file in its list: a name with suffix for music, else one without; of speech, the speaker."""
    speaker = re.match(r"[a-z]{3}_\d{5}", path.stem) if kind == "speech" else None
    return speaker[0] if speaker else path.name if kind == "music" else path.stem


def _clip(kind: str, masker: str, row: dict, path: Path) -> tuple[Clip, str]:
    """The clip, and what must not cross splits."""
    if kind == "speech":
        return draft("speech", named("speech", path), path, speaker=masker), masker
    if kind == "music":
        return draft("noise", named("noise", path), path, category="music"), str(row.get("artist", masker))
    told = re.fullmatch(r"CIN_(.+)_\d+", masker)  # "CIN_fan_014", where no list says "ElectricFan"
    category = str(row.get("class") or (told[1] if told else "noise")).lower()
    return draft("noise", named("noise", path), path, category=category), masker
