"""A network of PyTorch as an ONNX file that runs without it, checked against it before it is written."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import msgspec
import numpy as np
import onnx
import torch

from supernet.checkpoint import read_tensors
from supernet.deploy.chunks import OVERLAP
from supernet.deploy.eager import Eager
from supernet.deploy.graph import graph
from supernet.deploy.runtime import KEY, About, Enhancer, Runtime, stated_hash
from supernet.errors import UserError
from supernet.model import AVConvTasNet
from supernet.space import PIXELS
from supernet.storage.files import write_atomically
from supernet.storage.records import sealed
from supernet.timing import SAMPLE_RATE, SAMPLES_PER_FRAME

Precision = Literal["fp32", "fp16", "bf16"]
DTYPES: dict[Precision, tuple[torch.dtype, Any]] = {
    "fp32": (torch.float32, np.float32),
    "fp16": (torch.float16, np.float16),
    "bf16": (torch.bfloat16, ml_dtypes.bfloat16),
}
TOLERANCE = 1e-4  # for a signal at full scale
LENGTHS = (
    1,
    3 * OVERLAP,
    8 * OVERLAP,
)  # video frames for which it is checked; the last is what `enhance` takes at a time


def export(
    network: AVConvTasNet,
    path: Path | str,
    precision: Precision = "fp32",
    form: Runtime = "onnxruntime",
    lip_region: str = "detect",
    quality: dict[str, Any] | None = None,
    licence: str = "",
    lengths: Sequence[int] = LENGTHS,
) -> About:
    """Write a network as ONNX: `mixture` (batch, samples) and `lips` uint8 (batch, frames, 88, 88) to `estimate`, for
    any batch and any whole number of video frames; without lips, `lips` has no frames.

    Args:
        precision: of the weights in the file. They are rounded to it, and computed with in fp32.
        form: the runtime for which the graph is laid out; both read either.
        lip_region: by which rule mouths were found for its training.
        quality: JSON values that say how good it is.
        licence: of its weights.
        lengths: video frames for which it is checked.

    Returns what the file says of itself. Raises UserError, and writes nothing, when the graph does not compute what
    PyTorch does with the same weights, to 1e-4 of full scale.
    """
    rounded = copy.deepcopy(network).cpu().eval()
    stored, dtype = DTYPES[precision]
    for tensor in rounded.state_dict().values():
        tensor.copy_(tensor.to(stored))
    weights = {name: tensor.numpy() for name, tensor in rounded.state_dict().items()}
    if not all(np.isfinite(weight).all() for weight in weights.values()):
        raise UserError(f"precision: {precision} cannot hold the weights of this network; use fp32 or bf16")
    body = graph(rounded, weights, np.dtype(dtype), form).SerializeToString()
    about = About(
        kind="exported network",
        subnet=str(network.subnet),
        width=network.width,
        causal=network.causal,
        norm=network.norm,
        sample_rate=SAMPLE_RATE,
        lip_region=lip_region,
        form=form,
        precision=precision,
        quality=quality or {},
        licence=licence,
        source=_source(network),
        version=version("ofa-avse"),
        size=len(body),
        content=hashlib.sha256(body).hexdigest(),
    )

    def write(temporary: Path) -> None:
        temporary.write_bytes(body + _metadata(about))
        _check(rounded, temporary, lengths)

    write_atomically(Path(path), write)
    return about


def _metadata(about: About) -> bytes:
    """What a file says of itself, to be appended to the rest: a message of protobuf goes on where another ends."""
    model = onnx.ModelProto()
    model.metadata_props.add(key=KEY, value=json.dumps(sealed(msgspec.to_builtins(about))))
    return model.SerializeToString()


def _source(network: AVConvTasNet) -> str:
    """The hash of the weights of the file that a network came from; empty where they are not the same any more."""
    if network.origin is None or not Path(network.origin).is_file():
        return ""
    there, here = read_tensors(Path(network.origin), "network")[0], network.state_dict()
    same = there.keys() == here.keys() and all(torch.equal(there[name].to(here[name]), here[name]) for name in there)
    return stated_hash(Path(network.origin)) if same else ""


def _check(network: AVConvTasNet, path: Path, lengths: Sequence[int]) -> None:
    """Raise UserError where the file does not compute what the network does.

    By onnxruntime: a process in which OpenVINO has run may break off when it forks, as PyTorch's loaders do.
    """
    exported, eager = Enhancer.open(path), Eager(network)
    generator = np.random.default_rng(0)
    for frames in lengths:
        mixture = generator.uniform(-1, 1, frames * SAMPLES_PER_FRAME).astype(np.float32)
        for lips in (generator.integers(0, 256, (frames, PIXELS, PIXELS), np.uint8), None):
            apart = float(np.abs(exported.estimate(mixture, lips) - eager.estimate(mixture, lips)).max())
            if not apart <= TOLERANCE:
                seen = "without lips" if lips is None else "with lips"
                raise UserError(
                    f"export: onnxruntime is {apart:.1e} off PyTorch for {frames} video frames {seen} (at most "
                    f"{TOLERANCE:g}); the file was not written: report this network's weights"
                )
