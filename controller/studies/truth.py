"""What subnets are really worth, and what cheaper scores say of them: the tables behind `ofa-avse rank`. Every
evaluation is a row of the ledger, committed as it comes; each table is written anew after every row, so a killed run
leaves all it has paid for and goes on from there.

    truth/ledger.sqlite
    truth/shared_val.csv, shared_test.csv     324 subnets with the supernet's weights, on both lists
    truth/standalone_seed<k>.csv              48 subnets trained from scratch, on the test list
    truth/standalone_longer_seed<k>.csv       the same, `truth.longer` times as long
    truth/finetuned_seed<k>.csv               324 (later seeds: 48) after ten epochs from the shared weights, validation
    truth/finetuned_test.csv                  8 of them on the test list
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from itertools import zip_longest
from math import isnan
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from controller.ladder.evaluation import Evaluation, LedgeredEvaluator
from controller.ladder.executor import Executor
from controller.ladder.finetuning import FineTuning
from controller.ladder.ledger import Ledger
from controller.ladder.standalone import StandAlone
from controller.run.config import Settings
from controller.run.run import Run
from controller.search.loop import LEDGER
from eval.costs import macs, parameters
from eval.ranking.bands import truth_bands
from eval.table.fill import shared_table
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from eval.table.scoring import Prepared
from eval.table.shipped import SUPERNET, TABLES, Tables
from supernet.checkpoint import load, read_notes, weights_hash
from supernet.data.build import TRAINING_ONLY
from supernet.data.mixing.batches import FixedMixtures
from supernet.devices import device
from supernet.errors import UserError
from supernet.model import AVConvTasNet
from supernet.resuming import CHECKPOINT
from supernet.settings import TrainingSettings, training_identity
from supernet.space import PAPER_WINNER, SearchSpace, Subnet
from supernet.storage.files import write_atomically
from supernet.training import choices

Part = Literal["all", "standalone", "shared", "finetuned", "longer"]
COMMAND = "ofa-avse truth --config truth"


def truth(settings: Settings, only: Part = "all") -> None:
    """Measure the truth.

    Args:
        only: one part of it.
    """
    parts = {"standalone": standalone, "shared": shared, "finetuned": finetuned, "longer": longer}
    with Run(settings).working() as run:
        for name, measure in parts.items():
            if only in (name, "all"):
                for table in measure(run):
                    print(f"{table.path}: {len(table)} subnets ({table.header.fidelity}, {table.header.clips} clips)")


def truth_subnets(settings: Settings) -> list[Subnet]:
    """The 48: the extremes first, then the bands in turns, so that half a table spans all sizes."""
    turns = zip_longest(*truth_bands(SearchSpace(settings.network.width)))
    subnets = [subnet for turn in turns for subnet in turn if subnet]
    return list(dict.fromkeys([*extremes(settings), *subnets]))


def extremes(settings: Settings) -> list[Subnet]:
    """Winner, smallest, largest, and five from the bands between: those that are looked at closely."""
    bands = truth_bands(SearchSpace(settings.network.width))
    five = [band[i % 3 + (PAPER_WINNER in band)] for i, band in enumerate(bands[:5])]
    return [PAPER_WINNER, SearchSpace.smallest, SearchSpace.largest, *five]


def standalone(run: Run) -> Iterable[QualityTable]:
    """Train the 48 from scratch, once a seed."""
    for seed in range(run.settings.truth.seeds):
        evaluator = _from_scratch(run, replace(run.settings.retrain, seed=seed))
        yield _evaluate(run, evaluator, truth_subnets(run.settings), "test", f"standalone_seed{seed}")


def longer(run: Run) -> Iterable[QualityTable]:
    """Fine-tune eight and look at the test list; train the 48 from scratch for several times the steps."""
    settings = run.settings
    tuned = _fine_tuned(run, settings.finetune, "test")
    yield _evaluate(run, tuned, extremes(settings), "test", "finetuned_test")
    steps = settings.truth.longer * settings.retrain.steps
    for seed in range(settings.truth.longer_seeds):
        evaluator = _from_scratch(run, replace(settings.retrain, steps=steps, seed=seed))
        yield _evaluate(run, evaluator, truth_subnets(settings), "test", f"standalone_longer_seed{seed}")


def finetuned(run: Run) -> Iterable[QualityTable]:
    """Fine-tune all 324 for ten epochs, and the 48 again on other batches."""
    settings = run.settings
    for seed in range(settings.truth.finetune_seeds):
        first = truth_subnets(settings)
        subnets = first if seed else list(dict.fromkeys([*first, *SearchSpace(settings.network.width)]))
        evaluator = _fine_tuned(run, replace(settings.finetune, seed=seed), "val")
        yield _evaluate(run, evaluator, subnets, "val", f"finetuned_seed{seed}")


def shared(run: Run) -> Iterable[QualityTable]:
    """Score all 324 with the supernet's weights, on both lists."""
    supernet, training = _supernet(run), read_notes(run.paths.supernet)["training"]
    for name in ("val", "test"):
        path = run.paths.truth / f"shared_{name}.csv"
        notes: dict[str, Any] = {"list": name, "seed": run.settings.supernet.seed, "command": COMMAND}
        yield shared_table(supernet, _list(run, name), training, path, versions=_versions(), **notes)


