"""The stages of a run, each a function of the settings: corpus, supernet, table, search, retrain, evaluation. Each
stage writes below the run's folder, goes on where it was killed, and does nothing when its result is there and still
belongs to its inputs.

    corpus/                     clips, lips, lists (or data.folder)
    supernet/weights.safetensors
    quality.csv                 the 324 subnets
    search/ledger.sqlite, search/search.json, search/<method>.json
    retrained/<subnet>/weights.safetensors, validation.json; or diverged.json
    winner.safetensors          the retrained winner
    report.html
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from controller.ladder.evaluation import Evaluation, LedgeredEvaluator
from controller.ladder.finetuning import FineTuning
from controller.ladder.ledger import Ledger
from controller.run.config import Settings
from controller.search.loop import LEDGER, RESULT, SearchResult
from controller.search.loop import search as search_space
from controller.search.reward import Costs
from eval.costs import macs, parameters
from eval.evaluation import evaluate as evaluate_on
from eval.evaluation_report import NOISY, EvaluationReport
from eval.peers.wiener import Wiener
from eval.ranking.extrapolation import anchored
from eval.table.fill import tabulate
from eval.table.quality_table import QualityTable
from eval.table.scoring import Prepared, validate
from eval.table.watch import CORNERS, Watch
from supernet.checkpoint import load, weights_hash
from supernet.data.build import build
from supernet.data.corpus import LISTS, MANIFEST, Corpus
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.distributed import local, rank, world
from supernet.errors import UserError
from supernet.files import read_json, write_atomically, write_text
from supernet.model import AVConvTasNet
from supernet.recipe import NetworkObjective, SupernetObjective
from supernet.settings import TrainingSettings
from supernet.space import PAPER_WINNER, SearchSpace, Subnet
from supernet.timing import SAMPLE_RATE
from supernet.tracking import Tracker
from supernet.training import WEIGHTS, Diverged, device, train

TABLE = "quality.csv"
WINNER = "winner.safetensors"
VALIDATION = "validation.json"
DIVERGED = "diverged.json"
SEARCH_AGAIN = "run `ofa-avse search` again"
VALIDATE_AGAIN = "delete it and run `ofa-avse retrain` again"


class ValidationScore(NamedTuple):
    """SI-SNRi in dB on the validation list."""

    si_snri: float
    standard_error: float
    clips: int

    def __str__(self) -> str:
        return f"SI-SNRi {self.si_snri:.2f} dB +- {self.standard_error:.2f} (retrained, {self.clips} clips)"


@contextmanager
def working(settings: Settings, ranks: bool = False) -> Iterator[None]:
    """Hold the run's folder, since a second process in it would overwrite the first one's files; set the threads.

    Of several processes that train together, rank 0 holds it. Raises UserError when that is nothing for `ranks`.
    """
    if world() > 1 and not ranks:
        raise UserError(f"torchrun: {world()} processes at once are for `train`; run this command without")
    torch.set_num_threads(settings.threads or max(1, (os.cpu_count() or 1) // local()))
    with held(settings.folder, "run") if rank() == 0 else nullcontext():
        yield


@contextmanager
def held(folder: Path, key: str) -> Iterator[None]:
    """Keep other processes from writing into a folder, which is made. Raises UserError when one does already; `key`
    is the setting that names the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{key}: {folder} is in use by another process; wait for it or choose another --{key}")
        yield


def corpus(settings: Settings) -> Corpus:
    """Make the corpus, or finish it, or open it. Raises UserError when another run is making it."""
    folder = corpus_folder(settings)
    if (folder / MANIFEST).is_file():  # perhaps where nothing may be written
        return build(settings.data, folder)
    if world() > 1:
        raise UserError(f"{folder}: {world()} processes would make the corpus at once; run `ofa-avse data` first")
    with held(folder, "data.folder"):
        return build(settings.data, folder)


def corpus_folder(settings: Settings) -> Path:
    return Path(settings.data.folder or settings.folder / "corpus")


def describe(corpus: Corpus) -> str:
    """One line: how many clips and hours of what."""
    parts = []
    names = {"talker": "talking clips", "speech": "speech clips", "noise": "noises", "mixture": "recorded mixtures"}
    for role, name in names.items():
        clips = corpus.select(role)
        if clips:
            speakers = len({clip.speaker for clip in clips})
            minutes = sum(clip.samples for clip in clips) / SAMPLE_RATE / 60
            parts.append(
                f"{len(clips)} {name}"
                + (f" of {speakers} voices" if role in ("talker", "speech") else "")
                + f", {minutes:.0f} min"
            )
    return "; ".join(parts)


def network(settings: Settings, subnet: Subnet, seed: int, kind: type[AVConvTasNet] = AVConvTasNet) -> AVConvTasNet:
    """A network with fresh weights, the same for the same seed."""
    norm = None if settings.network.norm == "auto" else settings.network.norm
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(subnet, settings.network.width, settings.network.causal, norm)


