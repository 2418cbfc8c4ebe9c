"""The `export` command."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from supernet.deploy.choosing import INSTALL
from supernet.deploy.runtime import Runtime
from supernet.errors import UserError


def export(
    model: str,
    output: str | None = None,
    subnet: str | None = None,
    precision: Literal["fp32", "fp16", "bf16"] = "fp32",
    runtime: Runtime = "onnxruntime",
    licence: str = "",
) -> None:
    """Write a network as ONNX, checked against PyTorch, which it then runs without.

    Args:
        model: a network's file; or the folder of a run, for its winner.
        output: file to write, ending in .onnx; beside the model when not given, where `enhance` finds it.
        subnet: a part of a supernet, by its name, or `largest`, `smallest` or `paper` (the paper's winner).
        precision: of the weights in the file; bf16 and fp16 halve it. They are computed with in fp32.
        runtime: for which the graph is laid out; both read either, but each is faster by its own.
        licence: of the weights, to be kept in the file.
    """
    if not find_spec("torch"):
        raise UserError(f"export: {INSTALL}")
    from supernet.checkpoint import load, read_notes
    from supernet.deploy.export import export as write
    from supernet.extraction import extract
    from supernet.space import PAPER_WINNER, SearchSpace, Subnet

    path = Path(model) / "winner.safetensors" if Path(model).is_dir() else Path(model)
    goal = Path(output) if output else path.with_suffix(".onnx")
    if goal.suffix != ".onnx":
        raise UserError(f"output {goal}: must end in .onnx")
    network, notes = load(path), read_notes(path)
    if subnet is not None:
        known = {"largest": SearchSpace.largest, "smallest": SearchSpace.smallest, "paper": PAPER_WINNER}
        if output is None:
            raise UserError("output: must name a file for a part of a network; give --output FILE.onnx")
        network = extract(network, known.get(subnet) or Subnet.parse(subnet))
    region, quality = notes.get("lip_region", "detect"), notes.get("quality", {})
    about = write(network, goal, precision, runtime, region, quality if subnet is None else {}, licence)
    print(f"{goal}: {about.subnet} at width {about.width:g}, {precision}, {goal.stat().st_size / 1e6:.2f} MB")
