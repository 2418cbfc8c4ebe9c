"""What public corpora look like on disk. One small module a corpus; each turns a folder into `Recording`s. A reader
knows names and layouts, and opens no media file. It raises UserError when the folder is not laid out as its corpus is,
and says which part is missing; what it finds but cannot use it counts, in one line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from supernet.data.corpus import SPLITS, Clip, Role, Split
from supernet.errors import UserError


@dataclass(frozen=True)
class Recording:
    """A recording as it lies on disk, and the clip that it will be.

    Args:
        clip: complete but for `split`, `samples` and `frames`.
        sound: the file with its sound; for a talker that may be the video.
        video: the talker's video; None for other roles, and where lip pictures come with the corpus.
        lips: lip pictures that come with the corpus, an array file, in place of a video.
        lip_rate: of these pictures, frames a second.
        splits: where the corpus lets it be: one split where the corpus itself says so, else those among which
            `supernet.data.recordings.splits` divides its groups.
        group: what must not cross splits; "" takes the speaker, or for noise what the file's name says.
        mixture_of: for a recorded mixture, the id of the talker's clip that is heard in it, aligned with it.
        snr_db: for a recorded mixture, the ratio at which it was made.
        kind: for a recorded mixture, what masks the talker.
    """

    clip: Clip
    sound: Path
    video: Path | None = None
    lips: Path | None = None
    lip_rate: Fraction = Fraction(25)
    splits: tuple[Split, ...] = SPLITS
    group: str = ""
    mixture_of: str = ""
    snr_db: float | None = None
    kind: str = ""

    @property
    def split(self) -> Split | None:
        """Where the corpus itself puts it; None leaves that to `supernet.data.recordings.splits`."""
        return self.splits[0] if len(self.splits) == 1 else None


class Reader(Protocol):
    """A module of this package, or an object of one."""

    def read(self, root: Path, key: str) -> list[Recording]:
        """All recordings below `root`, in the order of their ids. Raises UserError, which begins with the setting's
        name, `key`."""


def draft(role: Role, name: str, source: Path, speaker: str = "", category: str = "") -> Clip:
    """A clip of which nothing is known yet but where it comes from: `source`, a path below the corpus's own root."""
    return Clip(
        id=name,
        role=role,
        split="train",
        speaker=speaker,
        category=category,
        audio=f"audio/{name}.wav",
        lips=f"lips/{name}.npy" if role == "talker" else "",
        samples=0,
        frames=0,
        source=source.as_posix(),
    )


def named(role: Role, path: Path) -> str:
    """Id of the clip of a file at `path` below the corpus's own root."""
    return "-".join((role, *path.with_suffix("").parts))


def files(root: Path, key: str, suffixes: tuple[str, ...], wanted: str, depth: int = 1) -> list[Path]:
    """Files below `root` with one of `suffixes`, in order, as paths below `root` of at least `depth` parts.

    Raises UserError when there is none; `wanted` says in words what was looked for.
    """
    below = found_below(root, suffixes)
    found = [path for path in below if len(path.parts) >= depth]
    if not found:
        where = "<speaker>/*" if depth > 1 else "*"
        raise UserError(f"{key}: {root} holds no {wanted} ({where}{', '.join(suffixes)}); correct the path")
    count(root, {"files lie in no speaker's folder": len(below) - len(found)})
    return found


def found_below(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The same, where there may be none. Links to folders are followed; a folder that is met twice counts once, under
    its own name where it has one below `root`: a recording under two speakers' names would cross splits."""
    found, seen, waiting = [], set(), [root]
    for top in waiting:  # which grows: what lies behind links comes after all that does not
        for folder, folders, names in os.walk(top):
            if (real := os.path.realpath(folder)) in seen:
                folders.clear()
                continue
            seen.add(real)
            paths = [Path(folder, name) for name in sorted((*folders, *names))]
            waiting += [path for path in paths if path.is_symlink() and path.is_dir()]
            found += [path.relative_to(root) for path in paths if path.suffix.lower() in suffixes]
    return sorted(found)


def existing(root: str | None, key: str, wanted: str) -> Path:
    """The folder that a setting names. Raises UserError when it names none, or one that does not exist."""
    if not root:  # an empty path would be the working folder
        raise UserError(f"{key}: not given; name the folder of {wanted}")
    if not Path(root).is_dir():
        raise UserError(f"{key}: no such folder: {root}; correct the path")
    return Path(root)


def rows(path: Path) -> list[dict]:
    """A corpus's own list, a JSON file with one object an entry; empty where there is no such file.

    Raises UserError when it cannot be read.
    """
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch it again") from error
    if not (isinstance(content, list) and all(isinstance(row, dict) for row in content)):
        raise UserError(f"{path}: must be a list of objects; fetch it again")
    return content


def field(row: dict, name: str, path: Path) -> object:
    """A field of such an entry. Raises UserError when the entry has none."""
    if name not in row:
        raise UserError(f"{path}: an entry has no '{name}' ({json.dumps(row)[:80]}); fetch the file again")
    return row[name]


def count(root: Path, counts: Mapping[str, int]) -> None:
    """Print one line of what was found below `root` and is not used as it should be, if there is anything."""
    parts = [f"{number} {what}" for what, number in counts.items() if number]
    if parts:
        tqdm.write(f"{root}: {', '.join(parts)}")
