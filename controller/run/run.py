"""A run: one folder, one corpus, one supernet, and all that follows from them.

What the folder holds is opened once. Each stage, in the paper's order, goes on where it was killed, and does nothing
when its result is there and still belongs to its inputs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import yaml
from msgspec import Struct, to_builtins
from torch import Tensor

from controller.ladder.evaluation import Evaluation, LedgeredEvaluator
from controller.ladder.finetuning import FineTuning
from controller.ladder.ledger import Ledger
from controller.run.config import Settings
from controller.search.document import SearchDocument
from controller.search.loop import LEDGER, RESULT, SearchResult
from controller.search.loop import search as search_space
from controller.search.reward import Costs
from eval.costs import macs, parameters
from eval.evaluation import evaluate as evaluate_on
from eval.evaluation_report import NOISY, EvaluationReport
from eval.mean import Mean
from eval.peers.wiener import Wiener
from eval.ranking.extrapolation import anchored
from eval.table.fill import tabulate
from eval.table.quality_table import QualityTable
from eval.table.query import check_metric
from eval.table.scoring import Prepared, validate
from eval.table.watch import WATCHED, Watch
from eval.version import METRIC_VERSION
from supernet.checkpoint import load, weights_hash
from supernet.data.build import build
from supernet.data.corpus import LISTS, MANIFEST, Corpus
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.devices import device
from supernet.distributed import local_size, process_rank, world_size
from supernet.errors import UserError
from supernet.model import AVConvTasNet
from supernet.recipe import NetworkObjective, SupernetObjective
from supernet.resuming import WEIGHTS
from supernet.settings import TrainingSettings, chosen_precision, training_identity
from supernet.space import SearchSpace, Subnet
from supernet.storage.files import read_json, with_hash, write_atomically, write_json, write_text
from supernet.tracking import Silent, Tracker, start_tracking
from supernet.training import Diverged, train

VALIDATION = "validation.json"  # what a retrained subnet is worth
DIVERGED = "diverged.json"  # the settings under which its training diverged
SEARCH_AGAIN = "run `ofa-avse search` again"
VALIDATE_AGAIN = "delete it and run `ofa-avse retrain` again"


class Paths:
    """What a run writes, and where."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.folder
        self.settings = self.folder / "config.yaml"  # all of them, as they were resolved
        self.corpus = Path(settings.data.folder or self.folder / "corpus")  # clips, lips, lists
        self.supernet = self.folder / "supernet" / WEIGHTS
        self.table = self.folder / "quality.csv"  # the 324 subnets
        self.search = self.folder / "search"
        self.ledger = self.search / LEDGER
        self.outcome = self.search / RESULT  # beside it <method>.json
        self.retrained = self.folder / "retrained"  # <subnet>/: weights, VALIDATION or DIVERGED
        self.winner = self.folder / "winner.safetensors"  # the best of them
        self.truth = self.folder / "truth"
        self.stage_seconds = self.folder / "stage_seconds.json"
        self.page = self.folder / "report.html"
        self.front = self.folder / "front.png"

    def of(self, subnet: Subnet, file: str = WEIGHTS) -> Path:
        """A file of a retrained subnet."""
        return self.retrained / str(subnet) / file


class ValidationNote(Struct):
    """SI-SNRi in dB on the validation list, on disk; the subnet is not noted by former versions."""

    si_snri: float
    standard_error: float
    clips: int
    subnet: str = ""
    metric_version: int = 1


