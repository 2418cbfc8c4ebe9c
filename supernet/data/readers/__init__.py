"""What public corpora look like on disk. One small module a corpus; each turns a folder into `Recording`s.

Used by `supernet.data.preparing`, which converts them. A reader knows names and layouts, and opens no media file. It
raises UserError when the folder is not laid out as its corpus is, and says which part is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from supernet.data.manifest import Clip, Role, Split
from supernet.errors import UserError


@dataclass(frozen=True)
class Recording:
    """A recording as it lies on disk, and the clip that it will be.

    Args:
        clip: complete but for `split`, `samples` and `frames`.
        sound: the file with its sound; for a talker that may be the video.
        video: the talker's video; None for other roles.
        split: where the corpus itself puts it; None leaves that to `supernet.data.splits`.
        mixture_of: for a recorded mixture, the id of the talker's clip that is heard in it, aligned with it.
        snr_db: for a recorded mixture, the ratio at which it was made.
    """

    clip: Clip
    sound: Path
    video: Path | None = None
    split: Split | None = None
    mixture_of: str = ""
    snr_db: float | None = None


class Reader(Protocol):
    """A module of this package."""

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


def files(root: Path, key: str, suffixes: tuple[str, ...], wanted: str, depth: int = 1) -> list[Path]:
    """Files below `root` with one of `suffixes`, in order, as paths below `root` of at least `depth` parts.

    Raises UserError when there is none; `wanted` says in words what was looked for.
    """
    found = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.suffix.lower() in suffixes]
    found = [path for path in found if len(path.parts) >= depth]
    if not found:
        where = "<speaker>/*" if depth > 1 else "*"
        raise UserError(f"{key}: {root} holds no {wanted} ({where}{', '.join(suffixes)}); correct the path")
    return found


def existing(root: str | None, key: str, wanted: str) -> Path:
    """The folder that a setting names. Raises UserError when it names none, or one that does not exist."""
    if root is None:
        raise UserError(f"{key}: not given; name the folder of {wanted}")
    if not Path(root).is_dir():
        raise UserError(f"{key}: no such folder: {root}; correct the path")
    return Path(root)
