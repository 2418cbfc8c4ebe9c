"""The tables that ship with the package, made by the `truth` command. Served by `QualityTable.bundled`. Free of torch.

`standalone_seed<k>` and `finetuned_seed<k>` are single trainings; `shared_val` and `shared_test` the supernet's scores
on the list that ranks and on the list that the truth is measured on.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from statistics import fmean

from eval.quality_table import QualityRow, QualityTable
from supernet.errors import UserError

TABLES = "eval.tables"
SUPERNET = "supernet.safetensors"  # whose scores they are, and from which the fine-tuned ones began


def bundled(name: str, seed: int | None = None) -> QualityTable:
    """A shipped table; see `QualityTable.bundled`."""
    files = {Path(entry.name).stem: Path(str(entry)) for entry in resources.files(TABLES).iterdir()}
    return open_tables({stem: path for stem, path in files.items() if path.suffix == ".csv"}, name, seed)


def in_folder(folder: Path, name: str, seed: int | None = None) -> QualityTable:
    """The same from the folder in which a run of `truth` writes."""
    return open_tables({path.stem: path for path in sorted(folder.glob("*.csv"))}, name, seed)


def open_tables(files: dict[str, Path], name: str, seed: int | None) -> QualityTable:
    """Table `name`, or the one of its `seed`, or the mean over its seeds."""
    if seed is not None:
        name = f"{name}_seed{seed}"
    if name in files:
        return QualityTable.load(files[name])
    seeds = sorted(stem for stem in files if stem.startswith(f"{name}_seed"))
    if not seeds:
        known = ", ".join(sorted({stem.split("_seed")[0] for stem in files})) or "none yet"
        raise UserError(f"table '{name}': not there; known: {known}; `ofa-avse truth` makes them")
    return mean_over_seeds([QualityTable.load(files[stem]) for stem in seeds])


def mean_over_seeds(tables: list[QualityTable]) -> QualityTable:
    """The subnets that every table has, with the mean of their qualities. Standard errors stay those over clips."""
    first = tables[0]
    everywhere = set.intersection(*({row.subnet for row in table.rows} for table in tables))
    rows = [_mean([table[row.subnet] for table in tables]) for row in first.rows if row.subnet in everywhere]
    return QualityTable(replace(first.header, seeds=len(tables)), rows, first.path)


def _mean(rows: list[QualityRow]) -> QualityRow:
    return replace(
        rows[0],
        si_snri=fmean(row.si_snri for row in rows),
        si_snri_se=fmean(row.si_snri_se for row in rows),
        curve=tuple(map(fmean, zip(*(row.curve for row in rows), strict=True))),
        by_condition={kind: fmean(row.by_condition[kind] for row in rows) for kind in rows[0].by_condition},
    )
