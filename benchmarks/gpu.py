"""What a GPU makes of the project, in one go and in the minutes that are given, from a small pack of data:

    python benchmarks/gpu.py --minutes 8 --pack PACK --run runs/gpu --out OUT

`ofa-avse data pack --compact PACK` makes the pack. Each part prints its figures and appends them to OUT/gpu.csv (part,
quantity, value, unit, note), so that an interrupted run keeps what it has; what fails is a row with its error.

    device      what is there
    equality    forward pass and gradients in fp32 as on the CPU; loss curves in bf16 as in fp32
    rate        of bf16 matrix products, and of copies
    steps       a training step of the supernet and of a network of its own: time, share of that rate, memory
    compiled    the same by CUDA graphs and torch.compile, in a process of its own that may hang or crash
    loader      the share of the time that training waits for its batches
    scoring     the time of scoring all 324 subnets
    training    the full-width supernet, with the minutes that are left

The training is the project's own (`ofa-avse train`), with checkpoints in --run: the same command goes on from there,
with `--parts training` for nothing else. At the end of each call OUT holds the table of the 324, quality.csv, and the
weights, weights.safetensors in bf16. With --part_mb they come in parts, which are joined and checked by

    cat weights.safetensors.?? > weights.safetensors && sha256sum --check SHA256SUMS

A machine without a network needs the wheels that it lacks: `pip download --dest wheels --no-deps av soundfile
jsonargparse lightning-fabric gymnasium pystoi` (and `pip wheel pesq`) for its Python, carried there with the pack, then
`pip install --no-index --no-deps wheels/*.whl`. With `--device cpu --width 0.03125` and small numbers all of it runs
anywhere.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where nothing of this is installed

from benchmarks.on_gpu import arithmetic, compiled, steps, training
from benchmarks.on_gpu.rows import Rows
from supernet.devices import device
from supernet.errors import UserError

PARTS = ("device", "equality", "rate", "steps", "compiled", "loader", "scoring", "training")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks/gpu.py", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything")
    parser.add_argument("--pack", type=Path, help="a small pack, unpacked into the run's folder")
    parser.add_argument("--corpus", type=Path, help="in place of a pack: a corpus that is there")
    parser.add_argument("--run", type=Path, default=Path("runs/gpu"), help="of the training; a later call goes on")
    parser.add_argument("--out", type=Path, help="for rows, table and weights; the run's folder when not given")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64, 128], help="sizes that are timed")
    parser.add_argument("--batch_size", type=int, default=32, help="of the training")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a clip")
    parser.add_argument("--steps", type=int, default=15, help="that are timed")
    parser.add_argument("--curve_steps", type=int, default=60, help="of the loss curves")
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices that are multiplied")
    parser.add_argument("--loaders", type=int, default=max(1, min(12, (os.cpu_count() or 1) - 2)))
    parser.add_argument("--train_steps", type=int, help="in all; what fits into the first call when not given")
    parser.add_argument("--part_mb", type=float, help="size of the parts of the weights, MB")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument("--compiled_seconds", type=float, default=120.0, help="for the process that compiles, at most")
    parser.add_argument("--rate", type=float, default=0.0, help="TFLOP/s; not measured when given")
    options = parser.parse_args(arguments)
    if not options.pack and not options.corpus:
        parser.error("--pack or --corpus: name one, the data to train with")
    options.out = (options.out or options.run).resolve()
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    ends = time.monotonic() + 60 * options.minutes
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks for one
    rows = Rows(options.out / "gpu.csv")
    try:
        data = training.open_corpus(options.pack, options.corpus, options.run)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    session, chosen = training.Session(data, options), set(options.parts)
    if "device" in chosen:
        with rows.guarded("device"):
            arithmetic.describe(rows)
    if "equality" in chosen:
        with rows.guarded("equality"):
            arithmetic.equality(rows, options.width)
        with rows.guarded("equality"):
            arithmetic.curves(rows, session.mixtures(batch_size=8), options.width, options.curve_steps)
    if "rate" in chosen and not options.rate:
        with rows.guarded("rate"):
            options.rate = arithmetic.rate(rows, options.matrix)
    if "steps" in chosen:
        steps.time_all(rows, options)
    if "compiled" in chosen:
        _compiled(rows, options, ends)
    if "loader" in chosen:
        with rows.guarded("loader"):
            session.time_loader(rows)
    if "scoring" in chosen:
        with rows.guarded("scoring"):
            session.time_scoring(rows)
    if "training" in chosen:
        with rows.guarded("training"):
            session.train(rows, ends)
    rows.add("all", "time", 60 * options.minutes - (ends - time.monotonic()), "s", f"of {60 * options.minutes:g}")
    return 0


def _compiled(rows: Rows, options: argparse.Namespace, ends: float) -> None:
    """In another process: what crashes there, or compiles for too long, costs this one nothing but the time."""
    if device().type == "cpu":
        compiled.time_all(rows, options)
        return
    keys = ("width", "batches", "seconds", "steps", "backend", "rate", "out")
    values = {key: getattr(options, key) for key in keys}
    command = [sys.executable, "-m", "benchmarks.on_gpu.compiled"]
    for key, value in values.items():
        command += [f"--{key}", *map(str, value if isinstance(value, list) else [value])]
    process = subprocess.Popen(command, start_new_session=True, cwd=Path(__file__).resolve().parents[1])
    try:
        code = process.wait(min(options.compiled_seconds, max(1.0, ends - time.monotonic())))
        if code:
            rows.add("compiled", "error", "", "", f"the process ended with code {code}")
    except subprocess.TimeoutExpired:
        rows.add("compiled", "error", "", "", f"stopped after {options.compiled_seconds:g} s")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started to compile
        process.wait()


if __name__ == "__main__":
    torch.set_float32_matmul_precision("highest")
    sys.exit(main())
