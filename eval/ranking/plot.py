"""The picture of the ranking report: shared scores and MACs against stand-alone training."""

from __future__ import annotations

from pathlib import Path

from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from eval.ranking.study import SHARED, Study
from eval.ranking.tau import Values, tau, tau_in_bands
from supernet.errors import UserError
from supernet.space import Subnet
from supernet.storage.files import write_atomically


def plot_ranking(study: Study, path: Path) -> None:
    """Write a PNG with a point for each subnet of the truth, coloured by its band, with bars from seed to seed.

    Raises:
        UserError: there is no stand-alone or no shared table.
    """
    if missing := study.missing(study.truth_name, SHARED):
        raise UserError(f"--plot: needs table {' and '.join(missing)}; `ofa-avse truth` makes it")
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    shared = study.values[SHARED]
    bands = study.bands(shared)
    for number, band in enumerate(bands):
        colour = colormaps["viridis"](number / max(1, len(bands) - 1))
        for axes, score in ((left, shared), (right, {subnet: study.macs[subnet] / 1e6 for subnet in band})):
            axes.errorbar(
                [score[subnet] for subnet in band],
                [study.truth[subnet] for subnet in band],
                yerr=_ranges(study, band),
                fmt="o",
                color=colour,
                markersize=5,
                elinewidth=0.8,
            )
    header = study.tables[SHARED].header
    left.set(xlabel=f"shared weights, SI-SNRi (dB), {header.clips} clips", ylabel="trained alone, SI-SNRi (dB)")
    left.set_title(_title(study, shared))
    right.set(xlabel=f"million MACs per second (width {study.width:g})", xscale="log")
    right.set_title(_title(study, study.macs))
    right.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.xaxis.set_minor_locator(NullLocator())
    right.xaxis.set_major_formatter("{x:g}")
    figure.supxlabel("colours: bands of equal MACs; bars: lowest and highest seed, all at one level", fontsize="small")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    write_atomically(path, lambda temporary: figure.savefig(temporary, dpi=110, format="png"))


def _ranges(study: Study, band: list[Subnet]) -> list[list[float]]:
    """How far the lowest and the highest seed of each subnet lie from their mean, (2, subnets)."""
    seeds = [[seed[subnet] for seed in study.seeds if subnet in seed] for subnet in band]
    below = [study.truth[subnet] - min(values) for subnet, values in zip(band, seeds, strict=True)]
    above = [max(values) - study.truth[subnet] for subnet, values in zip(band, seeds, strict=True)]
    return [below, above]


def _title(study: Study, score: Values) -> str:
    bands = study.bands(score)
    overall = tau(score, study.truth, sum(bands, []))
    return f"tau {overall:.2f}, inside bands {tau_in_bands(score, study.truth, bands):.2f}"
