"""Weights on disk: safetensors, never pickle; written beside and renamed, so a kill leaves the old or the new file, and
with a hash of the tensors in the header, so a flipped bit is noticed. Files of former versions, without, are read too.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from msgspec import Meta, Struct, field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from supernet.errors import UserError
from supernet.model import AVConvTasNet
from supernet.space import WIDEST, Subnet
from supernet.storage.files import write_atomically
from supernet.storage.records import convert, decode, sealed
from supernet.timing import SAMPLE_RATE

PLAIN = {"fusion": "add", "dilation": "exponential", "mask_heads": "one"}  # what older files say of every network
AGAIN = "delete it and make it again"


class NetworkHeader(Struct, frozen=True):
    """What a file says of an AVConvTasNet."""

    kind: Literal["network"]
    subnet: str
    width: Annotated[float, Meta(gt=0, le=WIDEST)]
    causal: bool
    norm: Literal["global", "frame"]
    sample_rate: Literal[16000]
    notes: dict[str, Any]
    class_: str = field(name="class", default=AVConvTasNet.__name__)
    variant: dict[str, str] | None = None


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Save tensors with a JSON header, atomically. Raises UserError where they cannot be written, as on a full disk."""
    # A copy of each, since tensors that share memory, as tied weights do, are refused by the format.
    contiguous = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    text = json.dumps(sealed(header | {"tensors": tensors_hash(contiguous)}))
    try:
        write_atomically(path, lambda temporary: save_file(contiguous, temporary, {"header": text}))
    except SafetensorError as error:
        raise UserError(f"{path}: cannot be written ({error}); choose another path or make room") from error


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and header of a file that `write_tensors` made as a `kind`; UserError when it is anything else, or
    was damaged since."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a {kind} made by this program")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("header", "{}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}); {AGAIN}") from error
    header = decode(text, dict[str, Any], f"{path}: its header is damaged", AGAIN)
    if header.get("kind") != kind:
        raise UserError(f"{path}: holds no {kind} of this program (kind: {header.get('kind')})")
    if header.pop("tensors", None) not in (None, tensors_hash(tensors)):
        raise UserError(f"{path}: its weights are damaged (their hash is not the one in its header); {AGAIN}")
    return tensors, header


def tensors_hash(tensors: dict[str, Tensor]) -> str:
    """sha256 of names, types, shapes and bytes; a GB a second."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hashed.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        hashed.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hashed.hexdigest()


def architecture(network: nn.Module) -> dict[str, Any]:
    """How a network is built, as JSON values: what it says of itself, or at least its class."""
    said = getattr(network, "architecture", None)
    return said if isinstance(said, dict) else {"class": type(network).__name__}


def save(network: nn.Module, path: str | Path, dtype: torch.dtype = torch.float32, **notes: Any) -> None:
    """Write a network with all that it says of its `architecture`; an AVConvTasNet is rebuilt from it by `load`.

    Args:
        dtype: of the weights on disk; bfloat16 halves the file. They run in fp32 all the same.
        notes: JSON values kept in the header, such as how it was trained; see `read_notes`.
    """
    header = {"kind": "network", **architecture(network), "sample_rate": SAMPLE_RATE, "notes": notes}
    weights = network.state_dict().items()
    write_tensors(Path(path), {name: w.to(dtype) if w.is_floating_point() else w for name, w in weights}, header)


def load(path: str | Path) -> AVConvTasNet:
    """The network that `save` wrote, ready to run. Raises UserError naming the file when it holds none."""
    tensors, header = read_tensors(Path(path), "network")
    if (kind := header.get("class", AVConvTasNet.__name__)) != AVConvTasNet.__name__:
        raise UserError(f"{path}: holds a network of class {kind}, which only the code that trained it can build")
    if header.get("variant", PLAIN) != PLAIN:
        raise UserError(f"{path}: holds a variant of the network ({header['variant']}); commit ee8efb0 can read it")
    try:
        said = convert(header, NetworkHeader)
        network = AVConvTasNet(Subnet.parse(said.subnet), said.width, said.causal, said.norm)
    except ValueError as error:
        raise UserError(f"{path}: its header is damaged ({error}); {AGAIN}") from error
    fill(network, tensors, path)
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise UserError(f"{path}: holds weights that are NaN or infinite; {AGAIN}")
    network.origin = str(path)
    return network.eval()


def fill(network: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Give a network the weights that were read from `path`. Raises UserError when they are not its own."""
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = f"its weights are damaged, or those of another network ({' '.join(str(error).split())[:200]})"
        raise UserError(f"{path}: {reason}; {AGAIN}") from error


def read_notes(path: str | Path) -> dict[str, Any]:
    """The notes that were saved with a network. Raises UserError naming the file when it holds none."""
    notes = read_tensors(Path(path), "network")[1].get("notes", {})
    if not isinstance(notes, dict):
        raise UserError(f"{path}: its header is damaged (notes must be an object); {AGAIN}")
    return notes


def weights_hash(network: nn.Module) -> str:
    """A short hash of every weight, for the identity of what was computed from them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def identity_hash(identity: dict[str, Any]) -> str:
    """Hash of canonical JSON: equal dictionaries, in whatever order, have equal hashes."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
