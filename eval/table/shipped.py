"""Which tables there are, by name and seed: those that ship with the package, or those in a folder that the `truth`
command writes. Free of torch.

`standalone_seed<k>`, `standalone_longer_seed<k>` and `finetuned_seed<k>` are single trainings; `shared_val` and
`shared_test` the supernet's scores on the list that ranks and on the list that the truth is measured on;
`finetuned_test` is of the few subnets that are looked at closely.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from supernet.errors import UserError

TABLES = Path(str(resources.files("eval.table"))) / "files"
SUPERNET = "supernet.safetensors"  # whose scores they are, and from which the fine-tuned ones began
MAKE = "`ofa-avse truth` makes them"


@dataclass(frozen=True)
class Tables:
    """Quality tables by the names of their files."""

    files: dict[str, Path]
    place: str  # where they are, for errors

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

    def paths(self, name: str, seed: int | None = None) -> list[Path]:
        """The file of table `name`, or of its `seed`, or of each of its seeds. UserError where there is none."""
        if seed is not None:
            name = f"{name}_seed{seed}"
        seeds = [name] if name in self.files else of_seeds(self.files, name)
        if not seeds:
            known = ", ".join(sorted({stem.split("_seed")[0] for stem in self.files})) or "none yet"
            raise UserError(f"table '{name}': not in {self.place}; there: {known}; {MAKE}")
        return [self.files[stem] for stem in seeds]


def of_seeds(names: Iterable[str], name: str) -> list[str]:
    """Those of `names` that are single trainings of table `name`, by seed."""
    numbers = {other: other.removeprefix(f"{name}_seed") for other in names if other.startswith(f"{name}_seed")}
    return sorted((other for other, number in numbers.items() if number.isdecimal()), key=lambda n: int(numbers[n]))