def training_mixtures(settings: Settings, training: TrainingSettings) -> TrainingMixtures:
    return TrainingMixtures(
        corpus(settings),
        settings.data,
        batch_size=training.batch_size,
        clip_seconds=training.clip_seconds,
        lip_dropout=training.lip_dropout,
        seed=training.seed,
    )


def train_supernet(settings: Settings, tracker: Tracker | None = None) -> AVConvTasNet:
    """Train the supernet to its end, from wherever it is."""
    training = settings.supernet
    objective = SupernetObjective.of(SearchSpace(settings.network.width), training)
    trained = network(settings, SearchSpace.largest, settings.seed)
    mixtures = training_mixtures(settings, training)
    watch = Watch(trained, FixedMixtures(corpus(settings), "val"), CORNERS)
    train(trained, mixtures, objective, training, settings.folder / "supernet", tracker, "supernet", watch)
    return trained


def supernet_path(settings: Settings) -> Path:
    """The file of the run's trained supernet. Raises UserError when it is not trained yet."""
    path = settings.folder / "supernet" / WEIGHTS
    if not path.is_file():
        raise UserError(f"{path}: the supernet is not trained yet; run `ofa-avse train` with the same settings")
    return path


def open_supernet(settings: Settings) -> AVConvTasNet:
    """The trained supernet of the run. Raises UserError when it is not trained yet."""
    return load(supernet_path(settings)).to(device())


def validation(settings: Settings) -> Prepared:
    """The validation list, mixed once: what search and query see."""
    return Prepared(FixedMixtures(corpus(settings), "val"), device())


def score(settings: Settings) -> QualityTable:
    """The quality table of all 324 subnets with shared weights, costs measured on this machine."""
    return tabulate(open_supernet(settings), validation(settings), settings.scoring, settings.folder / TABLE)


def open_table(settings: Settings) -> QualityTable:
    return QualityTable.load(settings.folder / TABLE)


def fine_tuning(settings: Settings) -> FineTuning:
    """The evaluation that the search optimises: 10 epochs from the shared weights."""
    return FineTuning(
        open_supernet(settings), training_mixtures(settings, settings.finetune), validation(settings), settings.finetune
    )


def search(settings: Settings) -> SearchResult:
    """Search, from the ledger's beginning or from where it was killed. Raises UserError where the quality table, which
    is its prior, is not of the run's supernet."""
    evaluator, table = fine_tuning(settings), open_table(settings)
    if table.header.weights_hash != weights_hash(evaluator.supernet):
        raise UserError(f"{table.path}: holds the scores of another supernet; run `ofa-avse score` again")
    return search_space(
        SearchSpace(settings.network.width),
        evaluator,
        settings.search,
        settings.folder / "search",
        costs(settings),
        {row.subnet: row.si_snri for row in table.rows},
    )


def costs(settings: Settings) -> Costs:
    """What subnets cost; latency as the run's table has it, the same whenever the search goes on."""
    width = settings.network.width

    @cache
    def measured() -> dict[Subnet, float]:
        return {row.subnet: row.latency_ms for row in open_table(settings).rows}

    return Costs(
        params=lambda subnet: parameters(subnet, width),
        macs=lambda subnet: macs(subnet, width),
        latency_ms=lambda subnet: measured()[subnet],
    )


def named(text: str) -> Subnet:
    """A subnet by its name, or `largest`, `smallest`, or `winner`, the paper's."""
    known = {"largest": SearchSpace.largest, "smallest": SearchSpace.smallest, "winner": PAPER_WINNER}
    return known.get(text) or Subnet.parse(text)


def corners(winner: Subnet) -> list[Subnet]:
    """Winner, largest and smallest: the rows of the table of fidelities."""
    return list(dict.fromkeys([winner, SearchSpace.largest, SearchSpace.smallest]))


def test_lists(settings: Settings) -> dict[str, FixedMixtures]:
    """The test lists of the corpus by name, the main one first."""
    tested = corpus(settings)
    names = sorted(path.stem for path in (tested.folder / LISTS).glob("test*.jsonl"))
    return {name: FixedMixtures(tested, name) for name in names}


def search_document(settings: Settings, name: str = RESULT) -> dict[str, Any]:
    """What a search has written: the last one, or the last one of a method, `<method>.json`. Raises UserError."""
    path = settings.folder / "search" / name
    if not path.is_file():
        raise UserError(f"{path}: no search has ended here yet; run `ofa-avse search` first")
    document = read_json(path, SEARCH_AGAIN)
    winner = document.get("winner")
    if not isinstance(winner, dict) or not isinstance(winner.get("subnet"), str):
        raise UserError(f"{path}: damaged (no winner); {SEARCH_AGAIN}")
    return document


