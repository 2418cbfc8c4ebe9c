"""The `profile` command: what a network costs, counted and measured here; of an exported one without torch."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from json import dumps
from pathlib import Path

from eval.costs import macs, parameters
from eval.exported import RuntimeCost, measure_exported
from eval.machine import features, processor
from supernet.deploy.choosing import INSTALL, Device
from supernet.deploy.runtime import MOST_THREADS, Enhancer, runtimes
from supernet.errors import UserError
from supernet.space import PAPER_WINNER, SearchSpace, Subnet, channels


@dataclass(frozen=True)
class Profile:
    """What is printed, and with `--json` as one object of these keys."""

    model: str | None
    subnet: str
    width: float
    causal: bool
    parameters: int
    macs: float  # a second of sound, with lips
    macs_without_lips: float
    size_bytes: int | None  # of the file
    seconds: float  # of the clip on which was measured
    threads: int
    processor: str
    features: list[str]
    runtimes: list[RuntimeCost]


def profile(
    model: str | None = None,
    subnet: str | None = None,
    width: float = 1.0,
    causal: bool = False,
    seconds: float = 3.0,
    threads: int = 1,
    device: Device = "auto",
    json: bool = False,
) -> None:
    """Measure a network here, by each runtime that is installed.

    Args:
        model: a network's file, as `export`, `retrain` or `extract` wrote it.
        subnet: or the name of a subnet, `largest`, `smallest` or `paper`, with fresh weights; the paper's winner when
            neither is given.
        width: of a subnet with fresh weights.
        causal: whether that looks ahead.
        seconds: length of the clip.
        threads: while measuring.
        device: of PyTorch: `cpu`, `cuda`, or `auto`, the GPU where there is one.
        json: print one JSON object; see docs/runtime.md.
    """
    if not 0 < seconds <= 600:
        raise UserError(f"seconds: must be above 0 and at most 600, but is {seconds:g}")
    if not 1 <= threads <= MOST_THREADS:
        raise UserError(f"threads: must be from 1 to {MOST_THREADS}, but is {threads}")
    if model is not None and subnet is not None:
        raise UserError("subnet: is that of the model's file; give one of the two")
    if model is not None and Path(model).suffix == ".onnx":
        found = _exported(Path(model), seconds, threads)
    else:
        found = _by_torch(model, subnet, width, causal, seconds, threads, device)
    print(dumps(asdict(found)) if json else _as_text(found))


def _exported(path: Path, seconds: float, threads: int) -> Profile:
    about = Enhancer.open(path).about
    costs = [measure_exported(path, runtime, seconds, threads) for runtime in runtimes()]
    subnet = Subnet.parse(about.subnet)
    return _profile(str(path), subnet, about.width, about.causal, path.stat().st_size, seconds, threads, costs)


def _by_torch(
    model: str | None, subnet: str | None, width: float, causal: bool, seconds: float, threads: int, device: Device
) -> Profile:
    """Of PyTorch itself, and of what it would be exported as."""
    if not find_spec("torch"):
        raise UserError(f"profile: {model or 'a subnet with fresh weights'} {INSTALL}; give an exported network")
    from importlib.metadata import version

    from eval.measure import measure
    from supernet.checkpoint import load
    from supernet.deploy.export import export
    from supernet.devices import described
    from supernet.devices import device as chosen
    from supernet.model import AVConvTasNet

    known = {"largest": SearchSpace.largest, "smallest": SearchSpace.smallest, "paper": PAPER_WINNER}
    on = chosen(device)
    name = subnet or "paper"
    network = load(model) if model else AVConvTasNet(known.get(name) or Subnet.parse(name), width, causal)
    measured = measure(network.to(on), seconds, threads)
    alone = measure(network, seconds, threads, lips=False).latency_ms
    by_torch = f"torch, {described(on)}" if on.type == "cuda" else "torch"
    torch_cost = RuntimeCost(by_torch, version("torch"), measured.latency_ms, alone, measured.rtf, measured.memory_mb)
    costs = [torch_cost]
    with tempfile.TemporaryDirectory() as folder:
        for runtime in runtimes():
            path = Path(folder) / f"{runtime}.onnx"
            export(network, path, form=runtime, lengths=[1])
            costs.append(measure_exported(path, runtime, seconds, threads))
    size = Path(model).stat().st_size if model else None
    return _profile(model, network.subnet, network.width, network.causal, size, seconds, threads, costs)


def _profile(
    model: str | None,
    subnet: Subnet,
    width: float,
    causal: bool,
    size: int | None,
    seconds: float,
    threads: int,
    costs: list[RuntimeCost],
) -> Profile:
    counted = parameters(subnet, width), macs(subnet, width), macs(subnet, width, lips=False)
    here = processor(), features()
    return Profile(model, str(subnet), width, causal, *counted, size, seconds, threads, *here, costs)


def _as_text(found: Profile) -> str:
    shape = channels(Subnet.parse(found.subnet), found.width)
    lines = [
        f"{found.subnet} at width {found.width:g}{', causal' * found.causal}: {shape}",
        f"parameters {found.parameters:,}",
        f"MACs       {found.macs / 1e6:,.1f} M per second of audio with lips, "
        f"{found.macs_without_lips / 1e6:,.1f} M without",
    ]
    if found.size_bytes is not None:
        lines.append(f"file       {found.size_bytes / 1e6:.2f} MB")
    lines.append(f"{found.seconds:g} s of sound, {found.threads} thread{'s' * (found.threads > 1)}:")
    for cost in found.runtimes:
        lines.append(
            f"  {cost.runtime} {cost.version}: latency {cost.latency_ms:.1f} ms, without lips "
            f"{cost.latency_without_lips_ms:.1f} ms, RTF {cost.rtf:.4f}, memory {cost.memory_mb:.1f} MB"
        )
    lines.append(f"measured on {found.processor} ({', '.join(found.features)})")
    return "\n".join(lines)