class Run:
    """What a run holds, opened when it is first asked for, and the stages that make it.

    A corpus that is not there is made; of anything else that is missing, a UserError names the stage that makes it.

    Example:
        with Run(settings).working() as run:
            run.train()
            run.score()
            winner = run.search().winner.subnet
            run.retrain(winner)
            run.keep_winner(winner)
            print(run.evaluate("test").text())
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.paths = settings, Paths(settings)
        self.tracker: Tracker = Silent()

    @contextmanager
    def working(self, ranks: bool = False) -> Iterator[Run]:
        """Hold the run's folder, since a second process in it would overwrite the first one's files; set the threads.

        Of several processes that train together, rank 0 holds it. Raises UserError when that is nothing for `ranks`.
        """
        if world_size() > 1 and not ranks:
            raise UserError(f"torchrun: {world_size()} processes at once are for `train`; run this command without")
        torch.set_num_threads(self.settings.threads or max(1, (os.cpu_count() or 1) // local_size()))
        with held(self.paths.folder, "run") if process_rank() == 0 else nullcontext():
            try:
                yield self
            finally:
                if ledger := vars(self).pop("ledger", None):
                    ledger.close()

    def track(self, job: str) -> None:
        """From here on, log what stages train, as a job of this name."""
        if process_rank() == 0:
            self.tracker = start_tracking(self.settings.tracking, self.paths.folder, job, asdict(self.settings))

    def keep_settings(self) -> None:
        """Write the settings where a user finds them; as a `--config` they give the same run again."""
        write_text(self.paths.settings, with_hash(yaml.safe_dump(asdict(self.settings), sort_keys=False)))

    # What it holds

    @cached_property
    def corpus(self) -> Corpus:
        """Made, or finished, or opened. Raises UserError when another run is making it."""
        folder = self.paths.corpus
        if (folder / MANIFEST).is_file():  # perhaps where nothing may be written
            return build(self.settings.data, folder)
        if world_size() > 1:
            raise UserError(
                f"{folder}: {world_size()} processes would make the corpus at once; run `ofa-avse data` first"
            )
        with held(folder, "data.folder"):
            return build(self.settings.data, folder)

    @cached_property
    def validation(self) -> Prepared:
        """The validation list, mixed once: what search and query see."""
        return Prepared(FixedMixtures(self.corpus, "val"), device())

    @cached_property
    def supernet(self) -> AVConvTasNet:
        network = load(made(self.paths.supernet, "train"))
        if network.subnet != SearchSpace.largest:
            raise UserError(f"{self.paths.supernet}: holds {network.subnet}, no supernet; run `ofa-avse train` again")
        return network.to(device())

    @cached_property
    def table(self) -> QualityTable:
        """The 324 subnets with shared weights."""
        table = QualityTable.load(made(self.paths.table, "score"))
        check_metric(table)
        return table

    @cached_property
    def ledger(self) -> Ledger:
        """Every evaluation that the run has paid for."""
        return Ledger(self.paths.ledger)

    @cached_property
    def winner(self) -> AVConvTasNet:
        """The retrained winner."""
        return load(made(self.paths.winner, "retrain")).to(device())

    def searched(self, path: Path | None = None) -> SearchDocument:
        """What the last search has written, or the last one of a method, at `path`."""
        return read_json(made(path or self.paths.outcome, "search"), SEARCH_AGAIN, SearchDocument)

    def diverged(self, subnet: Subnet) -> bool:
        """Whether the training of `subnet` from scratch diverged, under the settings as they are now."""
        mark = self.paths.of(subnet, DIVERGED)
        return mark.is_file() and training_identity(read_json(mark, "delete it")) == self._retraining

    @property
    def _retraining(self) -> dict[str, Any]:
        """What decides whether the training of a subnet from scratch diverges, with whatever kernels."""
        training = self.settings.retrain
        precision = chosen_precision(training.precision, torch.cuda.is_available())
        return training_identity(asdict(replace(training, precision=precision, kernels="torch")))

    def retrained(self, subnet: Subnet) -> Mean | None:
        """SI-SNRi of a retrained subnet on the validation list, dB; None when it has not been retrained, or scored by
        this version of the metric."""
        note = self.paths.of(subnet, VALIDATION)
        if not note.is_file():
            return None
        said = read_json(note, VALIDATE_AGAIN, ValidationNote)
        if said.subnet not in ("", str(subnet)):
            raise UserError(f"{note}: is of {said.subnet}; {VALIDATE_AGAIN}")
        if said.metric_version != METRIC_VERSION:
            return None
        return Mean(said.si_snri, said.standard_error, said.clips)

    @property
    def stage_seconds(self) -> dict[str, float]:
        """What the stages of quickstart have taken, in all."""
        path = self.paths.stage_seconds
        return read_json(path, "delete it", dict[str, float]) if path.is_file() else {}

    @property
    def test_lists(self) -> list[str]:
        """Names of the corpus's test lists, the main one first."""
        return sorted(path.stem for path in (self.corpus.folder / LISTS).glob("test*.jsonl"))

    @property
    def costs(self) -> Costs:
        """What subnets cost; latency as the run's table has it, the same whenever a search goes on."""
        width = self.settings.network.width
        return Costs(
            partial(parameters, width=width), partial(macs, width=width), lambda subnet: self.table[subnet].latency_ms
        )

    def mixtures(self, training: TrainingSettings) -> TrainingMixtures:
        """What a training hears."""
        return TrainingMixtures(
            self.corpus,
            self.settings.data,
            batch_size=training.batch_size,
            clip_seconds=training.clip_seconds,
            lip_dropout=training.lip_dropout,
            seed=training.seed,
        )

    def watch(self, network: AVConvTasNet, subnets: Mapping[str, Subnet] | None = None) -> Watch:
        """A look at a network, or at subnets of it, while it trains."""
        return Watch(network, FixedMixtures(self.corpus, "val"), subnets)

    def fine_tuning(self) -> FineTuning:
        """The evaluation that the search optimises: 10 epochs from the shared weights."""
        tuning = self.settings.finetune
        return FineTuning(self.supernet, self.mixtures(tuning), self.validation, tuning)

    # The stages

    def train(self) -> AVConvTasNet:
        """Train the supernet to its end, from wherever it is."""
        training = self.settings.supernet
        network = self.settings.network.fresh(SearchSpace.largest, self.settings.seed)
        train(
            network,
            self.mixtures(training),
            SupernetObjective.of(SearchSpace(self.settings.network.width), training),
            training,
            self.paths.supernet.parent,
            tracker=self.tracker,
            description="supernet",
            after_epoch=self.watch(network, WATCHED),
        )
        network.zero_grad()  # frees the gradients of the last step
        self.supernet = network
        return network

    def score(self) -> QualityTable:
        """The quality table of all 324 subnets with shared weights, costs measured on this machine."""
        self.table = tabulate(self.supernet, self.validation, self.settings.scoring, self.paths.table)
        return self.table

    def search(self) -> SearchResult:
        """Search, from the ledger's beginning or from where it was killed. Raises UserError where the quality table,
        which is its prior, is not of the run's supernet."""
        supernet, table = self.supernet, self.table
        if table.header.weights_hash != weights_hash(supernet):
            raise UserError(f"{table.path}: holds the scores of another supernet; run `ofa-avse score` again")
        return search_space(
            SearchSpace(self.settings.network.width),
            self.fine_tuning(),
            self.settings.search,
            self.paths.search,
            self.costs,
            {row.subnet: row.si_snri for row in table.rows},
            self.tracker,
        )

    def finetuned(self, subnets: Sequence[Subnet]) -> dict[Subnet, Evaluation]:
        """Fine-tuned evaluations of the named subnets, from the ledger where it has them."""
        evaluator = LedgeredEvaluator(self.fine_tuning(), self.ledger)
        return {subnet: evaluator.evaluate(subnet) for subnet in subnets}

    def extrapolated(self, document: SearchDocument) -> dict[Subnet, float]:
        """SI-SNRi in dB of the subnets of a search as full training would make it: the fidelity `extrapolated`.

        The ten epochs of each are carried on by the mean offset of those that this run has retrained, which keeps their
        ranking; empty while none is retrained.
        """
        curves = {Subnet.parse(name): curve for name, curve in document.curves.items() if curve}
        scores = {subnet: self.retrained(subnet) for subnet in curves}
        anchors = {subnet: score.value for subnet, score in scores.items() if score}
        return anchored(curves, anchors) if anchors else {}

    def retrain(self, subnet: Subnet) -> AVConvTasNet:
        """Train `subnet` from scratch, and note what it is worth on the validation list, or that training diverged."""
        training, folder = self.settings.retrain, self.paths.of(subnet).parent
        network = self.settings.network.fresh(subnet, training.seed)
        try:
            train(
                network,
                self.mixtures(training),
                NetworkObjective(),
                training,
                folder,
                tracker=self.tracker,
                description=f"retrain {subnet}",
                after_epoch=self.watch(network),
            )
        except Diverged:
            write_json(folder / DIVERGED, self._retraining)
            raise
        if self.retrained(subnet) is None:
            scores = validate(network, self.validation)
            clips = len(scores.si_snri)
            note = ValidationNote(scores.mean, scores.standard_error, clips, str(subnet), METRIC_VERSION)
            write_json(folder / VALIDATION, to_builtins(note))
        return network

    def keep_winner(self, subnet: Subnet) -> Path:
        """Put the retrained winner where a user finds it."""
        source = made(self.paths.of(subnet), f"retrain --subnet {subnet}")
        write_atomically(self.paths.winner, lambda temporary: shutil.copyfile(source, temporary))
        vars(self).pop("winner", None)
        return self.paths.winner

    def evaluate(
        self,
        name: str,
        model: Path | None = None,
        corpus: Corpus | None = None,
        perceptual: bool = True,
        lips: Sequence[str] = ("true", "none", "other"),
        on: torch.device | None = None,
    ) -> EvaluationReport:
        """Test the winner, or another model's file, on a list of the run's corpus, or of another; kept beside the
        model, and not computed twice."""
        on = on or device()
        network = load(model).to(on) if model else self.winner.to(on)
        path = (model or self.paths.winner).with_name(f"evaluation_{name}_{weights_hash(network)[:8]}.json")
        fixed = FixedMixtures(corpus or self.corpus, name)
        return _evaluate(fixed, network, str(network.subnet), path, perceptual, lips, on)

    def evaluate_wiener(self, name: str, corpus: Corpus | None = None, perceptual: bool = True) -> EvaluationReport:
        """The classical comparison on the same list, kept in the run's folder."""
        path, peer = self.paths.folder / f"evaluation_{name}_wiener.json", Wiener()
        fixed = FixedMixtures(corpus or self.corpus, name)
        return _evaluate(fixed, peer, peer.name, path, perceptual, peer.lips, device())


