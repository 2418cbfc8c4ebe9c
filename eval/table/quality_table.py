"""The quality table: what each subnet is worth and what it costs, and the best one for any budget. Free of torch: a
query answers at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from eval.table import clips
from eval.table.clips import ByClip
from eval.table.query import COSTS, Answer, check_budgets, check_measured, check_metric, find_best, rank
from eval.table.rows import AGAIN, QualityHeader, QualityRow, by_subnet, read, write
from eval.table.shipped import Tables
from supernet.errors import UserError
from supernet.space import Subnet

OF_ONE_KIND = ("fidelity", "list", "clips", "data_hash", "width", "causal", "norm", "training")


class QualityTable:
    """Header and rows of one table.

    Args:
        header: how the rows came about.
        rows: one a subnet.
        path: names the table in errors.

    Raises:
        UserError: there is no row, a subnet comes twice, or one lacks an exact cost or its SI-SNRi, or has a curve that
            is not finite.
    """

    def __init__(self, header: QualityHeader, rows: Iterable[QualityRow], path: str | Path = "quality table") -> None:
        self.header, self.path = header, Path(path)
        self._by_subnet = by_subnet(rows, self.path)
        self.rows = tuple(self._by_subnet.values())

    @cached_property
    def ranked(self) -> tuple[QualityRow, ...]:
        """The rows, the best first."""
        return tuple(sorted(self.rows, key=rank))

    @cached_property
    def by_clip(self) -> ByClip | None:
        """SI-SNRi by clip; None where no file beside the table has it. Raises UserError for one that is damaged."""
        path = clips.beside(self.path)
        return clips.read(path, self.header, self.rows) if path.is_file() else None

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"QualityTable({self.path.name}, {self.header.fidelity}, {len(self)} rows, {self.header.clips} clips)"

    def __getitem__(self, subnet: Subnet) -> QualityRow:
        """The row of `subnet`; UserError where the table lacks it."""
        if subnet not in self._by_subnet:
            raise UserError(f"{self.path}: has no row for {subnet}")
        return self._by_subnet[subnet]

    def best(
        self,
        *,
        max_params: float | None = None,
        max_macs: float | None = None,
        max_latency_ms: float | None = None,
        max_rtf: float | None = None,
        max_memory_mb: float | None = None,
    ) -> Answer:
        """The subnet of highest SI-SNRi within every budget given (inclusive); of equals, the one with fewer MACs.

        Args:
            max_params: parameters, lips included.
            max_macs: multiply-accumulates per second of audio.
            max_latency_ms: milliseconds for a clip of `header.seconds`.
            max_rtf: real-time factor.
            max_memory_mb: weights and activations, 10^6 bytes.

        Raises:
            UserError: a budget is no positive finite number, nothing fits (it says what would come closest), or a
                measured cost was asked that was measured on another machine or not at all.

        >>> answer = QualityTable.bundled("shared_test").best(max_params=60e3)
        >>> str(answer.row.subnet), answer.row.params
        ('E192-B128-X6-R4-H2.5-V128', 57251)
        """
        budgets = check_budgets(
            params=max_params, macs=max_macs, latency_ms=max_latency_ms, rtf=max_rtf, memory_mb=max_memory_mb
        )
        check_metric(self)
        check_measured(self, budgets)
        return find_best(self, budgets)

    def pareto(self, cost: str = "params") -> list[QualityRow]:
        """Rows that no other beats in both `cost` and SI-SNRi, cheapest first.

        Raises:
            UserError: `cost` is none of "params", "macs", "latency_ms", "rtf", "memory_mb", or was not measured.
        """
        if cost not in COSTS:
            raise UserError(f"cost '{cost}': must be one of {', '.join(COSTS)}")
        if any(math.isnan(getattr(row, cost)) for row in self.rows):
            raise UserError(f"{self.path}: holds no {COSTS[cost].label} for some subnets; run `ofa-avse score` again")
        front: list[QualityRow] = []
        for row in sorted(self.rows, key=lambda row: (getattr(row, cost), -row.si_snri)):
            if not front or row.si_snri > front[-1].si_snri:
                front.append(row)
        return front

    def save(self, path: str | Path) -> None:
        """Write the table in one step: a reader sees the old file or the whole new one. Scores by clip are not written
        with it."""
        write(Path(path), self.header, self.rows)

    @classmethod
    def load(cls, path: str | Path) -> QualityTable:
        """Read a table that `save` wrote.

        Raises:
            UserError: there is no such file, or it is damaged: a header line, a column or a row is missing or wrong.
        """
        return cls(*read(Path(path)), path)

    @classmethod
    def open(cls, tables: Tables, name: str, seed: int | None = None) -> QualityTable:
        """Table `name` of `tables`, or the one of its `seed`, or the mean over its seeds.

        Raises:
            UserError: it is not there, is damaged, or its trainings are not of one kind.
        """
        found = [cls.load(path) for path in tables.paths(name, seed)]
        return found[0] if len(found) == 1 else mean_over_seeds(found)

    @classmethod
    def bundled(cls, name: str = "standalone", seed: int | None = None) -> QualityTable:
        """A table that ships with the package; `len` says how many of the 324 subnets it has.

        Args:
            name: `standalone`, trained from scratch, or `standalone_longer`, for four times the steps; `finetuned`, ten
                epochs from shared weights; `shared_val` or `shared_test`, the supernet's weights on either list; or any
                other file of `eval/table/files`.
            seed: one training of each subnet; without it the mean over the seeds, for the subnets that all have.

        Raises:
            UserError: there is no such table; it names those that there are.
        """
        return cls.open(Tables.shipped(), name, seed)


def mean_over_seeds(tables: list[QualityTable]) -> QualityTable:
    """The subnets that every table has, with the mean of their qualities. Standard errors stay those over clips.

    Raises:
        UserError: the tables differ in more than their seed, also in epochs or conditions, or have no subnet in common.
    """
    check_seeds(tables)
    first = tables[0]
    for table in tables:
        for row in table.rows:
            if _measured(row) != _measured(first.rows[0]):
                raise UserError(f"{table.path}: {row.subnet} has other epochs or conditions than {first.path}; {AGAIN}")
    everywhere = set.intersection(*({row.subnet for row in table.rows} for table in tables))
    rows = [_mean([table[row.subnet] for table in tables]) for row in first.rows if row.subnet in everywhere]
    name = f"{first.path.name.split('_seed')[0]}_seed*.csv" if len(tables) > 1 else first.path.name
    return QualityTable(replace(first.header, seeds=len(tables)), rows, first.path.with_name(name))


def check_seeds(tables: Sequence[QualityTable]) -> None:
    """Raise UserError unless the tables are trainings of one kind, each of another seed."""
    seen: dict[int, QualityTable] = {}
    for table in tables:
        check_alike(tables[0], table, OF_ONE_KIND)
        if (other := seen.setdefault(table.header.seed, table)) is not table:
            raise UserError(f"{table.path}: is of seed {table.header.seed}, as {other.path} is; take one of them away")


def check_alike(first: QualityTable, other: QualityTable, keys: Iterable[str]) -> None:
    """Raise UserError where two tables that are compared differ in one of the header's `keys`, seeds apart."""
    for key in keys:
        a, b = (_without_seed(getattr(table.header, key)) for table in (first, other))
        if a != b:
            raise UserError(f"{other.path}: has {key} {b}, but {first.path} has {a}; make both by one configuration")


def _without_seed(value: Any) -> Any:
    return {key: entry for key, entry in value.items() if key != "seed"} if isinstance(value, dict) else value


def _measured(row: QualityRow) -> tuple[int, list[str]]:
    return len(row.curve), sorted(row.by_condition)


def _mean(rows: list[QualityRow]) -> QualityRow:
    return replace(
        rows[0],
        si_snri=fmean(row.si_snri for row in rows),
        si_snri_se=fmean(row.si_snri_se for row in rows),
        curve=tuple(map(fmean, zip(*(row.curve for row in rows), strict=True))),
        by_condition={kind: fmean(row.by_condition[kind] for row in rows) for kind in rows[0].by_condition},
    )
