"""Which way of training the supernet is best? Every recipe at equal cost, one table: the `recipes` command.

The cost is multiply-accumulates of the forward passes: a recipe whose steps visit more subnets gets fewer steps. The
lip trunk is counted with every subnet visited, though a step runs it once, which favours those of few visits a little
(at width 1/8 by 6 % of the steps). Each recipe changes one thing of the configured one, so what is compared is its
worth at this width, corpus and cost.

    recipes/<name>/weights.safetensors, scores.csv
"""

from __future__ import annotations

import time
from concurrent.futures import as_completed
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from msgspec import Struct
from tqdm import tqdm

from controller.run.config import Settings
from controller.run.run import Run
from eval.costs import exit_macs, macs
from eval.peers.ablations import ConcatenatedFusion, LinearDilation
from eval.ranking.bands import equal_macs
from eval.ranking.study import LONGER, STANDALONE
from eval.ranking.tau import tau, tau_in_bands
from eval.report import markdown
from eval.table.fill import shared_table
from eval.table.quality_table import QualityTable
from eval.table.shipped import Tables, of_seeds
from supernet.checkpoint import read_notes
from supernet.elastic import Norm
from supernet.errors import UserError
from supernet.model import AVConvTasNet
from supernet.processes import WorkerPool
from supernet.recipe import SupernetObjective, Visit, sampler_for
from supernet.resuming import WEIGHTS
from supernet.settings import SupernetSettings
from supernet.space import PAPER_WINNER, SearchSpace
from supernet.storage.files import read_json, write_json
from supernet.training import train

FOLDER = "recipes"
SCORES = "scores.csv"
MEASURED = "measured.json"


@dataclass(frozen=True)
class Recipe:
    """What differs from the configured recipe: settings of the supernet's training, and how the network is built."""

    changes: dict[str, Any] = field(default_factory=dict)
    network: type[AVConvTasNet] = AVConvTasNet
    norm: Norm | None = None


LATE = 0.5  # of the steps are over when distillation begins
RECIPES = {
    "base": Recipe(),
    "base-again": Recipe({"seed": 1}),  # what is noise: other batches and subnets, the same initial weights
    "uniform": Recipe({"sampler": "uniform"}),
    "fair": Recipe({"sampler": "fair"}),
    "progressive": Recipe({"sampler": "progressive"}),
    "sandwich-2": Recipe({"random_subnets": 2}),
    "sandwich-4": Recipe({"random_subnets": 4}),
    "no-warm-up": Recipe({"largest_alone": 0}),
    "no-shallow-exits": Recipe({"shallow_exits": False}),
    "distil-waveform": Recipe({"distillation": 0.3}),
    "sorted-channels": Recipe({"sort_channels": True}),
    "norm-frame": Recipe(norm="frame"),
    "concatenated": Recipe(network=ConcatenatedFusion),
    "linear-dilation": Recipe(network=LinearDilation),
    # Around the best of the above.
    "uniform-2": Recipe({"sampler": "uniform", "random_subnets": 2}),
    "uniform-no-warm-up": Recipe({"sampler": "uniform", "largest_alone": 0}),
    "uniform-no-shallow-exits": Recipe({"sampler": "uniform", "shallow_exits": False}),
    "uniform-plain": Recipe({"sampler": "uniform", "largest_alone": 0, "shallow_exits": False}),
}


