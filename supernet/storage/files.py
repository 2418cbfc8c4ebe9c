"""Files that are there completely or not at all, whatever moment the program is killed at, and that say so when they
were damaged since."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar, overload

from supernet.errors import UserError
from supernet.storage.records import HASH, decode, sealed
from supernet.storage.signals import unbroken

T = TypeVar("T")
MARK = f"# {HASH}: "  # in the first line of a text that holds its own hash


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Call `write` on a temporary file beside `path`, then rename it into place; a failed write leaves nothing.

    An OSError names the file, also where the system leaves that out, as on a full disk.
    """
    with replacing(path) as temporary:
        write(temporary)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The same as a context: what was written to the temporary file is in place when it ends well.

    Raises UserError where another run holds the same path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.partial"
    with ExitStack() as stack:
        ours = False
        try:
            with unbroken():
                held = stack.enter_context(temporary.open("ab"))  # the system's own error where it cannot be written
                _hold(held, path)
                ours = True
            mode = temporary.stat().st_mode
            os.truncate(temporary, 0)  # of a run that was killed
            yield temporary
            temporary.chmod(mode)  # safetensors leaves its files to their owner alone
            os.replace(temporary, path)
        except BaseException as error:
            if ours:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(path)
            raise


def _hold(file: IO[bytes], path: Path) -> None:
    """Keep others from writing the same path. Raises UserError where one does."""
    with suppress(OSError):  # of a file system that has no locks
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{path}: is being written by another run; wait for it, or give another name") from None


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object with its hash. Raises ValueError for a NaN, which JSON does not have."""
    write_text(path, json.dumps(sealed(content), indent=1, allow_nan=False) + "\n")


@overload
def read_json(path: Path, remedy: str) -> dict[str, Any]: ...


@overload
def read_json(path: Path, remedy: str, kind: type[T]) -> T: ...


def read_json(path: Path, remedy: str, kind: type = dict[str, Any]) -> Any:
    """The JSON object in a file that this program wrote, as `kind`. Raises UserError with the remedy when it is damaged
    or was changed."""
    return decode(path.read_bytes(), kind, f"{path}: damaged", remedy)


def read_lines(path: Path, kind: type[T], what: str, remedy: str) -> list[T]:
    """The records of a JSON-lines file, as `kind`. Raises UserError that names the line that is no such thing."""
    *lines, rest = path.read_bytes().split(b"\n")
    if rest:
        raise UserError(f"{path}: line {len(lines) + 1} is no {what} (it does not end); {remedy}")
    return [decode(line, kind, f"{path}: line {i} is no {what}", remedy) for i, line in enumerate(lines, start=1)]


def with_hash(text: str) -> str:
    """A text in which `#` begins a comment, below a first line that holds its hash."""
    return f"{MARK}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def without_hash(path: Path, what: str) -> str:
    """The text in a file, free of its hash. One without a hash is a user's, or a former version's, and read as it is.

    Raises UserError when the file is not `what` it is to be, but binary, or was changed since it was written.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no {what}, but a binary file") from None
    if not text.startswith(MARK):
        return text
    first, _, rest = text.partition("\n")
    if not re.fullmatch(f"{MARK}[0-9a-f]{{64}}", first) or with_hash(rest) != text:
        raise UserError(f"{path}: damaged, or changed since it was written; if on purpose, delete its first line")
    return rest
