"""What is measured, a line on the terminal and in a CSV file at once."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COLUMNS = ("part", "quantity", "value", "unit", "note")


class Rows:
    """Appends to the file, so that nothing is lost when a run is cut off, and a later one goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            self._write(COLUMNS)

    def add(self, part: str, quantity: str, value: float | str, unit: str = "", note: str = "") -> None:
        shown = f"{value:.6g}" if isinstance(value, float) else str(value)
        print(f"{part:10}{quantity:44}{shown:>14} {unit:10}{note}", flush=True)
        self._write((part, quantity, shown, unit, note))

    @contextmanager
    def guarded(self, part: str, quantity: str = "") -> Iterator[None]:
        """An error inside becomes a row, and what comes after goes on."""
        begun = time.monotonic()
        try:
            yield
        except Exception as error:  # of whatever kind: the next part may do
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self.add(part, f"{quantity}: error" if quantity else "error", "", "", text)
        if not quantity:
            self.add(part, "took", time.monotonic() - begun, "s")

    def _write(self, values: tuple[str, ...]) -> None:
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(values)
