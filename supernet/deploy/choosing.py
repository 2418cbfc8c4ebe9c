"""Which form of a network runs, and where: the exported one wherever there is one, PyTorch only where it must."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from supernet.deploy.chunks import Runnable
from supernet.deploy.runtime import Enhancer, Runtime, processors, stated_hash
from supernet.errors import UserError
from supernet.media.opening import check_file

By = Literal["auto", "onnxruntime", "openvino", "torch"]
Device = Literal["auto", "cpu", "cuda"]
INSTALL = "needs PyTorch, which a light install has not; `pip install ofa-avse` brings it"


def opened(path: Path, by: By = "auto", device: Device = "auto", threads: int = 0) -> tuple[Runnable, str]:
    """A network from its file, and by which rule mouths were found for its training.

    Args:
        path: an `.onnx` file that `export` wrote; or a `.safetensors` file, whose `.onnx` beside it is taken where it
            was made of the same weights.
        by: what runs it; `auto` is onnxruntime where there is an ONNX form, else PyTorch.
        device: where PyTorch runs it. `cuda` asks for PyTorch.
        threads: of a runtime; 0 uses all processors.

    Raises UserError naming what is missing.
    """
    if by not in get_args(By):
        raise UserError(f"runtime: must be one of {', '.join(get_args(By))}, but is {by}")
    if device == "cuda" and by in get_args(Runtime):
        raise UserError(f"device: {by} runs on the CPU; leave device out, or use runtime: torch")
    check_file(path)
    exported = path if path.suffix == ".onnx" else path.with_suffix(".onnx")
    wants_torch = by == "torch" or device == "cuda"
    if exported == path and wants_torch:
        raise UserError(f"{path}: is an exported network, which PyTorch does not run; name its .safetensors file")
    if not wants_torch and (exported == path or exported.is_file()):
        enhancer = Enhancer.open(exported, "openvino" if by == "openvino" else "onnxruntime", threads or processors())
        if exported == path or stated_hash(path) == enhancer.about.source:
            return enhancer, enhancer.about.lip_region
        print(f"{exported}: was made of other weights than {path.name}; PyTorch runs these", file=sys.stderr)
    if by in get_args(Runtime):
        raise UserError(f"{path}: has no exported form, as {by} needs it; make one with `ofa-avse export`")
    return _by_torch(path, device)


def _by_torch(path: Path, device: Device) -> tuple[Runnable, str]:
    if not find_spec("torch"):
        raise UserError(f"{path}: {INSTALL}; or give the network as `ofa-avse export` writes it")
    from supernet.checkpoint import load, read_notes
    from supernet.deploy.eager import Eager
    from supernet.devices import device as chosen

    return Eager(load(path).to(chosen(device))), read_notes(path).get("lip_region", "detect")
