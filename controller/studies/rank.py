"""The `rank` command: how well cheap scores rank subnets, from tables alone, without torch, in a few seconds."""

from __future__ import annotations

from json import dumps
from pathlib import Path

from eval.ranking.report import ranking_report
from eval.ranking.study import STANDALONE, Study
from eval.table.shipped import Tables
from supernet.storage.files import write_text


def rank(
    folder: str | None = None,
    truth: str = STANDALONE,
    plot: str | None = None,
    output: str | None = None,
    json: bool = False,
) -> None:
    """Print how well scores rank subnets, what choosing by them costs, and what each axis is worth.

    Args:
        folder: tables that `truth` wrote, such as runs/truth/truth; the shipped ones when not given.
        truth: which trainings count as the truth: `standalone`, or `standalone_longer`, of more steps.
        plot: PNG to write: shared scores and MACs against stand-alone training.
        output: file to write the report to, as Markdown.
        json: print the ranks and what choosing by them costs as one JSON object; see docs/runtime.md.
    """
    study = Study(Tables.of(folder) if folder is not None else Tables.shipped(), truth)
    report = ranking_report(study)
    if plot is not None:
        from eval.ranking.plot import plot_ranking  # matplotlib takes a second that the report alone need not wait for

        plot_ranking(study, Path(plot))
    if output is not None:
        write_text(Path(output), report + "\n")
    print(dumps(study.record()) if json else report)