def _evaluate(
    fixed: FixedMixtures,
    model: Callable[..., Tensor],
    title: str,
    path: Path,
    perceptual: bool,
    lips: Sequence[str],
    on: torch.device,
) -> EvaluationReport:
    known: EvaluationReport | None = EvaluationReport.load(path) if path.is_file() else None
    if known and (
        (known.model, known.data_hash, known.metric_version) != (title, fixed.data_hash, METRIC_VERSION)
        or (perceptual and "pesq" not in known.overall(NOISY).means)
    ):
        known = None
    missing = [name for name in lips if not known or name not in known.signals]
    if missing:
        perceptual = perceptual if known is None else "pesq" in known.overall(NOISY).means  # the same for all signals
        found = evaluate_on(model, fixed, perceptual=perceptual, lips=missing, device=on, model=title)
        known = known.joined(found) if known else found
        known.save(path)
    assert known  # some lips were asked for
    return known.only([NOISY, *lips])


def made(path: Path, stage: str) -> Path:
    """The path of what a stage makes. Raises UserError when it has not been made yet."""
    if not path.is_file():
        raise UserError(f"{path}: not there yet; run `ofa-avse {stage}` first, with the same settings")
    return path


@contextmanager
def held(folder: Path, key: str) -> Iterator[None]:
    """Keep other processes from writing into a folder, which is made. Raises UserError when one does already; `key`
    is the setting that names the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{key}: {folder} is in use by another process; wait for it or choose another --{key}"
            ) from None
        yield
