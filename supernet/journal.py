"""A journal: what is done so far, one JSON object a line, from which a killed program goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from supernet.errors import UserError

T = TypeVar("T")


class Journal:
    """A file that grows by a line for each thing done, and is whole whenever the program is killed.

    A last line that a kill cut short is left out in reading, and cut off before the next is written.

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
            file.write(json.dumps(record).encode() + b"\n")

    def read(self, parse: Callable[[dict[str, Any]], T]) -> Iterator[T]:
        """What `parse` makes of each record. It says that a record is damaged by ValueError, KeyError, TypeError or
        AttributeError; raises UserError that names file and line for one where there is a remedy."""
        content = self.path.read_bytes() if self.path.is_file() else b""
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            try:
                found = parse({**json.loads(line)})
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if self.remedy is None:
                    continue
                raise UserError(f"{self.path}: line {number} is damaged ({error!r}); {self.remedy}") from error
            yield found
