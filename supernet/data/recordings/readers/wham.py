"""WHAM! noise, `{tr,cv,tt}/*.wav`, two channels: http://wham.whisper.ai. Restaurants, cafes, bars and parks.

The splits are official: tr trains, cv validates, tt tests. `metadata/noise_meta_{tr,cv,tt}.csv` lists the files in its
column `utterance_id` [R: audeering's build of the corpus]; where it is there, files and rows are compared.
"""

from __future__ import annotations

import csv
from pathlib import Path

from supernet.data.corpus import Split
from supernet.data.recordings.readers import Recording, count, draft, named
from supernet.errors import UserError

PARTS: dict[str, Split] = {"tr": "train", "cv": "val", "tt": "test"}
CATEGORY = "public_place"  # of all: WHAM! does not publish which recording was made where


def read(root: Path, key: str) -> list[Recording]:
    root = root / "wham_noise" if (root / "wham_noise").is_dir() else root
    missing = [part for part in PARTS if not any((root / part).glob("*.wav"))]
    if missing:
        raise UserError(
            f"{key}: {root} has no {'/*.wav, no '.join(missing)}/*.wav; WHAM! noise unpacks to wham_noise/ with tr/, "
            "cv/ and tt/ (http://wham.whisper.ai)"
        )
    recordings, lost, unlisted = [], 0, 0
    for part, split in sorted(PARTS.items()):
        paths = sorted((root / part).glob("*.wav"))
        listed = _listed(root / "metadata" / f"noise_meta_{part}.csv")
        if listed:
            names = {path.name for path in paths}
            lost, unlisted = lost + len(listed - names), unlisted + len(names - listed)
        for path in paths:
            below = path.relative_to(root)
            clip = draft("noise", named("noise", below), below, category=CATEGORY)
            recordings.append(Recording(clip, path, splits=(split,)))
    count(root, {"rows of the metadata have no file": lost, "files have no row in the metadata": unlisted})
    return recordings


def _listed(path: Path) -> set[str]:
    """File names in a table of WHAM!'s; empty where there is no table. Raises UserError when it is another table."""
    if not path.is_file():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if "utterance_id" not in (table.fieldnames or ()):
            raise UserError(f"{path}: has no column 'utterance_id'; fetch it again")
        return {row["utterance_id"] for row in table}
