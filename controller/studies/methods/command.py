"""The `benchmark` command: every search method, and ablations of the controller, on tables whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from controller.run.run import held
from controller.studies.methods.landscapes import SYNTHETIC, TAU, WIDTH
from controller.studies.methods.runs import ABLATIONS, MOST, SEARCHES, SEEDLESS, Job, run_all
from controller.studies.methods.summary import choices, plot
from controller.studies.methods.summary import table as markdown
from eval.table.quality_table import QualityTable
from supernet.errors import UserError
from supernet.storage.files import write_text

REAL = "finetuned"


def benchmark(
    table: str | None = None,
    shared: str | None = None,
    on: Literal["all", "finetuned", "smooth", "noise", "interactions", "ridges"] = "all",
    compare: Literal["methods", "ablations"] = "methods",
    seeds: int = 50,
    workers: int = 1,
    output: str = "runs/benchmark",
) -> None:
    """Compare search methods.

    Args:
        table: file of fine-tuned qualities of all 324 subnets; the bundled one when not given.
        shared: file of their shared-weight scores; the bundled one when not given.
        on: the table, or synthetic ones that every seed draws anew, or all of them in turn.
        compare: the methods with each other, or the controller with parts of it changed.
        seeds: searches of each kind on each table.
        workers: processes.
        output: folder of the runs, the tables (.md) and the plot (.png); what it holds is not run again.
    """
    if seeds < 1 or workers < 1:
        raise UserError(f"seeds, workers: must be at least 1, not {seeds} and {workers}")
    searches = {"methods": SEARCHES, "ablations": ABLATIONS}[compare]
    names = [REAL, *SYNTHETIC] if on == "all" else [on]
    files = _files(table, shared) if REAL in names else None
    jobs = [
        Job(name, None if name in SYNTHETIC else files, search, settings, seed)
        for name in names
        for search, settings in searches.items()
        for seed in range(1 if name == REAL and settings.method in SEEDLESS else seeds)
    ]
    folder = Path(output)
    with held(folder, "output"):
        runs = run_all(jobs, folder / "runs.jsonl", workers)

    text = [
        "Regret: the reward missed, as SI-SNRi in dB, mean over seeds; evaluations (distinct) and steps: medians; in "
        f"brackets 95 % bootstrap intervals; 'never': not within {MOST} evaluations or the paper's 35 episodes; "
        f"seconds of one core a search, evaluations excluded. Synthetic tables: width {WIDTH:g}, one a seed, "
        f"shared-weight scores at tau {TAU:g}.\n"
    ]
    for name in names:
        here = [run for run in runs if run.table == name]
        text.append(f"## {name if name in SYNTHETIC or not files else files[0]}\n\n{markdown(here)}\n")
        if name == REAL and not table:  # the bundled table, whose subnets are trained alone in another bundled one
            text.append(f"Its choice when trained alone:\n\n{choices(here, QualityTable.bundled('standalone'))}\n")
    write_text(folder / f"{compare}.md", "\n".join(text))
    plot(runs, folder / f"{compare}.png")
    print("\n".join(text))
    print(f"{folder / compare}.md, .png; single runs in {folder / 'runs.jsonl'}")


def _files(table: str | None, shared: str | None) -> tuple[str, str]:
    """Paths of the fine-tuned and the shared-weight table."""
    given = Path(table) if table else QualityTable.bundled(REAL, seed=0).path
    scores = Path(shared) if shared else QualityTable.bundled("shared_val").path
    for path in (given, scores):
        if len(QualityTable.load(path)) < 324:
            raise UserError(f"{path}: holds {len(QualityTable.load(path))} subnets; the benchmark needs all 324")
    return str(given), str(scores)
