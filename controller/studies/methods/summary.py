"""What the runs of a benchmark say: medians and means with intervals, as Markdown and as a plot. An interval is the
central 95 % of 2,000 bootstrap samples of the seeds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from controller.studies.methods.runs import CLOSE, EXACT, Run
from eval.report import markdown
from eval.table.quality_table import QualityTable
from supernet.space import Subnet
from supernet.storage.files import write_atomically

AFTER = (10, 20, 35, 100)  # distinct evaluations at which the regret is read
PLOTTED = 100

Statistic = Callable[..., np.ndarray]


def median(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """The middle value, of an even number the higher one: searches without success are infinite, and not averaged."""
    return np.quantile(values, 0.5, axis=axis, method="higher")


def interval(values: np.ndarray, statistic: Statistic) -> tuple[float, float]:
    """Bootstrap interval of a statistic of values (seeds,)."""
    draw = np.random.default_rng(0)
    samples = np.sort(statistic(draw.choice(values, (2000, len(values))), axis=1))
    return samples[50], samples[-51]


def evaluations_to(run: Run, regret: float) -> float:
    """Distinct evaluations after which the regret was at most that many dB; infinite where it never was."""
    return next((count for count, here in enumerate(run.regrets, 1) if here <= regret), np.inf)


def steps_to(run: Run, regret: float) -> float:
    """The same in steps, those that led to known subnets included."""
    return next((step for step, here in zip(run.steps, run.regrets, strict=True) if here <= regret), np.inf)


def regret_after(run: Run, count: int) -> float:
    return run.regrets[min(count, len(run.regrets)) - 1]


def table(runs: Sequence[Run]) -> str:
    """Markdown: a line for each search on one landscape."""
    columns: list[tuple[str, Callable[[Run], float], Statistic]] = [
        (f"evaluations to {CLOSE:g} dB", lambda run: evaluations_to(run, CLOSE), median),
        ("to the optimum", lambda run: evaluations_to(run, EXACT), median),
        (f"steps to {CLOSE:g} dB", lambda run: steps_to(run, CLOSE), median),
        *((f"regret after {count}", lambda run, count=count: regret_after(run, count), np.mean) for count in AFTER),
    ]
    names = ["search", "seeds", *(name for name, _, _ in columns), "optimum found", "seconds"]
    rows = []
    for search, group in grouped(runs).items():
        cells = [search, str(len(group))]
        for _, value, statistic in columns:
            values = np.array([value(run) for run in group])
            cells.append(_cell(values, statistic))
        found = sum(evaluations_to(run, EXACT) < np.inf for run in group) / len(group)
        cells += [f"{found:.0%}", f"{np.mean([run.seconds for run in group]):.2f}"]
        rows.append(cells)
    return markdown.table(names, rows)


def _cell(values: np.ndarray, statistic: Statistic) -> str:
    """The statistic and its interval."""
    places = 0 if statistic is median else 3
    center = float(statistic(values))
    if len(values) == 1:
        return _number(center, places)
    low, high = map(float, interval(values, statistic))
    return f"{_number(center, places)} ({_number(low, places)}-{_number(high, places)})"


def _number(value: float, places: int) -> str:
    return "never" if np.isinf(value) else f"{value:.{places}f}"


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by search, in the order in which searches first come."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.search, []).append(run)
    return groups


def choices(runs: Sequence[Run], standalone: QualityTable) -> str:
    """Markdown: what each search had chosen after 35 evaluations, and what that is worth when trained alone."""
    alone = {row.subnet: row.si_snri for row in standalone.rows}
    rows = []
    for search, group in grouped(runs).items():
        ((choice, count),) = Counter(run.choice for run in group).most_common(1)
        quality = alone.get(Subnet.parse(choice))
        worth = f"not among the {len(alone)}" if quality is None else f"{quality:.2f}"
        rows.append([search, choice, f"{count / len(group):.0%}", worth])
    return markdown.table(["search", "most frequent choice", "of its seeds", "trained alone, dB"], rows)


def plot(runs: Sequence[Run], path: Path) -> None:
    """Mean regret against distinct evaluations with its interval, a panel for each landscape."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    tables = list(dict.fromkeys(run.table for run in runs))
    figure, axes = pyplot.subplots(1, len(tables), figsize=(6 * len(tables), 5), squeeze=False, sharey=True)
    counts = np.arange(1, PLOTTED + 1)
    for panel, name in zip(axes[0], tables, strict=True):
        groups = grouped([run for run in runs if run.table == name])
        for number, (search, group) in enumerate(groups.items()):
            regrets = np.array([[regret_after(run, int(n)) for n in counts] for run in group])  # (seeds, counts)
            style = {"color": f"C{number % 10}", "linestyle": "-" if number < 10 else "--"}
            panel.plot(counts, regrets.mean(0), label=search, linewidth=1.2, **style)
            if len(group) > 1:
                low, high = np.transpose([interval(column, np.mean) for column in regrets.T])
                panel.fill_between(counts, low, high, color=style["color"], alpha=0.12, linewidth=0)
        panel.set(
            title=f"{name} ({max(map(len, groups.values()))} seeds)", xlabel="distinct evaluations", xlim=(1, None)
        )
        panel.set_yscale("symlog", linthresh=0.01)
        panel.set_ylim(0, 3)
    axes[0, 0].set_ylabel("mean regret, dB (95 % interval)")
    axes[0, -1].legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
    pyplot.close(figure)