def _supernet(run: Run) -> AVConvTasNet:
    """Train the supernet, or take the shipped one when it is of the same training on the same data: a training of
    one's own differs from it in the last bits, as fresh weights do from one kind of CPU to another.
    """
    weights, shipped = run.paths.supernet, TABLES / SUPERNET
    if shipped.is_file() and _same_training(run, shipped):
        if not (weights.is_file() or weights.with_name(CHECKPOINT).is_file()):
            write_atomically(weights, lambda temporary: shutil.copyfile(shipped, temporary))
        if weights.is_file() and weights_hash(run.supernet) == weights_hash(load(shipped)):
            return run.supernet
    return run.train()


def _trains_as_shipped(settings: Settings) -> bool:
    """Whether training mixtures are drawn as they were for what ships: what a table's data hash, of the corpus and its
    lists, does not say."""
    return set(settings.data.changed(TRAINING_ONLY)) <= {"loaders"}


def _same_training(run: Run, shipped: Path) -> bool:
    settings = run.settings
    network, wanted = load(shipped), settings.network.fresh(SearchSpace.largest, settings.seed)
    header = QualityTable.bundled("shared_val").header
    possible = [training_identity(asdict(each)) for each in choices(settings.supernet, network)]
    return (
        (network.width, network.causal, network.norm) == (wanted.width, wanted.causal, wanted.norm)
        and training_identity(read_notes(shipped).get("training", {})) in possible
        and settings.seed == header.seed
        and _trains_as_shipped(settings)
        and header.data_hash == FixedMixtures(run.corpus, "val").data_hash
    )


def _from_scratch(run: Run, training: TrainingSettings) -> StandAlone:
    build = partial(run.settings.network.fresh, seed=training.seed)
    return StandAlone(build, run.mixtures(training), _list(run, "test"), training)


def _fine_tuned(run: Run, training: TrainingSettings, name: str) -> FineTuning:
    return FineTuning(_supernet(run), run.mixtures(training), _list(run, name), training)


def _list(run: Run, name: str) -> Prepared:
    return run.validation if name == "val" else Prepared(FixedMixtures(run.corpus, name), device())


def _evaluate(
    run: Run, evaluator: StandAlone | FineTuning, subnets: Sequence[Subnet], list_name: str, table: str
) -> QualityTable:
    """Evaluate `subnets` through the ledger and keep their table up to date.

    Rows that ship with the package and were made in the same way are taken over: the tables grow over runs.
    """
    path = run.paths.truth / f"{table}.csv"
    header = _header(run, evaluator, list_name)
    shipped = _shipped(table, header) if _trains_as_shipped(run.settings) else ()
    rows = {row.subnet: row for row in shipped if row.subnet in subnets}
    missing = [subnet for subnet in subnets if subnet not in rows]
    with (
        Ledger(run.paths.truth / LEDGER) as ledger,
        Executor(LedgeredEvaluator(evaluator, ledger), run.settings.truth.workers) as executor,
        tqdm(desc=table, initial=len(rows), total=len(subnets), unit="subnet", mininterval=1) as progress,
    ):
        for evaluation in executor.evaluate(missing):
            progress.update()
            if isnan(evaluation.si_snri):
                progress.write(f"{evaluation.subnet}: training diverged; it is left out of {path}")
                continue
            rows[evaluation.subnet] = _row(evaluation, run.settings.network.width)
            QualityTable(header, [rows[subnet] for subnet in subnets if subnet in rows]).save(path)
    if not rows:
        raise UserError(f"{path}: every training diverged; lower its learning_rate")
    made = QualityTable(header, [rows[subnet] for subnet in subnets if subnet in rows], path)
    made.save(path)
    return made


def _shipped(name: str, header: QualityHeader) -> Sequence[QualityRow]:
    """Rows of the shipped table, when it was made in the same way, by whatever versions."""
    if name not in Tables.shipped().files:
        return ()
    table = QualityTable.bundled(name)
    return table.rows if replace(table.header, versions="") == replace(header, versions="") else ()


def _row(evaluation: Evaluation, width: float) -> QualityRow:
    return QualityRow(
        subnet=evaluation.subnet,
        params=parameters(evaluation.subnet, width),
        macs=macs(evaluation.subnet, width),
        si_snri=evaluation.si_snri,
        si_snri_se=evaluation.standard_error,
        curve=evaluation.curve,
        by_condition=evaluation.by_condition,
    )


def _header(run: Run, evaluator: StandAlone | FineTuning, name: str) -> QualityHeader:
    identity = evaluator.identities()[0]
    fixed = FixedMixtures(run.corpus, name)
    return QualityHeader(
        fidelity=identity["fidelity"],
        clips=len(fixed),
        width=identity["width"],
        causal=identity["causal"],
        norm=identity["norm"],
        data_hash=fixed.data_hash,
        weights_hash=identity["initial_weights"] or "",
        seed=evaluator.settings.seed,
        list=name,
        training=identity["training"],
        command=COMMAND,
        versions=_versions(),
    )


def _versions() -> str:
    return f"ofa-avse {version('ofa-avse')}, torch {version('torch')}, Python {platform.python_version()}"
