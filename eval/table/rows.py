"""Header and rows of a quality table, and the file that holds them: CSV, with the header above the columns as lines
`# key: value`, so that a spreadsheet opens it. The first of these is a hash of the rest; a table without it, as former
versions wrote it or a user has changed it, is read too. Free of torch.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from supernet.errors import UserError
from supernet.settings import training_identity
from supernet.space import WIDEST, SearchSpace, Subnet
from supernet.storage.files import with_hash, without_hash, write_text
from supernet.storage.records import convert

Count = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class QualityHeader:
    """How the rows came about; one table never mixes two ways."""

    fidelity: Literal["shared", "finetuned", "extrapolated", "retrained"]
    clips: Count  # each row is a mean over so many clips
    width: Annotated[float, Meta(gt=0, le=WIDEST)]
    causal: bool
    norm: Literal["global", "frame"]
    machine: str = ""  # fingerprint of the machine that measured, threads included; "" where nothing was measured
    threads: Count = 1  # torch threads while measuring
    seconds: Annotated[float, Meta(gt=0)] = 1.0  # duration of the measured clip
    data_hash: str = ""
    weights_hash: str = ""
    seed: int = 0
    list: str = "val"  # of the corpus, whose clips count
    training: dict[str, Any] = field(default_factory=dict)  # settings under which each subnet was trained
    command: str = ""  # that makes the table
    versions: str = ""  # of what computed it
    seeds: Count = 1  # trainings that each row is the mean of
    precision: str = "32-true"  # of the arithmetic behind SI-SNRi
    metric_version: Count = 1  # see eval.version


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
MOST = len(SearchSpace())  # rows
LARGEST = 32e6  # bytes
DECIBELS = (-200.0, 200.0)
LIMITS = {  # of the columns; SI-SNRi of a condition lies within DECIBELS
    "params": (1, 1e9),
    "macs": (1, 1e13),
    "si_snri": DECIBELS,
    "si_snri_se": (0, DECIBELS[1]),
    "rtf": (0, 1e6),
    "latency_ms": (0, 1e9),
    "memory_mb": (0, 1e9),
    "pesq": (-0.5, 4.7),
    "stoi": (-1, 1),
    "estoi": (-1, 1),
    "failures": (0, 1e9),
}
_PREFIX = "si_snri_"
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
    write_text(path, with_hash(text.getvalue()))


def read(path: Path) -> tuple[QualityHeader, list[QualityRow]]:
    """Header and rows of a file that `write` wrote.

    Raises:
        UserError: there is no such file, or it is damaged: a header line, a column or a row is missing or wrong.
    """
    if not path.is_file():
        raise UserError(f"{path}: no quality table there; `ofa-avse score` writes one")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path}: is too large for a quality table of at most {MOST} rows; {AGAIN}")
    lines = without_hash(path, "quality table").splitlines()
    comments = list(takewhile(lambda line: line.startswith("#"), lines))
    header, count = _read_header(comments, path)
    if len(lines) - len(comments) - 1 > MOST:
        raise UserError(f"{path}: holds {len(lines) - len(comments) - 1} rows, and there are {MOST} subnets; {AGAIN}")
    rows = _read_rows(csv.DictReader(lines[len(comments) :], strict=True), path)
    if len(rows) != count:
        raise UserError(f"{path}: damaged, {len(rows)} rows where its header says {count}; {AGAIN}")
    return header, rows


def _read_header(comments: list[str], path: Path) -> tuple[QualityHeader, int]:
    """Header and number of rows from the lines `# key: value`."""
    try:
        values = {key: json.loads(text) for key, text in (line[2:].split(": ", 1) for line in comments)}
        count = convert({"rows": values.pop("rows", None)}, _Rows).rows
        header = convert(values, QualityHeader)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged header ({error}); {AGAIN}") from None
    return replace(header, training=training_identity(header.training, header.fidelity == "finetuned")), count


class _Rows(Struct):
    rows: int


def _read_rows(reader: csv.DictReader, path: Path) -> list[QualityRow]:
    columns = reader.fieldnames or []
    missing = [name for name in _COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in _COLUMNS and not name.startswith(_PREFIX)]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if missing or unknown or twice:
        found = {"lacks": missing, "has": unknown, "has twice": twice}
        wrong = [f"{verb} {', '.join(names)}" for verb, names in found.items() if names]
        raise UserError(f"{path}: wrong columns ({'; '.join(wrong)}); {AGAIN}")
    rows = []
    try:
        for cells in reader:
            rows.append(_read_row(cells))
    except (ValueError, csv.Error) as error:
        line = len(rows) + 1
        raise UserError(f"{path}: damaged in row {line} ({error}); {AGAIN}") from None
    return rows


def _read_row(cells: dict[str, str]) -> QualityRow:
    if None in cells or None in cells.values():  # how csv says that a line has more cells than columns, or fewer
        raise ValueError("cells are missing" if None in cells.values() else "too many cells")
    curve = tuple(map(float, cells.pop("curve").split()))
    numbers: dict[str, Any] = {
        name: math.nan if text == "" else float(text) for name, text in cells.items() if name != "subnet"
    }
    for name, value in [*numbers.items(), *(("curve", value) for value in curve)]:
        low, high = LIMITS.get(name, DECIBELS)
        if not (low <= value <= high or math.isnan(value)):
            raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {value:g}")
    by_condition = {name.removeprefix(_PREFIX): numbers.pop(name) for name in list(numbers) if name not in _COLUMNS}
    whole: dict[str, Any] = {name: _whole(name, numbers.pop(name)) for name in ("params", "failures")}
    return QualityRow(subnet=Subnet.parse(cells["subnet"]), curve=curve, by_condition=by_condition, **numbers, **whole)


def _whole(name: str, value: float) -> int:
    if not value.is_integer():
        raise ValueError(f"{name} must be a whole number, not {value:g}")
    return int(value)
