"""The supernet's training on a corpus: its loader, the scoring of all 324, and the training itself within a time."""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks.on_gpu.arithmetic import autocasting, synchronize
from benchmarks.on_gpu.rows import Rows
from controller.run.config import NetworkSettings, Settings
from controller.run.run import Run
from eval.table.fill import shared_table
from eval.table.scoring import Prepared, score_all
from supernet.checkpoint import load, read_tensors, save
from supernet.data.build import noted
from supernet.data.compact import unpack
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.devices import device
from supernet.errors import UserError
from supernet.model import AVConvTasNet
from supernet.recipe import SupernetObjective
from supernet.settings import SupernetSettings, chosen_precision
from supernet.space import PAPER_WINNER, SearchSpace
from supernet.storage.files import read_json, write_text
from supernet.tracking import TrackingSettings
from supernet.training import CHECKPOINT, batches

PLAN = "plan.json"  # in the run's folder: how many steps it is to take
LEAST = 20  # steps of a training
SHARE = 0.85  # of the time that is left, for the steps; the rest for what comes between them
CLOSING = 20.0  # s for weights, and for the table of a call that has not timed one


class TimeIsUp(Exception):
    """Raised amid a training, which goes on from its last checkpoint."""


def open_corpus(pack: Path | None, corpus: Path | None, run: Path) -> Path:
    """The folder of the corpus. Raises UserError for a damaged pack."""
    if corpus:
        return corpus
    begun = time.monotonic()
    folder = run / "corpus"
    unpacked = unpack(pack, folder)
    print(f"{folder}: {unpacked.corpus.describe()}; unpacked in {time.monotonic() - begun:.0f} s")
    if unpacked.other_bits:
        print(f"{unpacked.other_bits} clips are decoded to other bits than where they were packed")
    return folder


