"""A step of the demo's supernet here and in another checkout of this repository, in turns in one run.

    git worktree add /tmp/before ee8efb0        # which needs pebble too: pip install pebble
    .venv/bin/ofa-avse data --config quick --run /tmp/quick
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/training_step.py --other /tmp/before --corpus /tmp/quick/corpus

Both take the same steps on the same mixtures from the same weights, each in a process of its own that waits while the
other works. With `--losses 300` it says how far the first steps' SI-SNR lie apart, and with `--gradients` how far
gradients are from float64 with each kind of kernels.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does

import torch

WIDTH, STEPS = 0.125, 1000
RECIPE = {"steps": STEPS, "batch_size": 16, "clip_seconds": 1.28, "learning_rate": 3e-3}  # of configs/quick.yaml
SMOOTHING = 0.95


class Other:
    """A training in a process of its own that takes a step when it is told to.

    Args:
        checkout: whose code runs.
        options: of the training's settings.
    """

    def __init__(self, checkout: Path, **options: str) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", json.dumps(options)]
        path = os.pathsep.join([str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = os.environ | {"PYTHONPATH": path}
        self.process = subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, stderr=-3, text=True)
        self.process.stdout.readline()  # it is ready

    def step(self, batch: Path) -> tuple[float, float]:
        """Seconds, and SI-SNR in dB."""
        self.process.stdin.write(f"{batch}\n")
        self.process.stdin.flush()
        return tuple(json.loads(self.process.stdout.readline()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, help="checkout to compare with; this one with PyTorch's kernels if none")
    parser.add_argument("--corpus", type=Path, help="prepared corpus")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--losses", type=int, default=0, help="compare the SI-SNR of so many steps")
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--serve")
    options = parser.parse_args()
    if options.serve:
        return serve(json.loads(options.serve))
    with tempfile.TemporaryDirectory() as folder:
        batches = mixed(options.corpus, max(options.steps, options.losses), Path(folder))
        compare(options, batches)
        if options.gradients:
            gradients(torch.load(batches[0]))


def mixed(corpus: Path, count: int, folder: Path) -> list[Path]:
    """The first mixtures of the demo's supernet, a file each."""
    from supernet.data.corpus import Corpus
    from supernet.data.mixing.batches import TrainingMixtures
    from supernet.data.settings import DataSettings

    mixtures = TrainingMixtures(Corpus.open(corpus), DataSettings(), 16, 1.28, 0.25, seed=0)
    paths = [folder / f"{step}.pt" for step in range(count)]
    for step, path in enumerate(paths):
        batch = mixtures.batch(step)
        torch.save([batch.mixture, batch.clean, batch.lips, batch.lips_present], path)
    return paths


def compare(options: argparse.Namespace, batches: list[Path]) -> None:
    here = Path(__file__).parents[1]
    sides = {"here": Other(here), "other": Other(options.other) if options.other else Other(here, kernels="torch")}
    found = [{name: side.step(batch) for name, side in sides.items()} for batch in batches]  # in turns
    seconds = {name: [step[name][0] for step in found[3:]] for name in sides}
    ratio = statistics.median(b / a for a, b in zip(seconds["here"], seconds["other"], strict=True))
    a, b = (statistics.median(seconds[name]) for name in sides)
    print(f"step of the demo's supernet, {torch.get_num_threads()} threads, {len(found)} in turns:")
    faster = sum(seconds["other"]) / sum(seconds["here"])
    print(f"{1e3 * a:.0f} ms here, {1e3 * b:.0f} ms there, {faster:.2f} times the steps a second;")
    print(f"median of the steps' ratios {ratio:.2f}")
    if options.losses:
        apart = [[step[name][1] for step in found] for name in sides]
        print(f"SI-SNR of the first step {apart[0][0] - apart[1][0]:+.5f} dB apart, of any {largest(*apart):.3f} dB,")
        print(f"of the running mean {largest(*map(running, apart)):.3f} dB,", end=" ")
        print(f"of the mean of all {statistics.mean(apart[0]) - statistics.mean(apart[1]):+.4f} dB")


def largest(a: list[float], b: list[float]) -> float:
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def running(values: list[float]) -> list[float]:
    mean, means = values[0], []
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        means.append(mean)
    return means


def gradients(content: list[torch.Tensor]) -> None:
    """Distance of the whole gradient to float64, relative to its norm, of the largest subnet and of random ones."""
    from supernet import AVConvTasNet, SearchSpace
    from supernet.data.mixing.batches import Batch
    from supernet.kernels.fused import fused_blocks
    from supernet.recipe import SupernetObjective, Uniform

    torch.manual_seed(0)
    network = AVConvTasNet(SearchSpace.largest, WIDTH)
    precise, batch = copy.deepcopy(network).double(), Batch(*content)
    exact = Batch(batch.mixture.double(), batch.clean.double(), batch.lips, batch.lips_present)
    for step in range(4):
        objective = SupernetObjective(Uniform(SearchSpace(WIDTH), warmup=1))
        found = []
        for model, data, fused in ((precise, exact, False), (network, batch, True), (network, batch, False)):
            model.zero_grad()
            with fused_blocks(fused):
                objective.gradients(model, data, step, nullcontext)
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
            found.append(torch.cat([part.detach().double().flatten() for part in parts]))
        errors = [float((each - found[0]).norm() / found[0].norm()) for each in found[1:]]
        subnet = objective.sampler.visits(step)[0].subnet
        print(f"gradient of {subnet}: {errors[0]:.1e} from float64 compiled, {errors[1]:.1e} with PyTorch's kernels")


class Turns:
    """Mixtures that are read from the files that standard input names; a step lasts from one to the next."""

    identity, loaders, lip_region = {}, 0, "detect"

    def __init__(self, batch: type, seen: list[float]) -> None:
        self.batch_type, self.seen, self.began = batch, seen, 0.0

    def batch(self, step: int) -> object:
        print(json.dumps([time.perf_counter() - self.began, *self.seen[-1:]]), flush=True)
        path = sys.stdin.readline().strip()
        if not path:
            raise KeyboardInterrupt
        made = self.batch_type(*torch.load(path))
        self.began = time.perf_counter()
        return made


def serve(options: dict[str, str]) -> None:
    """Train as the code on the path does it, of today or of commit ee8efb0."""
    from supernet import AVConvTasNet, SearchSpace, training
    from supernet.settings import SupernetSettings

    torch.manual_seed(0)
    network, space = AVConvTasNet(SearchSpace.largest, WIDTH), SearchSpace(WIDTH)
    settings, seen = SupernetSettings(**RECIPE, **options), []
    try:
        from supernet.data.mixing.batches import Batch
        from supernet.recipe import SupernetObjective

        teacher = SupernetObjective.of(space, settings)
        original = SupernetObjective.gradients
        SupernetObjective.gradients = lambda *given: noted(original(*given), lambda figures: figures["si_snr"], seen)
    except ImportError:
        from supernet.data.mixtures import Batch
        from supernet.sampling import sampler_for

        teacher, original = sampler_for(space, settings), training.gradients
        training.gradients = lambda *given: noted(original(*given), lambda quality: quality, seen)
    with suppress(KeyboardInterrupt):
        training.train(network, Turns(Batch, seen), teacher, settings)


def noted(returned, value, seen: list[float]):
    seen.append(float(value(returned)))
    return returned


if __name__ == "__main__":
    main()
