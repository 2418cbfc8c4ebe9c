"""The report: one self-contained HTML page for a run.

`write_page` renders templates/page.html, one template a section, with the figures of `eval.report.figures`, plotly's
own script (embedded once) and the page's style and script. Nothing on the page needs the network. Templates escape
whatever they are given, and raise where they name something that is not there.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from eval.report import figures
from eval.report.content import EvaluationRow, ExampleClip, Missing, ReportContent
from eval.report.format import count, decibels, duration, number, score
from eval.report.media import audio_url, lips_sprite_url, spectrogram_db, spectrogram_url
from eval.table.quality_table import QualityTable
from eval.table.query import find_best
from supernet.errors import UserError
from supernet.storage.files import write_text
from supernet.timing import FRAME_RATE

STEPS = 60  # of a slider, at most


def write_page(path: Path, content: ReportContent) -> None:
    """Write the page in one step: `path` holds the old page or the whole new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, _page(content))


def environment() -> Environment:
    """The templates with what they may ask for."""
    templates = Environment(
        loader=PackageLoader("eval.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.policies["json.dumps_kwargs"] = {"allow_nan": False}  # JSON.parse takes no NaN
    templates.globals["nan"] = math.nan
    templates.tests |= {"finite": math.isfinite, "missing": lambda value: isinstance(value, Missing)}
    templates.filters |= {
        "columns": _columns,
        "decibels": decibels,
        "duration": duration,
        "lips_sprite_url": lips_sprite_url,
        "median_high": statistics.median_high,
        "number": number,
        "prefixed": count,  # `count` is Jinja's other name for `length`
        "score": score,
        "signals": _signals,
    }
    return templates


def _page(content: ReportContent) -> str:
    table = content.table
    costs = _measured_costs(table)
    systems: dict[str, dict[str, EvaluationRow]] = {}
    for row in content.evaluation:
        systems.setdefault(row.system, {})[row.condition] = row
    visited = {row.subnet: row for row in content.search}
    return environment().get_template("page.html").render(
        content=content,
        winner=content.winner,
        table=table,
        costs=costs,
        conditions=sorted({name for row in table.rows for name in row.by_condition}) if table else [],
        systems=systems,
        visited=sorted(visited.values(), key=lambda row: -row.reward),
        fidelities=list(dict.fromkeys(name for row in content.fidelities for name in row.scores)),
        data=_data(content, list(costs)),
        plotly=get_plotlyjs(),
    )  # fmt: skip


def _data(content: ReportContent, costs: list[str]) -> dict:
    """What the page's script needs."""
    searched = {row.subnet for row in content.search}
    table, drawn = content.table, dict[str, str]()
    if table:
        for cost in costs:
            drawn[f"plot-{cost}"] = figures.quality_against(table, cost, searched, content.winner.subnet)
    if content.search:
        drawn["plot-search"] = figures.search_progress(content.search)
    if content.evaluation:
        drawn["plot-conditions"] = figures.systems_by_condition(content.evaluation)
    rows = table.rows if table else ()
    keys = ("params", "macs", "si_snri", "si_snri_se", *costs)
    limits = {cost: _steps(sorted({getattr(row, cost) for row in rows})) for cost in costs}
    return {
        "figures": {name: json.loads(figure) for name, figure in drawn.items()},
        "rows": [{"subnet": str(row.subnet), **{key: getattr(row, key) for key in keys}} for row in rows],
        "limits": limits,
        "answers": _answers(table, limits) if table else [],
        "winnerParams": content.winner.params,
        "frameRate": FRAME_RATE,
    }


def _steps(values: list[float]) -> list[float]:
    """What a slider steps through: the costs that there are, thinned out evenly."""
    count = min(STEPS, len(values))
    return [values[round(i * (len(values) - 1) / max(1, count - 1))] for i in range(count)]


def _answers(table: QualityTable, limits: Mapping[str, Sequence[float]]) -> list[list[int | None] | None]:
    """What `query` answers to each combination of limits, the last cost changing fastest: the numbers of the best row
    and of the next better one, and how many are no worse; null where nothing fits."""
    number = {row.subnet: number for number, row in enumerate(table.rows)}
    answers: list[list[int | None] | None] = []
    for budgets in product(*limits.values()):
        try:
            answer = find_best(table, dict(zip(limits, budgets, strict=True)))
        except UserError:
            answers.append(None)
            continue
        after = answer.next_better
        no_worse = None if answer.ties is None else len(answer.ties)
        answers.append([number[answer.row.subnet], number[after.row.subnet] if after else None, no_worse])
    return answers


def _measured_costs(table: QualityTable | None) -> dict[str, str]:
    """The costs that can be plotted, with their labels: parameters, and RTF where each subnet has it measured."""
    rows = table.rows if table else ()
    return {
        cost: label
        for cost, label in figures.COST_LABELS.items()
        if rows and not any(math.isnan(getattr(row, cost)) for row in rows)
    }


def _columns(rows: Sequence[EvaluationRow], metric: str) -> list[dict]:
    """Each condition with the clips that `metric` is a mean over, and the best mean of any system."""
    columns = []
    for condition in dict.fromkeys(row.condition for row in rows):
        own = [getattr(row, metric) for row in rows if row.condition == condition]
        best = max((mean.value for mean in own if not math.isnan(mean.value)), default=math.nan)
        columns.append({"condition": condition, "clips": max(mean.count for mean in own), "best": best})
    return columns


def _signals(example: ExampleClip) -> list[tuple[str, str, str]]:
    """Name, spectrogram and sound of the three signals; their spectrograms share one scale."""
    signals = {"noisy": example.noisy, "enhanced": example.enhanced, "clean": example.clean}
    spectrograms = {name: spectrogram_db(samples) for name, samples in signals.items()}
    loudest = max(float(spectrogram.max()) for spectrogram in spectrograms.values())
    return [(name, spectrogram_url(spectrograms[name], loudest), audio_url(signals[name])) for name in signals]
