"""From settings to a corpus on disk: clips, manifest and fixed lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from supernet.data.corpus import LISTS, MANIFEST, PACK, SCENES, Clip, Corpus, Split, write_lines
from supernet.data.lips import find as lips
from supernet.data.mixing import rooms
from supernet.data.mixing.draw import Drawing
from supernet.data.recordings import preparing
from supernet.data.settings import DEGRADING, MIXING, DataSettings, whole_frames
from supernet.data.sums import SUMS
from supernet.data.synthetic import talkers as synthetic
from supernet.errors import UserError
from supernet.storage.files import read_json, write_text

SETTINGS = "settings.json"
TRAINING_ONLY = ("also", "speech_targets", "balance", "loaders", *DEGRADING)
UNUSED = {  # settings that do not change what a corpus holds
    "grid": ("folder", "workers", "synthetic", *TRAINING_ONLY),
    "synthetic": (
        *("folder", "workers", "root", "speech", "noise", "noise_corpus", "lip_region", "landmark_model"),
        *TRAINING_ONLY,
    ),
}
GRID_ONLY = ("test_speaker", "test_clips", "val_clips", "held_out_speakers", "other_items")
ELSEWHERE = (*UNUSED["grid"], *GRID_ONLY)
NEWER = ("noise_corpus", *MIXING)  # noted only where they are not the default, for older corpora lack them
SPLITTING = (  # settings that splits and lists depend on, but no clip
    *("seed", "snr_min", "snr_max", "reverberation", "list_seconds", "val_items", "test_items", "other_items"),
    *("test_speaker", "test_clips", "val_clips", "held_out_speakers"),
    *(name for name in MIXING if name != "rooms"),
)
FOLDERS = ("root", "speech", "noise", "rooms", "landmark_model")  # settings that are paths
STREAMS = {"val": 1, "test": 2, "test_other": 3}  # of random numbers, one a list


def build(settings: DataSettings, folder: Path | str) -> Corpus:
    """The corpus that `settings` describe, in `folder`: made, finished or, when it is there, opened.

    Lists: `val` and `test`; for `grid`, `test` holds the kept clips of the test speaker, and `test_other` the
    speakers held out of training, if any. Raises UserError when the folder holds a corpus of other settings, and
    before recordings are converted when `data.also` or `data.rooms` names what is none.
    """
    folder = Path(folder)
    claim(folder, settings)
    if (folder / MANIFEST).is_file():
        return Corpus.open(folder)
    (folder / SUMS).unlink(missing_ok=True)  # of a preparation that was stopped
    for also in settings.also:
        try:
            Corpus.open(also)
        except UserError as error:
            raise UserError(f"data.also: {error}") from error
    if settings.rooms_folder:
        rooms.adopt(settings.rooms_folder, folder, settings.seed)
    if settings.corpus == "synthetic":
        clips = synthetic.synthesize(folder, settings.synthetic)
    else:
        clips, scenes = preparing.prepare(folder, settings)
        if scenes:  # before the lists, which may draw them
            write_lines(folder / SCENES, scenes)
    draw_lists(Corpus(folder, clips), settings)
    return Corpus.write(folder, clips)


def draw_lists(corpus: Corpus, settings: DataSettings) -> None:
    """Write the fixed lists of a corpus whose clips are there, in place of any others."""
    frames = whole_frames(settings.list_seconds, "data.list_seconds")
    short = sum(clip.frames < frames for clip in corpus.select("talker"))
    if short:
        tqdm.write(f"{short} talker clips are shorter than data.list_seconds: in the lists they are no targets")
    for left in (corpus.folder / LISTS).glob("*.jsonl"):  # by a preparation that was stopped here, with other lists
        left.unlink()
    for name, split, targets, items in _lists(corpus, settings):
        drawing = Drawing(corpus, settings, split, frames, targets)
        specs = drawing.specs(items, (settings.seed, STREAMS[name]))
        write_lines(corpus.folder / LISTS / f"{name}.jsonl", (spec.to_json() for spec in specs))


def _lists(corpus: Corpus, settings: DataSettings) -> list[tuple[str, Split, Sequence[Clip], int]]:
    """Name, split, targets and number of mixtures of each list."""
    val, test = corpus.select("talker", "val"), corpus.select("talker", "test")
    if settings.corpus != "grid":
        return [("val", "val", val, settings.val_items), ("test", "test", test, settings.test_items)]
    own = [clip for clip in test if clip.speaker == settings.test_speaker]
    others = [clip for clip in test if clip.speaker != settings.test_speaker]
    lists: list[tuple[str, Split, Sequence[Clip], int]] = [
        ("val", "val", val, settings.val_items),
        ("test", "test", own, settings.test_items),
    ]
    return lists + ([("test_other", "test", others, settings.other_items)] if others and settings.other_items else [])


def _alike(key: str, one: Any, other: Any) -> bool:
    """Whether two values of a setting are the same, however a folder is written."""
    if key in FOLDERS and isinstance(one, str) and isinstance(other, str):
        return Path(one).resolve() == Path(other).resolve()
    return one == other


def claim(folder: Path, settings: DataSettings) -> None:
    """Note the settings in the folder, or compare them with those of the clips that are there.

    As long as the corpus is not finished, splits and lists may be asked for in another way: a preparation that was
    refused for too few clips goes on from those that it has made. Raises UserError when other settings differ.
    """
    if (folder / PACK).is_file():
        raise UserError(f"{folder}: is a compact pack; run `ofa-avse data unpack`, and name the corpus that it writes")
    wanted = notes(settings)
    path = folder / SETTINGS
    if not (path.is_file() and (any(folder.glob("audio/*")) or (folder / MANIFEST).is_file())):
        write_text(path, json.dumps(wanted, indent=2) + "\n")
        return
    there: dict[str, Any] = read_json(path, "delete the folder and prepare it again")
    keys = sorted(key for key in wanted | there if not _alike(key, there.get(key), wanted.get(key)))
    if not (folder / MANIFEST).is_file() and set(keys) <= set(SPLITTING):
        write_text(path, json.dumps(wanted, indent=2) + "\n")
    elif keys:
        raise UserError(
            f"{folder}: holds a corpus made with other settings (data.{', data.'.join(keys)}); "
            "use another folder or delete it"
        )


def notes(settings: DataSettings) -> dict[str, Any]:
    """What a corpus notes of the settings that it is made with: those that change what it holds."""
    unused = UNUSED.get(settings.corpus, ELSEWHERE)
    noted = {key: value for key, value in asdict(settings).items() if key not in (*unused, *NEWER)}
    noted |= settings.changed([name for name in NEWER if name not in unused])
    noted = json.loads(json.dumps(noted))  # as JSON gives them back
    noted.get("synthetic", {}).pop("workers", None)
    if settings.corpus == "synthetic":
        noted["generator"] = synthetic.GENERATOR
    else:
        noted["lip_finder"] = lips.FINDER
    return noted


def noted(folder: Path) -> DataSettings:
    """The settings that a corpus was made with; those that change nothing of it at their defaults. Raises UserError
    when they are missing or damaged."""
    path, again = folder / SETTINGS, "delete the folder and prepare it again"
    if not path.is_file():
        raise UserError(f"{path}: not found; {again}")
    there = read_json(path, again)
    try:
        voices = synthetic.SyntheticSettings(**there.pop("synthetic", {}))
        known = {key: value for key, value in there.items() if key not in ("generator", "lip_finder")}
        return DataSettings(**known, synthetic=voices)
    except TypeError as error:
        raise UserError(f"{path}: damaged ({error}); {again}") from error
