"""The audio-visual speech enhancement challenges AVSEC-3 and AVSEC-4, as their scripts lay them out:
`{train,dev}/scenes/S00001_*` and `metadata/scenes.{train,dev}.json` (github.com/cogmhear/avse_challenge).

A scene is used twice. As given: its mixture is a recorded mixture of its target. For mixing anew: its target is a
talker, and its interferer, where all of it is of one type, is speech or noise. train trains; dev is divided into
validation and test, by the target's speaker where the metadata names it, else by scene. The scenes of eval have no
targets, and are left out.

AVSEC-4 renders reverberant scenes for two ears. Where its one-channel files are there they are used; else the mean of
the two channels, which is how the renderer makes its one-channel mixture. The anechoic targets are not used: they are
normalised apart from the mixtures, and delayed by a time of which the renderer itself notes that it does not quite
match, so an SNR against them would not mean what it says.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from scipy.cluster.hierarchy import DisjointSet

from supernet.data.corpus import Role, Split
from supernet.data.recordings.readers import Recording, count, draft, field, rows
from supernet.errors import UserError

PARTS: dict[str, tuple[Split, ...]] = {"dev": ("val", "test"), "train": ("train",)}
VIDEO = "silent.mp4"
SCENE = re.compile(r"(S\d+)_(.+)")  # "S00001_target.wav"


@dataclass(frozen=True)
class Edition:
    """One of the challenges.

    Args:
        name: as it calls itself.
        endings: of a scene's files: mixture, target, interferer; the first set is used whose mixture and target are
            there.
    """

    name: str
    endings: tuple[tuple[str, str, str], ...]

    def read(self, root: Path, key: str) -> list[Recording]:
        missing = [f"{part}/scenes/" for part in sorted(PARTS) if not any((root / part / "scenes").glob("S*.wav"))]
        if missing:
            raise UserError(
                f"{key}: {root} has no sound in {' and none in '.join(missing)}; name the folder where the scripts of "
                f"{self.name} made train/scenes/ and dev/scenes/ (https://challenge.cogmhear.org)"
            )
        counts: Counter[str] = Counter()
        recordings = _apart([recording for part in sorted(PARTS) for recording in self._part(root, part, counts)])
        counts["scenes of eval/ have no target"] = len(_scenes(root / "eval" / "scenes"))
        count(root, counts)
        return recordings

    def _part(self, root: Path, part: str, counts: Counter[str]) -> list[Recording]:
        """What a part holds; adds to `counts` what is wrong with it."""
        path = root / "metadata" / f"scenes.{part}.json"
        listed = {str(field(row, "scene", path)): row for row in rows(path)}
        there = _scenes(root / part / "scenes")
        counts["entries of the metadata have no files"] += len(listed.keys() - there.keys())
        counts["scenes have no entry in the metadata"] += len(there.keys() - listed.keys())
        recordings = []
        for scene, files in sorted(there.items()):
            endings = next((e for e in self.endings if {*e[:2], VIDEO} <= files.keys()), None)
            if endings is None:
                counts["scenes lack their mixture, target or video"] += 1
                continue
            row = listed.get(scene, {})
            maskers = _maskers(row, path)
            recordings += _heard(root, part, scene, [files[e] for e in endings[:2]], files[VIDEO], row, maskers)
            if len({type_ for type_, _ in maskers}) == 1 and endings[2] in files:
                recordings.append(_masker(root, part, scene, files[endings[2]], maskers))
            else:
                counts["interferers, of several types or unknown, are heard in their scenes only"] += 1
        return recordings


AVSEC3 = Edition("AVSEC-3", (("mixed.wav", "target.wav", "interferer.wav"),))
AVSEC4 = Edition(
    "AVSEC-4",
    (("mono_mix.wav", "target_mono.wav", "interferer_mono.wav"), ("mix.wav", "target.wav", "interferer.wav")),
)


def _scenes(folder: Path) -> dict[str, dict[str, Path]]:
    """Files of each scene by how they end: {"S00001": {"target.wav": path}}."""
    scenes: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in folder.glob("S*"):
        if match := SCENE.fullmatch(path.name):
            scenes[match[1]][match[2]] = path
    return scenes


def _maskers(row: dict, path: Path) -> list[tuple[str, str]]:
    """Type (speech, noise, music) and name of each interferer, of speech the talk; AVSEC-4 has up to three."""
    entries = row.get("interferers", [row["interferer"]] if "interferer" in row else [])
    maskers = []
    for entry in entries:
        type_, name = str(field(entry, "type", path)), Path(str(field(entry, "name", path)))
        talk = _speaker(name.with_suffix("").as_posix()) if type_ == "speech" else ""  # they come from LRS3 as well
        maskers.append((type_, talk or name.stem))
    return maskers


def _heard(
    root: Path, part: str, scene: str, sounds: list[Path], video: Path, row: dict, maskers: list[tuple[str, str]]
) -> list[Recording]:
    """The target as a talker, and the mixture in which it is heard; `sounds`: mixture and target."""
    mixture, target = sounds
    named = row.get("target")
    speaker = _speaker(str(named.get("name", "")) if isinstance(named, dict) else "") or scene
    kind = "+".join(sorted({type_ for type_, _ in maskers})) or "unknown"
    talker = draft("talker", f"talker-{part}-{scene}", target.relative_to(root), speaker)
    clip = draft("mixture", f"mixture-{part}-{scene}", mixture.relative_to(root), speaker, kind)
    try:
        snr_db = None if row.get("SNR") is None else float(row["SNR"])
    except (TypeError, ValueError):
        path = root / "metadata" / f"scenes.{part}.json"
        raise UserError(f"{path}: SNR of {scene} is {row['SNR']!r}, no number; correct it") from None
    return [
        Recording(talker, target, video, splits=PARTS[part]),
        Recording(clip, mixture, splits=PARTS[part], mixture_of=talker.id, snr_db=snr_db, kind=kind),
    ]


def _masker(root: Path, part: str, scene: str, sound: Path, maskers: list[tuple[str, str]]) -> Recording:
    """The interferer of a scene, for mixing anew; scenes that share it stay in one split."""
    type_, group = maskers[0][0], "+".join(sorted(name for _, name in maskers))
    role: Role = "speech" if type_ == "speech" else "noise"
    told = re.fullmatch(r"CIN_(.+)_\d+", group)  # a Clarity noise: "CIN_dishwasher_012"
    category = {"speech": "", "music": "music"}.get(type_, told[1] if told else "noise")
    name, speaker = f"{role}-{part}-{scene}", group if role == "speech" else ""
    clip = draft(role, name, sound.relative_to(root), speaker, category)
    return Recording(clip, sound, splits=PARTS[part], group=group)


def _apart(recordings: list[Recording]) -> list[Recording]:
    """The same, with one group for all maskers that share a part: "A+B", "B+C" and "C" stay in one split."""
    together = DisjointSet()
    for recording in recordings:
        first, *others = recording.group.split("+")
        for name in (first, *others):
            together.add(name)
            together.merge(first, name)
    apart = []
    for recording in recordings:
        group = together[recording.group.split("+")[0]]
        speaker = group if recording.clip.role == "speech" else recording.clip.speaker
        apart.append(replace(recording, group=group, clip=replace(recording.clip, speaker=speaker)))
    return apart


def _speaker(target: str) -> str:
    """The talk of LRS3 that a target was cut from, "trainval/0af00UcTOSc/50001" or "0af00UcTOSc_50001"; "" if it is
    named in no such way."""
    match = re.fullmatch(r"(?:.*/)?([\w-]{11})[/_]\d+", target)
    return match[1] if match else ""
