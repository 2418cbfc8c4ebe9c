"""The picture of the quality table for a README or a slide: all subnets, the Pareto front, the winner."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eval.table.quality_table import QualityTable
from supernet.space import Subnet
from supernet.storage.files import write_atomically


def write_front(path: Path, table: QualityTable, winner: Subnet) -> None:
    """Write a PNG of SI-SNRi against parameters."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    front, row, header = table.pareto("params"), table[winner], table.header
    axes.scatter(
        [r.params / 1e3 for r in table.rows],
        [r.si_snri for r in table.rows],
        s=12,
        color="#9aa5b1",
        label=f"all {len(table)} subnets of one network",
    )
    axes.step(
        [r.params / 1e3 for r in front],
        [r.si_snri for r in front],
        where="post",
        color="#0b6e63",
        label="best for a size",
    )
    axes.scatter(
        [row.params / 1e3], [row.si_snri], marker="*", s=160, color="#d9480f", zorder=3, label=f"found: {winner}"
    )
    axes.set(
        xscale="log",
        xlabel=f"parameters (thousands, width {header.width:g})",
        ylabel="SI-SNRi (dB)",
        title=f"{header.fidelity} weights, {header.clips} validation clips",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))
