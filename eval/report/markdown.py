"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with its columns aligned, so that it also reads well in a terminal; what is in a cell is shown by `str`.

    >>> print(table(["subnet", "dB"], [["smallest", 6.1], ["largest", 6.75]]))
    | subnet   | dB   |
    |----------|------|
    | smallest | 6.1  |
    | largest  | 6.75 |
    """
    cells = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
