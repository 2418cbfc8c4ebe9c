"""A journal: what is done so far, one JSON object a line, from which a killed program goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from supernet.errors import UserError
from supernet.storage.records import decode, sealed

T = TypeVar("T")


class Journal:
    """A file that grows by a line for each thing done, and is whole whenever the program is killed.

    A last line that a kill cut short is left out in reading, and cut off before the next is written. A line holds its
    own hash (`supernet.storage.records`).

    Args:
        path: the file; not made before the first line.
        remedy: what the user is to do about any other line that cannot be read. None where what a line says is simply
            found out again: such a line is left out too.
    """

    def __init__(self, path: Path, remedy: str | None = None) -> None:
        self.path, self.remedy = path, remedy

    def append(self, record: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            if size := file.tell():
                file.seek(size - 1)
                if file.read() != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write(json.dumps(sealed(record)).encode() + b"\n")

    def read(self, kind: type[T]) -> Iterator[T]:
        """Each record as `kind`; raises UserError that names file and line for a damaged one where there is a
        remedy."""
        content = self.path.read_bytes() if self.path.is_file() else b""
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            try:
                yield decode(line, kind, f"{self.path}: line {number} is damaged", self.remedy or "")
            except UserError:
                if self.remedy is not None:
                    raise
