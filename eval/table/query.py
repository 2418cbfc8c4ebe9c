"""The question put to a quality table: which subnet is best within a budget, and what would the next better one cost?
Free of torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

from eval.machine import fingerprint
from eval.table.clips import ByClip
from eval.table.rows import QualityHeader, QualityRow
from eval.version import METRIC_VERSION
from supernet.errors import UserError

MOST_TIES_NAMED = 3


class Table(Protocol):
    """What a question is put to."""

    header: QualityHeader
    rows: tuple[QualityRow, ...]
    path: Path

    @property
    def ranked(self) -> Sequence[QualityRow]: ...  # the rows, the best first

    @property
    def by_clip(self) -> ByClip | None: ...


@dataclass(frozen=True)
class Cost:
    """How one cost is called, and whether it holds on one machine only."""

    label: str
    unit: str
    measured: bool

    def show(self, value: float) -> str:
        """The value with its unit, three digits.

        >>> COSTS["params"].show(2_938_112), COSTS["latency_ms"].show(12.43)
        ('2.94 M', '12.4 ms')
        """
        if self.measured:
            return f"{value:.3g} {self.unit}".strip()
        for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if value >= scale:
                return f"{value / scale:.3g} {prefix}"
        return f"{value:.3g}"


COSTS = {
    "params": Cost("parameters", "", measured=False),
    "macs": Cost("MACs per second", "", measured=False),
    "latency_ms": Cost("latency", "ms", measured=True),
    "rtf": Cost("RTF", "", measured=True),
    "memory_mb": Cost("memory", "MB", measured=True),
}


@dataclass(frozen=True)
class NextBetter:
    """A subnet of higher SI-SNRi than the answer, and the budgets it exceeds: cost name -> how many times the limit."""

    row: QualityRow
    excess: dict[str, float]


@dataclass(frozen=True)
class Answer:
    """The best row within the budgets, with what a reader needs to judge it."""

    row: QualityRow
    fidelity: str
    clips: int
    standard_error: float  # dB, of the row's SI-SNRi
    next_better: NextBetter | None  # None: nothing in the table is better
    ties: tuple[QualityRow, ...] | None  # other rows within the budgets that are no worse, best first; None: not known

    def record(self) -> dict[str, Any]:
        """The same as JSON values; None for what is not known."""
        better = self.next_better
        return {
            "fidelity": self.fidelity,
            "clips": self.clips,
            "best": _record(self.row) | {"si_snri_se": self.standard_error},
            "ties": None if self.ties is None else [_record(tie) for tie in self.ties],
            "next_better": None if better is None else _record(better.row) | {"excess": better.excess},
        }

    def text(self) -> str:
        """The lines that the `query` command prints."""
        row = self.row
        lines = [
            f"{row.subnet}  SI-SNRi {row.si_snri:.2f} dB +- {self.standard_error:.2f} "
            f"({self.fidelity}, {self.clips} clips)",
            f"costs: {_costs(row)}",
        ]
        if self.ties is None:
            lines.append("no worse: not known, for no scores by clip lie beside the table")
        elif self.ties:
            named = ", ".join(f"{tie.subnet} ({tie.si_snri:.2f} dB)" for tie in self.ties[:MOST_TIES_NAMED])
            more = f" and {len(self.ties) - MOST_TIES_NAMED} more" if len(self.ties) > MOST_TIES_NAMED else ""
            lines.append(f"no worse, within two paired standard errors: {named}{more}")
        if self.next_better is None:
            lines.append("next better: none, this is the best subnet of the table")
        else:
            better = self.next_better
            lines.append(
                f"next better: {better.row.subnet}  SI-SNRi {better.row.si_snri:.2f} dB, "
                f"needs {_needs(better.row, better.excess)}"
            )
        return "\n".join(lines)


def _record(row: QualityRow) -> dict[str, Any]:
    costs = {cost: getattr(row, cost) for cost in COSTS}
    known = {cost: None if math.isnan(value) else value for cost, value in costs.items()}
    return {"subnet": str(row.subnet), "si_snri": row.si_snri, **known}


def check_budgets(**given: float | None) -> dict[str, float]:
    """The budgets that were given. Raises UserError for one that is no positive finite number.

    >>> check_budgets(params=60e3, macs=None)
    {'params': 60000.0}
    """
    budgets: dict[str, float] = {}
    for cost, limit in given.items():
        if limit is None:
            continue
        if isinstance(limit, bool) or not isinstance(limit, Real) or not 0 < limit < math.inf:
            raise UserError(f"--max_{cost}: must be a positive finite number, not {limit!r}")
        budgets[cost] = limit
    return budgets


def check_measured(table: Table, budgets: dict[str, float]) -> None:
    """Raise UserError where a budget is on a measured cost that does not hold on this machine."""
    for cost in (cost for cost in budgets if COSTS[cost].measured):
        if any(math.isnan(getattr(row, cost)) for row in table.rows):
            raise UserError(
                f"{table.path}: {COSTS[cost].label} was not measured; run `ofa-avse score` here for --max_{cost}"
            )
        here = fingerprint(table.header.threads)
        if table.header.machine != here:
            raise UserError(
                f"{table.path}: {COSTS[cost].label} was measured on '{table.header.machine}', this is '{here}'; "
                f"run `ofa-avse score` again here for --max_{cost}"
            )


def check_metric(table: Table) -> None:
    """Raise UserError where the scores are of another version of the metric."""
    if table.header.metric_version != METRIC_VERSION:
        raise UserError(
            f"{table.path}: holds scores by version {table.header.metric_version} of the metric, and this program has "
            f"version {METRIC_VERSION}; make it again by `ofa-avse score`"
        )


def find_best(table: Table, budgets: dict[str, float]) -> Answer:
    """The answer within checked budgets. Raises UserError where no row fits."""
    fitting = [row for row in table.ranked if all(getattr(row, cost) <= limit for cost, limit in budgets.items())]
    if not fitting:
        raise UserError(_nothing_fits(table, budgets))
    best = fitting[0]
    better = list(takewhile(lambda row: row.si_snri > best.si_snri, table.ranked))
    return Answer(
        row=best,
        fidelity=table.header.fidelity,
        clips=table.header.clips,
        standard_error=best.si_snri_se,
        next_better=_closest(better, budgets) if better else None,
        ties=_ties(table, fitting),
    )


def _ties(table: Table, fitting: list[QualityRow]) -> tuple[QualityRow, ...] | None:
    """Of the rows after the first, those whose SI-SNRi on the same clips is no worse."""
    if table.by_clip is None:
        return None
    best, *others = fitting
    no_worse = table.by_clip.no_worse(best.subnet, [row.subnet for row in others])
    return tuple(row for row in others if row.subnet in no_worse)


def rank(row: QualityRow) -> tuple:
    """Sorts the better row first; of equals, the one with fewer MACs."""
    return -row.si_snri, row.macs, row.params, row.subnet


def _excess(row: QualityRow, budgets: dict[str, float]) -> dict[str, float]:
    """Times the limit, for each budget that the row exceeds."""
    return {c: getattr(row, c) / limit for c, limit in budgets.items() if getattr(row, c) > limit}


def _closest(rows: list[QualityRow], budgets: dict[str, float]) -> NextBetter:
    """Of rows that all exceed a budget, the one whose worst excess is smallest."""
    row = min(rows, key=lambda row: (max(_excess(row, budgets).values()), rank(row)))
    return NextBetter(row, _excess(row, budgets))


def _nothing_fits(table: Table, budgets: dict[str, float]) -> str:
    reasons = []
    for cost, limit in budgets.items():
        cheapest = min(table.rows, key=lambda row: (getattr(row, cost), rank(row)))
        least = getattr(cheapest, cost)
        if least > limit:
            reasons.append(
                f"--max_{cost} {COSTS[cost].show(limit)} is under the least there is, "
                f"{COSTS[cost].show(least)} of {cheapest.subnet}"
            )
    if not reasons:
        closest = _closest(list(table.rows), budgets)
        reasons.append(
            f"each budget can be met, but not all at once; closest is {closest.row.subnet}, "
            f"which needs {_needs(closest.row, closest.excess)}"
        )
    return f"{table.path}: no subnet fits; " + "; ".join(reasons)


def _needs(row: QualityRow, excess: dict[str, float]) -> str:
    return ", ".join(
        f"{COSTS[cost].show(getattr(row, cost))} {COSTS[cost].label} ({times:.2f} x the budget)"
        for cost, times in excess.items()
    )


def _costs(row: QualityRow) -> str:
    known = {cost: getattr(row, cost) for cost in COSTS if not math.isnan(getattr(row, cost))}
    return ", ".join(f"{COSTS[cost].show(value)} {COSTS[cost].label}" for cost, value in known.items())
