"""Whether the GPU computes what the CPU does, and how fast it multiplies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from benchmarks.on_gpu.rows import Rows
from supernet import AVConvTasNet, SearchSpace
from supernet.data.mixing.batches import Batch, TrainingMixtures
from supernet.devices import device
from supernet.recipe import NetworkObjective
from supernet.space import PAPER_WINNER

BAR = 1e-5  # relative, fp32
ALIKE = 0.3  # dB between the ends of two loss curves
RATE_CURVES = 1e-3  # learning rate of the curves


def describe(rows: Rows) -> None:
    rows.add("device", "cores", os.cpu_count() or 1)
    rows.add("device", "torch", torch.__version__)
    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        rows.add("device", "GPU", about.name, "", f"CUDA {torch.version.cuda}, capability {about.major}.{about.minor}")
        rows.add("device", "memory", about.total_memory / 1e9, "GB")
        rows.add("device", "multiprocessors", about.multi_processor_count)
    else:
        rows.add("device", "GPU", "none")


def noise(size: int, seconds: float, dtype: torch.dtype = torch.float32) -> Batch:
    """Clips of noise and of random pictures, for what does not depend on what is heard."""
    frames, generator = round(25 * seconds), torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(2, size, 640 * frames, generator=generator, dtype=torch.float32)
    lips = torch.randint(0, 256, (size, frames, 88, 88), dtype=torch.uint8, generator=generator)
    return Batch(sound.sum(0).to(dtype), sound[0].to(dtype), lips, torch.ones(size, dtype=torch.bool))


def equality(rows: Rows, width: float) -> None:
    """The largest network, forward and gradients, on the CPU in fp64 and fp32 and here in fp32 (no TF32)."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        exact = _pass(width, torch.float64, "cpu")
        cpu, here = _pass(width, torch.float32, "cpu"), _pass(width, torch.float32, device())
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    for name, one, other in (
        (f"{device().type} against cpu", here, cpu),
        (f"{device().type} against fp64", here, exact),
        ("cpu against fp64", cpu, exact),
    ):
        for quantity, a, b in zip(("forward", "gradients"), one, other, strict=True):
            error = float((a - b).norm() / b.norm())
            verdict = f"bar {BAR:g}: {'met' if error <= BAR else 'MISSED'}"
            rows.add("equality", f"{quantity}, {name}", error, "relative", verdict)


def _pass(width: float, dtype: torch.dtype, where: torch.device | str) -> tuple[Tensor, Tensor]:
    """The estimate and all gradients, as vectors in fp64."""
    torch.manual_seed(0)
    network = AVConvTasNet(SearchSpace.largest, width).to(where, dtype)
    batch = noise(2, 0.64, dtype).to(where)
    with torch.no_grad():
        estimate = network(batch.mixture, batch.lips)
    NetworkObjective().gradients(network, batch, 0, nullcontext)
    gradients = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    return estimate.flatten().double().cpu(), gradients.double().cpu()


def curves(rows: Rows, mixtures: TrainingMixtures, width: float, steps: int) -> None:
    """The same training twice, in fp32 and in bf16: means of the last quarter's losses."""
    batches = [mixtures.batch(step).to(device()) for step in range(steps)]
    ends = {}
    for name, autocast in (("fp32", nullcontext), ("bf16", autocasting())):
        torch.manual_seed(0)
        network = AVConvTasNet(PAPER_WINNER, width).to(device()).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE_CURVES, weight_decay=0.0)
        losses = []
        for step, batch in enumerate(batches):
            optimizer.zero_grad()
            losses.append(NetworkObjective().gradients(network, batch, step, autocast)["loss"].float())
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
        values = torch.stack(losses).cpu()
        ends[name] = values[-max(1, steps // 4) :].mean().item()
        rows.add("equality", f"loss, {name}", ends[name], "dB", f"from {values[0]:.2f} dB; end of {steps} steps")
    apart = ends["bf16"] - ends["fp32"]
    verdict = f"bar {ALIKE:g}: {'met' if abs(apart) <= ALIKE else 'MISSED'}"
    rows.add("equality", "loss, bf16 - fp32", apart, "dB", verdict)


def autocasting() -> Callable[[], torch.autocast]:
    return partial(torch.autocast, device().type, torch.bfloat16)


def rate(rows: Rows, side: int) -> float:
    """TFLOP/s of a bf16 matrix product, (side, side) each; printed with the rate of copies."""
    a, b = (torch.randn(side, side, device=device(), dtype=torch.bfloat16) for _ in range(2))
    seconds = timed(lambda _: a @ b, 10)
    found = 2 * side**3 / seconds / 1e12
    rows.add("rate", "bf16 matrix product", found, "TFLOP/s", f"{side} x {side}")
    buffer = torch.empty(side * side * 8, device=device())
    target = torch.empty_like(buffer)
    seconds = timed(lambda _: target.copy_(buffer), 10)
    rows.add("rate", "copy, read and write", 2 * buffer.nbytes / seconds / 1e9, "GB/s")
    return found


def timed(run: Callable[[int], object], steps: int) -> float:
    """Seconds of `run(step)`, the mean of `steps` steps that have all been run before."""
    for step in range(steps):
        run(step)
    synchronize()
    begun = time.perf_counter()
    for step in range(steps):
        run(step)
    synchronize()
    return (time.perf_counter() - begun) / steps


def synchronize() -> None:
    """Wait for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
