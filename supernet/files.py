"""Files that are there completely or not at all, whatever moment the program is killed at."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from supernet.errors import UserError


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write` on a temporary file beside `path`, then rename it into place; a failed write leaves nothing.

    An OSError names the file, also where the system leaves that out, as on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.partial"
    try:
        temporary.touch()  # the system's own error for a place that cannot be written, whatever library writes
        write(temporary)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object in a file that this program wrote. Raises UserError with the remedy when it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: damaged (no JSON object); {remedy}")
    return content
