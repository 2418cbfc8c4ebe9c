"""The whole job in one command: corpus, supernet, table, search, retrained winner, evaluation, page.

Each stage goes on where it was killed, so that the same command started again ends as one left alone would have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from controller.run.config import Settings
from controller.run.confirmation import confirm
from controller.run.report import write_report
from controller.run.run import Run
from eval.evaluation_report import EvaluationReport
from eval.table.quality_table import QualityTable
from supernet.space import SearchSpace
from supernet.storage.files import write_json

STAGES = ("corpus", "supernet", "scoring", "search", "retrain", "evaluation", "report")


def quickstart(settings: Settings) -> None:
    """Do the whole job."""
    with Run(settings).working() as run:
        stage = Clock(run).stage
        run.track("quickstart")
        with stage("corpus"):
            print(run.corpus.describe())
        with stage("supernet"):
            run.train()
        run.keep_settings()  # only now have corpus and supernet agreed that these are the run's
        with stage("scoring"):
            print(run.score().best().text())
        with stage("search"):
            best = run.search().winner
            run.finetuned([best.subnet, SearchSpace.largest, SearchSpace.smallest])
            print(f"best {best.subnet}: {best.si_snri:.2f} dB after fine-tuning ({best.clips} clips)")
        with stage("retrain"):
            path = run.keep_winner(confirm(run))
        with stage("evaluation"):
            reports = {name: (run.evaluate(name), run.evaluate_wiener(name)) for name in run.test_lists}
        with stage("report"):
            page = write_report(run)
    for name, (report, wiener) in reports.items():
        print(f"\n{summary(report, wiener, name)}")
    again = f"ofa-avse query --table {run.paths.table} --max_params {affordable(run.table)}"
    print(f"\nmodel  {path}\npage   {page}\nagain  {again}")


def affordable(table: QualityTable) -> str:
    """A budget of parameters that a third of the subnets keep within, in thousands, as a person writes it."""
    third = sorted(row.params for row in table.rows)[len(table) // 3]
    return f"{-(-third // 1000)}e3"


def summary(report: EvaluationReport, wiener: EvaluationReport, name: str) -> str:
    """The table at the end: SI-SNRi by condition of the winner with lips, without, with wrong ones, and of Wiener."""
    columns = ("true lips", "no lips", "other lips", "Wiener", "PESQ", "STOI")
    lines = [f"{name} list, {report.clips} mixtures, SI-SNRi in dB; PESQ and STOI with true lips"]
    lines.append(f"{'':14}" + "".join(f"{column:>12}" for column in columns))
    groups = {(g.name, g.signal): g for g in [*report.by_condition(), *(report.overall(s) for s in report.signals)]}
    filters = {g.name: g for g in [*wiener.by_condition(), wiener.overall("none")] if g.signal == "none"}
    for condition in [*report.conditions, "all"]:
        values = [groups[condition, signal].means["si_snri"].value for signal in ("true", "none", "other")]
        values.append(filters[condition].means["si_snri"].value)
        values += [groups[condition, "true"].means[metric].value for metric in ("pesq", "stoi")]
        lines.append(f"{condition:14}" + "".join(f"{value:12.2f}" for value in values))
    if report.failures or wiener.failures:
        lines.append(f"undefined metrics: {report.failures} (model), {wiener.failures} (Wiener); left out of the means")
    return "\n".join(lines)


class Clock:
    """Announces stages with the time spent and left, and keeps their durations over kills, for the page."""

    def __init__(self, run: Run) -> None:
        self.path, self.expected = run.paths.stage_seconds, run.settings.minutes
        self.spent = run.stage_seconds
        self.start = time.monotonic()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        number = STAGES.index(name)
        left = sum(self.expected.get(stage, 0) for stage in STAGES[number:])
        print(
            f"\n[{number + 1}/{len(STAGES)}] {name} · {(time.monotonic() - self.start) / 60:.1f} min so far"
            + (f", about {left:.0f} min left on two cores" if left else ""),
            flush=True,
        )
        begun = time.monotonic()
        try:
            yield
        finally:
            self.spent[name] = self.spent.get(name, 0) + time.monotonic() - begun
            write_json(self.path, self.spent)
