"""Training steps by CUDA graphs and torch.compile. A process of its own: python -m benchmarks.on_gpu.compiled --help"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.on_gpu.rows import Rows
from benchmarks.on_gpu.steps import Step, add, release
from supernet.model import Block

WARM = 3  # steps before a graph is captured
GRAPHS = 64  # that torch.compile may make of a block: of each dilation, with inputs of either type
Variant = tuple[Step, Callable[[int], object]]  # and what is timed in its place


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.on_gpu.compiled", description=__doc__)
    for name in ("width", "seconds", "rate"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--batches", type=int, nargs="+", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    time_all(Rows(options.out / "gpu.csv"), options)


def time_all(rows: Rows, options: argparse.Namespace) -> None:
    """Blocks are compiled by themselves, once for each dilation: the whole network takes minutes, and comes last."""
    torch._dynamo.config.recompile_limit = GRAPHS
    small, middle = options.batches[0], options.batches[len(options.batches) // 2]

    def make(kind: str, size: int, lowered: bool = False, compiled: str = "", graph: bool = False) -> Variant:
        step = Step(kind, options.width, size, options.seconds, lowered, {"capturable": True} if graph else {})
        for block in step.network.modules() if compiled == "blocks" else ():
            if isinstance(block, Block):
                dynamic = True if kind == "supernet" else None
                block.forward = torch.compile(block.forward, backend=options.backend, dynamic=dynamic)
        if compiled == "whole":
            step.module = torch.compile(step.network, backend=options.backend)
        return step, captured(step) if graph else step

    variants = {
        f"single, {small} clips, graph": partial(make, "single", small, graph=True),
        f"single, {middle} clips, graph": partial(make, "single", middle, graph=True),
        f"single, {middle} clips, blocks compiled": partial(make, "single", middle, compiled="blocks"),
        f"single, {small} clips, blocks compiled, graph": partial(make, "single", small, compiled="blocks", graph=True),
        f"single, {middle} clips, bf16 weights, blocks compiled": partial(make, "single", middle, True, "blocks"),
        f"supernet, {middle} clips, blocks compiled": partial(make, "supernet", middle, compiled="blocks"),
        f"single, {middle} clips, compiled": partial(make, "single", middle, compiled="whole"),
    }
    for name, variant in variants.items():
        with rows.guarded("compiled", name):
            step, run = variant()
            add(rows, "compiled", name, step, options, run)
        release()


def captured(step: Step) -> Callable[[int], object]:
    """The step as a CUDA graph: one launch in place of thousands. It always replays the same step.

    Source: "CUDA semantics: CUDA Graphs, whole-network capture" of PyTorch's documentation.
    """
    if not torch.cuda.is_available():
        raise RuntimeError("CUDA graphs need a GPU")
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # what is set up on first use must not be captured
        for number in range(WARM):
            step(number)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(0)
    return lambda number: graph.replay()


if __name__ == "__main__":
    main()
