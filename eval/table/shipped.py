"""The tables that ship with the package, made by the `truth` command. Served by `QualityTable.bundled`. Free of torch.

`standalone_seed<k>`, `standalone_longer_seed<k>` and `finetuned_seed<k>` are single trainings; `shared_val` and
`shared_test` the supernet's scores on the list that ranks and on the list that the truth is measured on;
`finetuned_test` is of the few subnets that are looked at closely.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

from eval.table.quality_table import AGAIN, QualityRow, QualityTable
from supernet.errors import UserError

TABLES = Path(str(resources.files("eval.table"))) / "files"
SUPERNET = "supernet.safetensors"  # whose scores they are, and from which the fine-tuned ones began
MAKE = "`ofa-avse truth` makes them"
OF_ONE_KIND = ("fidelity", "list", "clips", "data_hash", "width", "causal", "norm", "training")


class Tables:
    """Quality tables by the names of their files.

    Args:
        files: name -> file.
        place: where they are, for errors.
    """

    def __init__(self, files: dict[str, Path], place: str) -> None:
        self.files, self.place = files, place

    @classmethod
    def shipped(cls) -> Tables:
        """Those of the package."""
        return cls({path.stem: path for path in sorted(TABLES.glob("*.csv"))}, "this package")

    @classmethod
    def of(cls, folder: str | Path) -> Tables:
        """Those that a run of `truth` writes. Raises UserError where there is no such folder."""
        if not Path(folder).is_dir():
            raise UserError(f"{folder}: no such folder; `ofa-avse truth` writes its tables into <run>/truth")
        return cls({path.stem: path for path in sorted(Path(folder).glob("*.csv"))}, str(Path(folder)))

    def open(self, name: str, seed: int | None = None) -> QualityTable:
        """Table `name`, or the one of its `seed`, or the mean over its seeds.

        Raises:
            UserError: it is not there, is damaged, or its trainings are not of one kind.
        """
        if seed is not None:
            name = f"{name}_seed{seed}"
        if name in self.files:
            return QualityTable.load(self.files[name])
        seeds = of_seeds(self.files, name)
        if not seeds:
            known = ", ".join(sorted({stem.split("_seed")[0] for stem in self.files})) or "none yet"
            raise UserError(f"table '{name}': not in {self.place}; there: {known}; {MAKE}")
        return mean_over_seeds([QualityTable.load(self.files[stem]) for stem in seeds])


def of_seeds(names: Iterable[str], name: str) -> list[str]:
    """Those of `names` that are single trainings of table `name`, by seed."""
    numbers = {other: other.removeprefix(f"{name}_seed") for other in names if other.startswith(f"{name}_seed")}
    return sorted((other for other, number in numbers.items() if number.isdecimal()), key=lambda n: int(numbers[n]))


def bundled(name: str, seed: int | None = None) -> QualityTable:
    """A shipped table; see `QualityTable.bundled`."""
    return Tables.shipped().open(name, seed)


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
