"""The ledger: every evaluation ever paid for, in one SQLite file on a local disk.

Written by the parent process alone. Each row is committed by itself, so a process killed at any moment loses at most
the evaluation it was computing. A record holds a hash of itself and its key; rows of former versions, without, are read
too.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from supernet.checkpoint import identity_hash
from supernet.errors import UserError
from supernet.settings import training_identity
from supernet.storage.records import HASH, digest

VERSION = 1  # of what a row's identity holds


class Ledger:
    """Evaluations by identity: the key is the sha256 of the identity's canonical JSON, so anything that changes an
    evaluation's outcome must be in its identity. Raises UserError when `path` holds something else than a ledger.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._readable():
            self._connection = sqlite3.connect(self.path, isolation_level=None)  # None: a transaction a statement
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS evaluations "
                "(row INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, identity TEXT NOT NULL, record TEXT NOT NULL)"
            )
            ((found,),) = self._connection.execute("PRAGMA integrity_check(1)")  # a millisecond a megabyte
            tables = {name for (name,) in self._connection.execute("SELECT tbl_name FROM sqlite_master")}
        if found != "ok" or tables != {"evaluations"}:
            what = found if found != "ok" else f"it holds {', '.join(sorted(tables))}"
            raise UserError(f"{self.path}: cannot be used as a ledger ({what}); move it away and try again")
        with self._readable():
            self._rename_former()

    def _rename_former(self) -> None:
        """Give rows of former versions, once, the identity that they have today: a training's was all its settings.
        Of rows that are one evaluation then, the first is found."""
        ((version,),) = self._connection.execute("PRAGMA user_version")
        if version >= VERSION:
            return
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            stored = self._connection.execute("SELECT row, key, identity, record FROM evaluations").fetchall()
            for row, key, *texts in stored:
                with suppress(ValueError, RecursionError):  # one that is damaged is named when it is asked for
                    identity, _ = _read(key, key, *texts)
                    if training := identity.get("training"):
                        training = training_identity(training, epochs="epochs_averaged" in identity)
                        identity = identity | {"training": training}
                        values = [identity_hash(identity), json.dumps(identity), row]
                        self._connection.execute(
                            "UPDATE OR IGNORE evaluations SET key = ?, identity = ? WHERE row = ?", values
                        )
            self._connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn what SQLite says of a damaged file, a full disk or a place where it may not write into one line."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:  # what it holds is sound
            raise UserError(f"{self.path}: {error}; make room, or let it be read and written, and try again") from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path}: cannot be used as a ledger ({error}); move it away and try again") from error

    def get(self, identity: dict[str, Any]) -> dict[str, Any] | None:
        """The record stored for `identity`, or None."""
        key = identity_hash(identity)
        with self._readable():
            query = "SELECT key, identity, record FROM evaluations WHERE key = ?"
            row = self._connection.execute(query, [key]).fetchone()
        try:
            return _read(key, *row)[1] if row else None
        except (ValueError, RecursionError) as error:
            raise self.damaged(identity, error) from error

    def damaged(self, identity: dict[str, Any], error: Exception) -> UserError:
        """What to raise for a record that cannot be read."""
        subnet = identity.get("subnet")
        return UserError(f"{self.path}: record of {subnet} is damaged ({error!r}); move the file away and try again")

    def put(self, identity: dict[str, Any], record: dict[str, Any]) -> None:
        """Store a record, durably once this returns. Raises sqlite3.IntegrityError when there is one already, and
        ValueError for a NaN, which JSON does not have."""
        key = identity_hash(identity)
        values = [key, json.dumps(identity), json.dumps({**record, HASH: digest([key, record])}, allow_nan=False)]
        with self._readable():
            self._connection.execute("INSERT INTO evaluations (key, identity, record) VALUES (?, ?, ?)", values)

    def rows(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Every (identity, record), in the order in which they were stored."""
        with self._readable():
            found = self._connection.execute("SELECT key, identity, record FROM evaluations ORDER BY row").fetchall()
        return [_read(row[0], *row) for row in found]

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _read(key: str, stored: str, identity: str, record: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Identity and record of a row that was found under `key`. Raises ValueError where they are not as stored."""
    said, found = json.loads(identity), json.loads(record)
    if not (isinstance(said, dict) and isinstance(found, dict)):
        raise ValueError("no JSON object")
    seal = found.pop(HASH, None)
    if not key == stored == identity_hash(said) or seal not in (None, digest([key, found])):
        raise ValueError("it was changed since it was written")
    return said, found
