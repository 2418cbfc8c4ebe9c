"""How fast exported networks run, on one thread, against torchaudio's ConvTasNet of the same shape: ratios of medians,
all in one run, turn by turn.

    python benchmarks/runtime.py
    python benchmarks/runtime.py --causal
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torchaudio.models import ConvTasNet

from eval.machine import features, processor
from supernet import AVConvTasNet
from supernet.deploy.eager import Eager
from supernet.deploy.export import export
from supernet.deploy.runtime import Enhancer, runtimes
from supernet.space import PAPER_WINNER, Subnet, channels
from supernet.timing import FRAME_RATE, KERNEL, SAMPLES_PER_FRAME


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subnet", type=Subnet.parse, default=PAPER_WINNER)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = AVConvTasNet(options.subnet, options.width, options.causal).eval()
    generator = np.random.default_rng(0)
    frames = round(options.seconds * FRAME_RATE)
    mixture = 0.1 * generator.standard_normal(frames * SAMPLES_PER_FRAME).astype(np.float32)
    lips = generator.integers(0, 256, (frames, 88, 88), np.uint8)
    shape = channels(options.subnet, options.width)
    rival = ConvTasNet(1, KERNEL, shape.encoder, 3, shape.bottleneck, shape.hidden, shape.blocks, shape.repeats).eval()
    runs: dict[str, Callable[[], object]] = {
        "torchaudio ConvTasNet, no lips": partial(torch.inference_mode()(rival), torch.from_numpy(mixture)[None, None]),
        "ours in PyTorch, lips": partial(Eager(network).estimate, mixture, lips),
    }
    with tempfile.TemporaryDirectory() as folder:
        for form in runtimes():
            path = Path(folder) / f"{form}.onnx"
            export(network, path, form=form)
            for runtime in runtimes():
                run = Enhancer.open(path, runtime).estimate
                named = runtime if form == runtime else f"{runtime}, the graph for {form}"
                runs[f"{named}, lips"] = partial(run, mixture, lips)
                if form == runtime:
                    runs[f"{named}, no lips"] = partial(run, mixture, None)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    base = median(next(iter(times.values())))
    print(f"{options.subnet}, width {options.width:g}, {options.seconds:g} s, 1 thread, {processor()}")
    print(f"({', '.join(features())})\n\n| | ms | times as fast |\n|---|---|---|")
    for name, taken in times.items():
        print(f"| {name} | {1e3 * median(taken):.1f} | {base / median(taken):.2f} |")


if __name__ == "__main__":
    main()