def recipes(settings: Settings, only: list[str] | str | None = None, against: str | None = None) -> None:
    """Train the supernet under each recipe at equal cost, and print one table.

    Args:
        only: name of a recipe, or `[uniform,fair]`; all when not given.
        against: folder with the tables of a run of `truth`, for the rank correlation; the shipped ones when not given.
            The longer trainings count, where all subnets have had them.

    Raises:
        UserError: a name or setting is wrong, before anything is trained; or a recipe failed, after all others ended.
    """
    only = [only] if isinstance(only, str) else only
    unknown = [name for name in only or [] if name not in RECIPES]
    if unknown:
        raise UserError(f"only: no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    names = list(dict.fromkeys(only or RECIPES))
    for name in names:
        try:
            changed(settings.supernet, RECIPES[name])
        except UserError as error:
            raise UserError(f"recipe {name}: {error}") from error
    truth = _truth(settings, against)
    with Run(settings).working() as run:
        _ = run.corpus  # made before several processes ask for it
        workers = min(settings.truth.workers, len(names))
        threads = max(1, torch.get_num_threads() // workers)
        failures = {}
        with WorkerPool(workers, threads) as pool, tqdm(total=len(names), desc="recipes", unit="recipe") as progress:
            futures = {pool.submit(train_one, settings, name): name for name in names}
            for future in as_completed(futures):
                try:
                    future.result()
                except UserError as error:
                    failures[futures[future]] = error
                progress.update()
        if failures:
            said = "; ".join(f"recipe {name}: {error}" for name, error in failures.items())
            raise UserError(f"{said}; all others have ended, `--only` compares them")
        print(comparison(settings, names, truth))


def train_one(settings: Settings, name: str) -> None:
    """Train under one recipe and score all subnets; does nothing when that is done."""
    recipe = RECIPES[name]
    folder = settings.folder / FOLDER / name
    training = of_equal_cost(settings, recipe)
    space = SearchSpace(settings.network.width)
    run = Run(settings)
    networks = replace(settings.network, norm=recipe.norm or settings.network.norm)
    supernet = networks.fresh(SearchSpace.largest, settings.seed, recipe.network)
    objective = SupernetObjective.of(space, training)
    began = time.monotonic()
    resumed = folder.is_dir()
    train(supernet, run.mixtures(training), objective, training, folder, description=name)
    if not resumed:
        write_json(folder / MEASURED, {"seconds": time.monotonic() - began})
    shared_table(supernet, run.validation, read_notes(folder / WEIGHTS)["training"], folder / SCORES)


def of_equal_cost(settings: Settings, recipe: Recipe) -> SupernetSettings:
    """The training of a recipe, with as many steps as the configured recipe's multiply-accumulates pay for."""
    budget = sum(step_macs(visits, settings.network.width) for visits in _all_visits(settings, settings.supernet))
    training = changed(settings.supernet, recipe)
    cost = [step_macs(visits, settings.network.width) for visits in _all_visits(settings, training)]
    warm_up = sum(cost[: training.largest_alone])
    after = sum(cost[training.largest_alone :]) / (len(cost) - training.largest_alone)
    steps = training.largest_alone + max(1, round((budget - warm_up) / after))
    start = round(LATE * steps) if training.distillation else 0
    return replace(training, steps=steps, distillation_from=start)


def changed(base: SupernetSettings, recipe: Recipe) -> SupernetSettings:
    """The configured training with what a recipe changes, its steps not yet those of equal cost. Raises UserError when
    the two contradict each other."""
    training = replace(base, **recipe.changes)
    if training.largest_alone >= training.steps:
        raise UserError(f"supernet.largest_alone: {training.largest_alone} must be fewer than supernet.steps")
    return training


def _all_visits(settings: Settings, training: SupernetSettings) -> list[list[Visit]]:
    sampler = sampler_for(SearchSpace(settings.network.width), training)
    return [sampler.visits(step) for step in range(training.steps)]


def step_macs(visits: list[Visit], width: float) -> float:
    """Multiply-accumulates of a step's forward passes, for one second of audio a clip, each with its own lip trunk."""
    return sum(
        macs(visit.subnet, width) + sum(exit_macs(visit.subnet, width) for _ in visit.exits[:-1]) for visit in visits
    )


def comparison(settings: Settings, names: list[str], truth: QualityTable | None) -> str:
    """The table: SI-SNRi of the extremes, winner and mean, rank correlation with stand-alone training, cost."""
    alone = {row.subnet: row.si_snri for row in truth.rows} if truth else {}
    space = SearchSpace(settings.network.width)
    headers = "recipe", "smallest", "winner", "largest", "mean of 324", "tau", "tau in bands", "steps", "seconds"
    rows = []
    for name in names:
        folder = settings.folder / FOLDER / name
        scores = QualityTable.load(folder / SCORES)
        score = {row.subnet: row.si_snri for row in scores.rows}
        values = [score[s] for s in (space.smallest, PAPER_WINNER, space.largest)] + [sum(score.values()) / len(score)]
        taus = ["-", "-"]
        if alone:
            bands = equal_macs(alone, space.width)
            taus = [f"{tau(score, alone, list(alone)):.3f}", f"{tau_in_bands(score, alone, bands):.3f}"]
        figures = [*(f"{value:.2f}" for value in values), *taus, scores.header.training["steps"], _seconds(folder)]
        rows.append([name, *figures])
    lines = [markdown.table(headers, rows)]
    lines.append(f"SI-SNRi in dB on {scores.header.clips} clips; '-': not known, or the training was interrupted.")
    if truth:
        steps = truth.header.training.get("steps", "?")
        lines.append(f"tau with {len(truth)} subnets, each trained alone for {steps} steps.")
    return "\n".join(lines)


def _seconds(folder: Path) -> str:
    """What a training took; '-' where it was interrupted."""
    path = folder / MEASURED
    if not path.is_file():
        return "-"
    return f"{read_json(path, 'delete it', Measured).seconds:.0f}"


class Measured(Struct):
    seconds: float


def _truth(settings: Settings, folder: str | None) -> QualityTable | None:
    """Subnets trained alone, the longer the better the judge; None where the shipped ones are of another width.

    Raises UserError when a folder is named whose tables are of another width, or has none.
    """
    tables = Tables.shipped() if folder is None else Tables.of(folder)
    table = QualityTable.open(tables, STANDALONE)
    longer = QualityTable.open(tables, LONGER) if of_seeds(tables.files, LONGER) else None
    if longer and len(longer) >= len(table):  # all of them, and not the first few of a run under way
        table = longer
    if table.header.width == settings.network.width:
        return table
    if folder is None:
        return None
    raise UserError(f"against: {folder} is of width {table.header.width:g}, and not {settings.network.width:g}")
