"""The report's interactive figures as plotly JSON: quality against cost, the search, the systems by condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import plotly.graph_objects as go

from eval.report.content import EvaluationRow, SearchRow
from eval.report.format import count, decibels, score
from eval.table.quality_table import QualityRow, QualityTable

INK, GRID, POINT = "#1f2733", "#e6e3dc", "#b3bcc8"
FRONT, SEARCHED, WINNER = "#0f766e", "#4f5bd5", "#d9480f"  # as in style.css
COST_LABELS = {"params": "parameters", "rtf": "real-time factor (RTF)"}
SYSTEM_COLOURS = ("#b7a17a", "#0f766e", "#7fb5ae", "#b3bcc8", "#4f5bd5", "#7c3aed", "#0369a1")


def quality_against(table: QualityTable, cost: str, searched: set[str], winner: str) -> str:
    """Every subnet as a point (`cost`, SI-SNRi), the front as a line; the last trace, empty, is the budget's answer."""

    def trace(rows: Iterable[QualityRow], name: str, **style: object) -> go.Scatter:
        rows = list(rows)
        return go.Scatter(
            x=[getattr(row, cost) for row in rows], y=[row.si_snri for row in rows],
            text=[_describe(row) for row in rows],
            name=name,
            hovertemplate="%{text}<extra></extra>",
            **{"mode": "markers", **style},
        )  # fmt: skip

    figure = go.Figure()
    figure.add_trace(trace(table.rows, f"all {len(table)} subnets", marker={"color": POINT, "size": 6}))
    figure.add_trace(
        trace(table.pareto(cost), "Pareto front", mode="lines+markers", line={"color": FRONT, "width": 2},
              marker={"color": FRONT, "size": 6})
    )  # fmt: skip
    figure.add_trace(
        trace((row for row in table.rows if str(row.subnet) in searched), "evaluated by the search",
              marker={"color": SEARCHED, "size": 9, "symbol": "circle-open", "line": {"width": 2}})
    )  # fmt: skip
    figure.add_trace(
        trace((row for row in table.rows if str(row.subnet) == winner), "winner",
              marker={"color": WINNER, "size": 16, "symbol": "star", "line": {"color": "white", "width": 1}})
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=[], y=[], name="best within the budget", mode="markers", hoverinfo="skip",
                   marker={"color": INK, "size": 20, "symbol": "circle-open", "line": {"width": 2}})
    )  # fmt: skip
    figure.update_xaxes(title=COST_LABELS[cost], type="log", dtick="D2", tickformat="~s" if cost == "params" else "~g")
    figure.update_yaxes(title="SI-SNRi (dB)")
    return _finish(figure, height=400)


def search_progress(rows: Sequence[SearchRow]) -> str:
    """Reward of each step of the search in order, and the best reward so far."""
    steps = list(range(1, len(rows) + 1))
    rewards = [row.reward for row in rows]
    hover = [
        f"<b>{row.subnet}</b><br>episode {row.episode}, step {row.step}<br>{count(row.params)} parameters<br>"
        f"SI-SNRi {decibels(row.si_snri)}<br>reward {row.reward:.3f}"
        for row in rows
    ]
    figure = go.Figure()
    figure.add_trace(
        go.Scatter(x=steps, y=np.maximum.accumulate(rewards).tolist(), name="best so far", mode="lines",
                   line={"color": FRONT, "width": 2, "shape": "hv"}, hoverinfo="skip")
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(x=steps, y=rewards, name="one step of the search", mode="markers", text=hover,
                   hovertemplate="%{text}<extra></extra>", marker={"color": SEARCHED, "size": 8})
    )  # fmt: skip
    figure.update_xaxes(title="step of the search")
    figure.update_yaxes(title="reward")
    return _finish(figure, height=320)


def systems_by_condition(rows: Sequence[EvaluationRow]) -> str:
    """SI-SNRi of every system on every condition, with one standard error either side.

    The untouched mixture, 0 dB by definition, is the axis and gets no bars.
    """
    figure = go.Figure()
    for index, system in enumerate(dict.fromkeys(row.system for row in rows if row.si_snri.value != 0)):
        own = [row for row in rows if row.system == system]
        errors = [row.si_snri.standard_error for row in own]
        figure.add_trace(
            go.Bar(
                x=[row.condition for row in own], y=[row.si_snri.value for row in own], name=system,
                error_y={"type": "data", "array": errors, "thickness": 1.2, "width": 2},
                marker={"color": SYSTEM_COLOURS[index % len(SYSTEM_COLOURS)]},
                text=[score(row.si_snri, " dB") for row in own], textposition="none",
                hovertemplate=f"<b>{system}</b>, %{{x}}<br>SI-SNRi %{{text}}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.28, bargroupgap=0.05)
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(title="SI-SNRi (dB)")
    return _finish(figure, height=360)


def _describe(row: QualityRow) -> str:
    return (
        f"<b>{row.subnet}</b><br>SI-SNRi {row.si_snri:.2f} ± {row.si_snri_se:.2f} dB<br>"
        f"{count(row.params)} parameters<br>{count(row.macs)} MACs/s<br>RTF {row.rtf:.4f}"
    )


def _finish(figure: go.Figure, height: int) -> str:
    """The page's look: quiet grid, legend under the plot so that a phone's width is enough."""
    figure.update_layout(
        template="none", height=height, margin={"l": 52, "r": 12, "t": 12, "b": 48},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", hovermode="closest",
        hoverlabel={"bgcolor": "white", "bordercolor": POINT, "font": {"color": INK}, "align": "left"},
        legend={"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top", "itemwidth": 30},
    )  # fmt: skip
    figure.update_xaxes(gridcolor=GRID, zeroline=False, linecolor=POINT, title_standoff=8, fixedrange=True)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=POINT, title_standoff=8, fixedrange=True)
    return figure.to_json()
