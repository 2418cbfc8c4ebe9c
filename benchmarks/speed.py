"""Three ratios that make one elastic network worth having, each of two things timed in turns in one run.

    .venv/bin/python benchmarks/speed.py --width 0.125 --threads 2

- scoring: all 324 subnets with shared prefixes, over one by one; lip features cached on both sides
- step: a sandwich step (largest, smallest, two random, each with all the exits it has), over a plain step of the
  largest
- slicing: a subnet inside the supernet, over the extracted one
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does

import torch

from supernet import AVConvTasNet, SearchSpace, extract
from supernet.data.mixing.batches import Batch
from supernet.losses import si_snr
from supernet.recipe import NetworkObjective, Sandwich, SupernetObjective
from supernet.space import AXES, PAPER_WINNER, Subnet
from supernet.training import Objective


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--clips", type=int, default=4, help="in the scored list, of --seconds each")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--repeats", type=int, default=5, help="of each timing but scoring's")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = AVConvTasNet(SearchSpace.largest, options.width).eval()
    print(f"width {options.width:g}, {options.threads} threads, torch {torch.__version__}")
    scoring(network, options)
    steps(network, options)
    slicing(network, options)


def clip(batch: int, seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    frames = round(25 * seconds)
    mixture = 0.1 * torch.randn(batch, 640 * frames)
    return mixture, torch.randint(0, 256, (batch, frames, 88, 88), dtype=torch.uint8)


def scoring(network: AVConvTasNet, options: argparse.Namespace) -> None:
    mixture, lips = clip(options.clips, options.seconds)
    space = SearchSpace(options.width)
    with torch.inference_mode():
        features = network.lip_features(lips)

        def score(subnet: Subnet, exits: tuple[int, ...]) -> None:
            for estimate in network.estimates(mixture, features, subnet, exits):
                si_snr(estimate, mixture)

        score(space.largest, AXES["repeats"])
        shared = one_by_one = 0.0
        for deepest in (subnet for subnet in space if subnet.repeats == AXES["repeats"][-1]):  # in turns
            shared += seconds(lambda: score(deepest, AXES["repeats"]))
            for repeats in AXES["repeats"]:
                subnet = Subnet(**{axis: getattr(deepest, axis) for axis in AXES} | {"repeats": repeats})
                one_by_one += seconds(lambda: score(subnet, (repeats,)))
    print(f"scoring all 324: {shared:.1f} s shared, {one_by_one:.1f} s one by one, ratio {shared / one_by_one:.3f}")


def steps(network: AVConvTasNet, options: argparse.Namespace) -> None:
    mixture, lips = clip(16, 1.28)
    batch = Batch(mixture, mixture, lips, torch.ones(16, dtype=torch.bool))
    sandwich, plain = SupernetObjective(Sandwich(SearchSpace(options.width), random=2)), NetworkObjective()

    def step(objective: Objective, number: int) -> Callable[[], None]:
        return lambda: objective.gradients(network, batch, number, nullcontext)

    ratios = [(seconds(step(sandwich, number)), seconds(step(plain, number))) for number in range(options.repeats + 1)]
    ratios = ratios[1:]
    a, b = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"step, 16 clips of 1.28 s: {a:.3f} s sandwich, {b:.3f} s largest, ratio {a / b:.2f}")


def slicing(network: AVConvTasNet, options: argparse.Namespace) -> None:
    mixture, lips = clip(1, 3.0)
    for subnet in (SearchSpace.smallest, PAPER_WINNER):
        small = extract(network, subnet)
        with torch.inference_mode():
            times = [
                (seconds(lambda: network(mixture, lips, subnet)), seconds(lambda: small(mixture, lips)))
                for _ in range(10 * options.repeats + 1)
            ][1:]
        a, b = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"slicing {subnet}: {1e3 * a:.1f} ms inside, {1e3 * b:.1f} ms extracted, ratio {a / b:.3f}")


def seconds(run: Callable[[], None]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
