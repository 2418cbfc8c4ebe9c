"""Header and rows of a quality table, and the file that holds them: CSV, with the header above the columns as lines
`# key: value`, so that a spreadsheet opens it. Free of torch.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from supernet.errors import UserError
from supernet.files import write_text
from supernet.settings import without_deleted
from supernet.space import Subnet


@dataclass(frozen=True)
class QualityHeader:
    """How the rows came about; one table never mixes two ways."""

    fidelity: str  # "shared", "finetuned", "extrapolated" or "retrained"
    clips: int  # each row is a mean over so many clips
    width: float
    causal: bool
    norm: str
    machine: str = ""  # fingerprint of the machine that measured, threads included; "" where nothing was measured
    threads: int = 1  # torch threads while measuring
    seconds: float = 1.0  # duration of the measured clip
    data_hash: str = ""
    weights_hash: str = ""
    seed: int = 0
    list: str = "val"  # of the corpus, whose clips count
    training: dict[str, Any] = field(default_factory=dict)  # settings under which each subnet was trained
    command: str = ""  # that makes the table
    versions: str = ""  # of what computed it
    seeds: int = 1  # trainings that each row is the mean of
    precision: str = "32-true"  # of the arithmetic behind SI-SNRi


@dataclass(frozen=True)
class QualityRow:
    """One subnet. NaN marks what was not computed; SI-SNRi and the exact costs always are."""

    subnet: Subnet
    params: int
    macs: float  # per second of audio, lips included
    si_snri: float  # dB, mean over the clips
    si_snri_se: float  # dB, its standard error
    rtf: float = math.nan
    latency_ms: float = math.nan  # for the whole measured clip
    memory_mb: float = math.nan
    pesq: float = math.nan
    stoi: float = math.nan
    estoi: float = math.nan
    failures: int = 0  # clips for which one of the three is undefined; left out of its mean
    curve: tuple[float, ...] = ()  # SI-SNRi in dB after each epoch of a fine-tuning
    by_condition: dict[str, float] = field(default_factory=dict)  # SI-SNRi in dB; columns `si_snri_<condition>`


AGAIN = "delete it, and make it again by `ofa-avse score` or `ofa-avse truth`"
_PREFIX = "si_snri_"
_KINDS = {  # of the header's fields, in words
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict[str, Any]": "an object",
}
_COLUMNS = tuple(f.name for f in fields(QualityRow) if f.name != "by_condition")


def by_subnet(rows: Iterable[QualityRow], path: Path) -> dict[Subnet, QualityRow]:
    """The rows, each under its subnet. Raises UserError as `QualityTable` does."""
    found: dict[Subnet, QualityRow] = {}
    for row in rows:
        if row.subnet in found:
            raise UserError(f"{path}: {row.subnet} comes twice; {AGAIN}")
        for name in ("params", "macs", "si_snri", "si_snri_se"):
            if not math.isfinite(getattr(row, name)):
                raise UserError(f"{path}: {row.subnet} has no finite {name}; {AGAIN}")
        if not all(map(math.isfinite, row.curve)):
            raise UserError(f"{path}: {row.subnet} has a curve that is not finite; {AGAIN}")
        found[row.subnet] = row
    if not found:
        raise UserError(f"{path}: holds no subnet; {AGAIN}")
    return found


def write(path: Path, header: QualityHeader, rows: Sequence[QualityRow]) -> None:
    """Write a table in one step: a reader sees the old file or the whole new one."""
    conditions = sorted({name for row in rows for name in row.by_condition})
    text = io.StringIO()
    for key, value in {**asdict(header), "rows": len(rows)}.items():
        text.write(f"# {key}: {json.dumps(value)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *(_PREFIX + name for name in conditions)])
    for row in rows:
        values = [getattr(row, name) for name in _COLUMNS[:-1]] + [" ".join(map(str, row.curve))]
        values += [row.by_condition.get(name, math.nan) for name in conditions]
        writer.writerow(["" if value != value else value for value in values])  # NaN is an empty cell
    write_text(path, text.getvalue())


def read(path: Path) -> tuple[QualityHeader, list[QualityRow]]:
    """Header and rows of a file that `write` wrote.

    Raises:
        UserError: there is no such file, or it is damaged: a header line, a column or a row is missing or wrong.
    """
    if not path.is_file():
        raise UserError(f"{path}: no quality table there; `ofa-avse score` writes one")
    try:
        lines = path.read_text().splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no quality table, but a binary file; `ofa-avse score` writes one") from None
    comments = [line for line in lines if line.startswith("#")]
    header, count = _read_header(comments, path)
    rows = _read_rows(csv.DictReader(lines[len(comments) :], strict=True), path)
    if len(rows) != count:
        raise UserError(f"{path}: damaged, {len(rows)} rows where its header says {count}; {AGAIN}")
    return header, rows


def _read_header(comments: list[str], path: Path) -> tuple[QualityHeader, int]:
    """Header and number of rows from the lines `# key: value`."""
    try:
        values = {key: json.loads(text) for key, text in (line[2:].split(": ", 1) for line in comments)}
        count = values.pop("rows")
        header = QualityHeader(**values)
        kinds = {field.name: field.type for field in fields(QualityHeader)} | {"rows": "int"}
        for name, value in (values | {"rows": count}).items():
            if not _is(kinds[name], value):
                raise TypeError(f"{name} must be {_KINDS[kinds[name]]}, not {json.dumps(value)[:80]}")
        header = replace(header, training=without_deleted(header.training))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: damaged header ({error}); {AGAIN}") from None
    return header, count


def _is(kind: str, value: Any) -> bool:
    """Whether a JSON value is of the type that a field of the header is annotated with."""
    if kind in ("int", "float"):
        numbers = int if kind == "int" else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, {"str": str, "bool": bool, "dict[str, Any]": dict}[kind])


def _read_rows(reader: csv.DictReader, path: Path) -> list[QualityRow]:
    columns = reader.fieldnames or []
    missing = [name for name in _COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in _COLUMNS and not name.startswith(_PREFIX)]
    if missing or unknown:
        wrong = [f"{verb} {', '.join(names)}" for verb, names in (("lacks", missing), ("has", unknown)) if names]
        raise UserError(f"{path}: wrong columns ({'; '.join(wrong)}); {AGAIN}")
    rows = []
    try:
        for cells in reader:
            rows.append(_read_row(cells))
    except (ValueError, TypeError, AttributeError, OverflowError, csv.Error, UserError) as error:
        line = len(rows) + 1
        raise UserError(f"{path}: damaged in row {line} ({error}); {AGAIN}") from None
    return rows


def _read_row(cells: dict[str, str]) -> QualityRow:
    if None in cells or None in cells.values():  # how csv says that a line has more cells than columns, or fewer
        raise ValueError("cells are missing" if None in cells.values() else "too many cells")
    curve = tuple(map(float, cells.pop("curve").split()))
    numbers = {name: math.nan if text == "" else float(text) for name, text in cells.items() if name != "subnet"}
    by_condition = {name.removeprefix(_PREFIX): numbers.pop(name) for name in list(numbers) if name not in _COLUMNS}
    numbers |= {name: int(numbers[name]) for name in ("params", "failures")}
    return QualityRow(subnet=Subnet.parse(cells["subnet"]), curve=curve, by_condition=by_condition, **numbers)