class Session:
    """What the parts share: settings, the prepared validation list, and how long things took."""

    def __init__(self, corpus: Path, options: argparse.Namespace) -> None:
        self.corpus, self.options = corpus, options
        self.step_seconds = self.scoring_seconds = 0.0

    def settings(self, steps: int) -> Settings:
        """Of the run: the data's own, mixed as configs/gpu.yaml does."""
        options = self.options
        known = {"folder": str(self.corpus), "loaders": options.loaders, "speech_targets": True, "balance": 0.5}
        epoch = max(1, steps // 20)
        supernet = SupernetSettings(
            steps=steps,
            batches_per_epoch=epoch,
            batch_size=options.batch_size,
            clip_seconds=options.seconds,
            learning_rate=1e-3,
            rate_warmup=min(500, epoch),
            checkpoint_every=min(100, epoch),
        )
        return Settings(
            run=str(options.run),
            data=replace(noted(self.corpus), **known),
            network=NetworkSettings(options.width),
            supernet=supernet,
            tracking=TrackingSettings(mode="disabled"),
        )

    def mixtures(self, batch_size: int | None = None) -> TrainingMixtures:
        settings = self.settings(LEAST)
        training = replace(settings.supernet, batch_size=batch_size or settings.supernet.batch_size)
        return Run(settings).mixtures(training)

    def fresh(self) -> AVConvTasNet:
        return NetworkSettings(self.options.width).fresh(SearchSpace.largest, 0).to(device())

    def time_loader(self, rows: Rows) -> None:
        """Training steps on batches as they come, each step waited for."""
        network, objective = (
            self.fresh().train(),
            SupernetObjective.of(SearchSpace(self.options.width), SupernetSettings()),
        )
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        stream = batches(self.mixtures(), 0, 10**6, device())
        waited = worked = 0.0
        for number in range(4 * self.options.loaders + 3 * self.options.steps):
            begun = time.perf_counter()
            batch = next(stream)
            there = time.perf_counter()
            optimizer.zero_grad()
            objective.gradients(network, batch, number, autocasting())
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            synchronize()
            if number >= 4 * self.options.loaders:  # the processes have started, and their queues were once full
                waited, worked = waited + there - begun, worked + time.perf_counter() - there
        stream.close()
        steps = 3 * self.options.steps
        self.step_seconds = (waited + worked) / steps
        about = f"{self.options.loaders} loaders, {self.options.batch_size / self.step_seconds:.0f} clips/s"
        rows.add("loader", "step with its batch", 1e3 * self.step_seconds, "ms", about)
        rows.add("loader", "waited for the batch", 100 * waited / (waited + worked), "%")

    def time_scoring(self, rows: Rows) -> None:
        fixed = FixedMixtures(Run(self.settings(LEAST)).corpus, "val")
        begun = time.monotonic()
        prepared = Prepared(fixed, device())
        rows.add("scoring", "list mixed", time.monotonic() - begun, "s", f"{len(fixed)} clips")
        for name, bf16 in (("fp32", False), ("bf16", True)):
            begun = time.monotonic()
            list(score_all(self.fresh().eval(), prepared, SearchSpace(self.options.width), bf16=bf16))
            synchronize()
            self.scoring_seconds = time.monotonic() - begun
            rows.add("scoring", f"all 324, {name}", self.scoring_seconds, "s")

    def train(self, rows: Rows, ends: float) -> None:
        """Until the training's end, or until there is just time for table and weights."""
        left = ends - time.monotonic() - 1.5 * self.scoring_seconds - CLOSING
        settings = self.settings(self._planned(left))
        with Run(settings).working() as run:
            run.keep_settings()
            begun, total = time.monotonic(), settings.supernet.steps
            try:
                with deadline(left):
                    run.train()
                done = total
            except TimeIsUp:
                done = self._restore(run)
            rows.add("training", "steps", done, "", f"of {total}, {settings.supernet.batch_size} clips a step")
            rows.add("training", "trained", time.monotonic() - begun, "s", "in this call")
            if done:
                self._keep(rows, run, done)

    def _planned(self, left: float) -> int:
        """Steps of the run in all, the same at every call."""
        path = self.options.run / PLAN
        if self.options.train_steps:
            return self.options.train_steps
        if not path.is_file():
            if not self.step_seconds:
                raise UserError("--train_steps: not given, and no loader part in this call to tell what fits; give it")
            write_text(path, json.dumps({"steps": max(LEAST, int(SHARE * left / self.step_seconds))}) + "\n")
        return int(read_json(path, "delete it, or give --train_steps")["steps"])

    def _restore(self, run: Run) -> int:
        """Take the network of the last checkpoint; returns its step, 0 when there is none yet."""
        path = run.paths.supernet.with_name(CHECKPOINT)
        if not path.is_file():
            return 0
        tensors, header = read_tensors(path, "checkpoint")
        network = self.fresh()
        prefix = "network."
        network.load_state_dict(
            {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        )
        run.supernet = network.eval()
        return int(header["step"])

    def _keep(self, rows: Rows, run: Run, done: int) -> None:
        """The table of the 324 and the weights, as they are now."""
        out, training = self.options.out, asdict(run.settings.supernet)
        precision = chosen_precision("auto", device().type == "cuda")
        table = shared_table(run.supernet, run.validation, training, out / "quality.csv", precision=precision)
        for name, subnet in (
            ("largest", SearchSpace.largest),
            ("winner", PAPER_WINNER),
            ("smallest", SearchSpace.smallest),
        ):
            row = table[subnet]
            rows.add("training", f"SI-SNRi, {name}", row.si_snri, "dB", f"+- {row.si_snri_se:.2f}, after {done} steps")
        best = table.best().row
        rows.add("training", "SI-SNRi, best", best.si_snri, "dB", str(best.subnet))
        path = out / "weights.safetensors"
        save(run.supernet, path, torch.bfloat16, training=training, steps=done, lip_region=run.settings.data.lip_region)
        load(path)  # it is whole
        parts = divided(path, self.options.part_mb) if self.options.part_mb else [path]
        rows.add("training", "weights", sum(part.stat().st_size for part in parts) / 1e6, "MB", f"{len(parts)} files")


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises TimeIsUp in the main thread when the time has passed."""

    armed = True

    def ring(*_: object) -> None:
        if armed:
            raise TimeIsUp

    if seconds <= 0:
        raise TimeIsUp
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 5.0)  # again, for what is raised in a destructor is not heard
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def divided(path: Path, part_mb: float) -> list[Path]:
    """Replace a file by numbered parts of at most `part_mb` MB (10^6 bytes); SHA256SUMS is of them and of the whole."""
    content, size = path.read_bytes(), int(part_mb * 1e6)
    for old in path.parent.glob(f"{path.name}.??"):
        old.unlink()
    parts, sums = [], [f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"]
    for number, start in enumerate(range(0, len(content), size)):
        part = path.with_name(f"{path.name}.{number:02}")
        part.write_bytes(content[start : start + size])
        sums.append(f"{hashlib.sha256(part.read_bytes()).hexdigest()}  {part.name}\n")
        parts.append(part)
    write_text(path.with_name("SHA256SUMS"), "".join(sums))
    path.unlink()
    return parts