def extrapolated(settings: Settings, document: dict[str, Any]) -> dict[Subnet, float]:
    """SI-SNRi in dB of the subnets of a search as full training would make it: the fidelity `extrapolated`.

    The ten epochs of each are carried on by the mean offset of those that this run has retrained, which keeps their
    ranking; empty while none is retrained.
    """
    curves = {Subnet.parse(name): curve for name, curve in document["curves"].items() if curve}
    scores = {subnet: retrained_score(settings, subnet) for subnet in curves}
    anchors = {subnet: score.si_snri for subnet, score in scores.items() if score}
    return anchored(curves, anchors) if anchors else {}


def finetuned(settings: Settings, subnets: list[Subnet]) -> dict[Subnet, Evaluation]:
    """Fine-tuned evaluations of the named subnets, from the ledger where it has them."""
    with Ledger(settings.folder / "search" / LEDGER) as ledger:
        evaluator = LedgeredEvaluator(fine_tuning(settings), ledger)
        return {subnet: evaluator.evaluate(subnet) for subnet in subnets}


def retrain(settings: Settings, subnet: Subnet, tracker: Tracker | None = None) -> AVConvTasNet:
    """Train `subnet` from scratch, and note what it is worth on the validation list, or that training diverged."""
    path = retrained_path(settings, subnet)
    training = settings.retrain
    model = network(settings, subnet, training.seed)
    mixtures = training_mixtures(settings, training)
    try:
        watch = Watch(model, FixedMixtures(corpus(settings), "val"))
        train(model, mixtures, NetworkObjective(), training, path.parent, tracker, f"retrain {subnet}", watch)
    except Diverged:
        write_text(path.with_name(DIVERGED), json.dumps(asdict(training)) + "\n")
        raise
    note = path.with_name(VALIDATION)
    if not note.is_file():
        scores = validate(model, validation(settings))
        content = ValidationScore(scores.mean, scores.standard_error, len(scores.si_snri))._asdict()
        write_text(note, json.dumps(content) + "\n")
    return model


def retrained_path(settings: Settings, subnet: Subnet) -> Path:
    return settings.folder / "retrained" / str(subnet) / WEIGHTS


def diverged(settings: Settings, subnet: Subnet) -> bool:
    """Whether the training of `subnet` from scratch diverged, under the settings as they are now."""
    mark = retrained_path(settings, subnet).with_name(DIVERGED)
    return mark.is_file() and read_json(mark, "delete it") == asdict(settings.retrain)


def retrained_score(settings: Settings, subnet: Subnet) -> ValidationScore | None:
    """What a retrained subnet is worth on the validation list; None when it has not been retrained."""
    note = retrained_path(settings, subnet).with_name(VALIDATION)
    if not note.is_file():
        return None
    try:
        return ValidationScore(**read_json(note, VALIDATE_AGAIN))
    except TypeError as error:
        raise UserError(f"{note}: damaged ({error}); {VALIDATE_AGAIN}") from error


def keep_winner(settings: Settings, subnet: Subnet) -> Path:
    """Put the retrained winner where a user finds it."""
    target = settings.folder / WINNER
    write_atomically(target, lambda temporary: shutil.copyfile(retrained_path(settings, subnet), temporary))
    return target


def evaluate(
    fixed: FixedMixtures,
    model: Path,
    list_name: str,
    perceptual: bool = True,
    lips: Sequence[str] = ("true", "none", "other"),
) -> EvaluationReport:
    """Test a model file on a list; kept beside the model, and not computed twice."""
    trained = load(model).to(device())
    path = model.parent / f"evaluation_{list_name}_{weights_hash(trained)[:8]}.json"
    return _evaluate(fixed, trained, str(trained.subnet), path, perceptual, lips)


def evaluate_wiener(
    settings: Settings, fixed: FixedMixtures, list_name: str, perceptual: bool = True
) -> EvaluationReport:
    """The classical comparison on the same list, kept in the run's folder."""
    path = settings.folder / f"evaluation_{list_name}_wiener.json"
    return _evaluate(fixed, Wiener(), "Wiener filter", path, perceptual, ("none",))


def _evaluate(
    fixed: FixedMixtures,
    model: Callable[..., Tensor],
    title: str,
    path: Path,
    perceptual: bool,
    lips: Sequence[str],
) -> EvaluationReport:
    known = EvaluationReport.load(path) if path.is_file() else None
    if known and (known.data_hash != fixed.data_hash or perceptual and "pesq" not in known.overall(NOISY).means):
        known = None
    missing = [name for name in lips if not known or name not in known.signals]
    if missing:
        perceptual = perceptual if known is None else "pesq" in known.overall(NOISY).means  # the same for all signals
        found = evaluate_on(model, fixed, perceptual=perceptual, lips=missing, device=device(), model=title)
        known = known.joined(found) if known else found
        known.save(path)
    return known.only([NOISY, *lips])
