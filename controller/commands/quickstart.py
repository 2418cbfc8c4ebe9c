"""The whole job in one command: corpus, supernet, table, search, retrained winner, evaluation, page.

Each stage goes on where it was killed, so that the same command started again ends as one left alone would have.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import yaml

from controller.run import stages
from controller.run.config import Settings
from controller.run.confirmation import confirm
from controller.run.report import STAGE_TIMES, write_report
from eval.evaluation_report import EvaluationReport
from supernet.files import read_json, write_text
from supernet.tracking import start_tracking

STAGES = ("corpus", "supernet", "scoring", "search", "retrain", "evaluation", "report")


def quickstart(settings: Settings) -> None:
    """Do the whole job."""
    with stages.working(settings):
        clock = Clock(settings)
        tracker = start_tracking(settings.tracking, settings.folder, "quickstart", asdict(settings))
        with clock.stage("corpus"):
            print(stages.describe(stages.corpus(settings)))
        with clock.stage("supernet"):
            stages.train_supernet(settings, tracker)
        # only now have corpus and supernet agreed that these are the run's settings
        write_text(settings.folder / "config.yaml", yaml.safe_dump(asdict(settings), sort_keys=False))
        with clock.stage("scoring"):
            table = stages.score(settings)
            print(table.best().text())
        with clock.stage("search"):
            best = stages.search(settings).winner
            stages.finetuned(settings, stages.corners(best.subnet))
            print(f"best {best.subnet}: {best.si_snri:.2f} dB after fine-tuning ({best.clips} clips)")
        with clock.stage("retrain"):
            path = stages.keep_winner(settings, confirm(settings, tracker))
        with clock.stage("evaluation"):
            lists = stages.test_lists(settings)
            reports = {name: stages.evaluate(fixed, path, name) for name, fixed in lists.items()}
            wiener = {name: stages.evaluate_wiener(settings, fixed, name) for name, fixed in lists.items()}
        with clock.stage("report"):
            page = write_report(settings)
    for name in lists:
        print(f"\n{summary(reports[name], wiener[name], name)}")
    print(f"\nmodel  {path}\npage   {page}\nagain  ofa-avse query --table {table.path} --max_params 60e3")


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

    def __init__(self, settings: Settings) -> None:
        self.path = settings.folder / STAGE_TIMES
        self.expected = settings.minutes
        self.spent: dict[str, float] = read_json(self.path, "delete it") if self.path.is_file() else {}
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
            write_text(self.path, json.dumps(self.spent))
