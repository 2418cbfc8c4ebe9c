"""The report: one self-contained HTML page for a run.

`write_page` fills template.html with the sections of `eval.report.sections`, the figures of `eval.report.figures`,
plotly's own script (embedded once) and the page's style and script. Nothing on the page needs the network.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from eval.report import figures, sections
from eval.report.content import ReportContent
from supernet.files import write_text
from supernet.timing import FRAME_RATE


def write_page(path: Path, content: ReportContent) -> None:
    """Write the page in one step: `path` holds the old page or the whole new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, _page(content))


def _page(content: ReportContent) -> str:
    return Template(_resource("template.html")).substitute(
        title=escape(content.title),
        headline=sections.headline(content),
        lead=sections.lead(content),
        facts=sections.facts(content),
        examples=sections.examples(content),
        conditions=sections.conditions(content),
        budget=sections.budget(content),
        search=sections.search(content),
        fidelities=sections.fidelities(content),
        made=sections.made(content),
        table=sections.all_subnets(content),
        style=_resource("style.css"),
        script=_resource("page.js"),
        plotly=get_plotlyjs(),
        data=_data(content),
    )


def _data(content: ReportContent) -> str:
    """What the page's script needs, as JSON that cannot close its script element."""
    drawn: dict[str, dict] = {}
    costs = sections.measured_costs(content.table)
    searched = {row.subnet for row in content.search}
    for cost in costs:
        drawn[f"plot-{cost}"] = figures.quality_against(content.table, cost, searched, content.winner.subnet)
    if content.search:
        drawn["plot-search"] = figures.search_progress(content.search)
    if content.evaluation:
        drawn["plot-conditions"] = figures.systems_by_condition(content.evaluation)
    rows = content.table.rows if content.table else ()
    keys = ("params", "macs", "si_snri", "si_snri_se", *costs)
    data = {
        "figures": {name: json.loads(figure) for name, figure in drawn.items()},
        "rows": [{"subnet": str(row.subnet), **{key: getattr(row, key) for key in keys}} for row in rows],
        "costs": costs,
        "winnerParams": content.winner.params,
        "frameRate": FRAME_RATE,
    }
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")


def _resource(name: str) -> str:
    return files("eval.report").joinpath(name).read_text(encoding="utf-8")
