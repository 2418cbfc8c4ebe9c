"""The hashes of the files of a corpus, as `sha256sum` writes them: `sha256sum -c SHA256SUMS` in its folder checks all.
The program itself checks a file when a process reads it first. A corpus of a former version has no such list, and files
that the list does not name, as a user adds them, are read as they are.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from supernet.errors import UserError
from supernet.storage.files import write_atomically

SUMS = "SHA256SUMS"
AGAIN = "restore the file, or delete the corpus folder and prepare it again"


def write_sums(folder: Path, names: Iterable[str], contents: dict[str, bytes]) -> None:
    """List the named files below `folder`, and those of which the contents are given, for they are to be written."""
    names = list(names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing leaves the interpreter free
        sums = dict(zip(names, pool.map(lambda name: file_hash(folder / name), names), strict=True))
    sums |= {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    text = "".join(f"{value}  {name}\n" for name, value in sorted(sums.items()) if "\n" not in name)
    write_atomically(folder / SUMS, lambda temporary: temporary.write_bytes(os.fsencode(text)))


def read_sums(folder: Path) -> dict[str, str]:
    """Hashes by names below `folder`; none where the corpus has no list. Raises UserError for a line that is none."""
    path, sums = folder / SUMS, {}
    lines = os.fsdecode(path.read_bytes()).split("\n") if path.is_file() else []
    for number, line in enumerate(filter(None, lines), start=1):
        found = re.fullmatch("([0-9a-f]{64})  (.+)", line)
        if not found:
            raise UserError(f"{path}: line {number} is no hash of a file; {AGAIN}")
        sums[found[2]] = found[1]
    return sums


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(path: Path, found: str, expected: str | None) -> None:
    """Raise UserError when the hash that was found of a file is not the one expected, where there is one."""
    if expected not in (None, found):
        raise UserError(f"{path}: damaged, or changed since {SUMS} was written; {AGAIN}")
