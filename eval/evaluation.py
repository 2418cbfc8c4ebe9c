"""What a model is worth on a list of mixtures, by condition and SNR, with lips, without, with another clip's, and with
lips that bad video has degraded. A network and a peer that takes only the mixture go through the same function.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from eval.evaluation_report import NOISY, ClipScore, EvaluationReport
from eval.metrics import si_snr, si_snr_improvement
from eval.peers.peer import Peer
from eval.perceptual import estoi, pesq_wb, stoi
from eval.version import METRIC_VERSION
from supernet.data.mixing.batches import Batch, FixedMixtures
from supernet.deploy.chunks import check_estimate
from supernet.deploy.level import levelled
from supernet.processes import WorkerDied, WorkerPool
from supernet.space import Subnet

BATCH = 8  # clips a forward pass
DIGITS = 6  # kept of PESQ, STOI and ESTOI: the last bits of a matrix product differ from process to process
Pair = tuple[np.ndarray, np.ndarray]  # estimate and clean, (samples,) each


def evaluate(
    network: Callable[..., Tensor] | Peer,
    fixed: FixedMixtures,
    subnet: Subnet | None = None,
    perceptual: bool = True,
    lips: Sequence[str] = (),
    device: torch.device | str = "cpu",
    model: str = "",
) -> EvaluationReport:
    """Score a network, or a peer, on every mixture of a list.

    Args:
        network: (mixture (batch, samples), lips (batch, frames, 88, 88) uint8 or None) -> (batch, samples); called with
            `subnet=` too where that is given.
        fixed: the mixtures.
        subnet: the part of an elastic network to evaluate.
        perceptual: whether PESQ, STOI and ESTOI are wanted beside SI-SNR, from as many processes as there are cores.
        lips: what the model sees, names of `mixing.batches.LIPS`, each a signal of the report; where none is named,
            those of the peer, or true lips, none and another clip's.
        device: where the network is.
        model: the report's title; the peer's or the subnet's name where empty.
    """
    if isinstance(network, Peer):
        lips, model = lips or network.lips, model or network.name
    lips = lips or ("true", "none", "other")
    scores: list[ClipScore] = []
    pairs: list[Pair] = []
    for signal in (NOISY, *lips):
        for indices, batch in _batches(fixed, "none" if signal == NOISY else signal, signal):
            estimate = batch.mixture if signal == NOISY else _enhance(network, batch, subnet, signal, device)
            scores += _score(fixed, indices, batch, estimate, signal)
            pairs += list(zip(estimate.numpy(), batch.clean.numpy(), strict=True))
    if perceptual:
        scores = [
            replace(score, pesq=p, stoi=s, estoi=e)
            for score, (p, s, e) in zip(scores, perceptual_scores(pairs), strict=True)
        ]
    title = model or str(subnet or type(network).__name__)
    return EvaluationReport(title, fixed.data_hash, tuple(scores), METRIC_VERSION)


def perceptual_scores(pairs: Sequence[Pair]) -> list[tuple[float, float, float]]:
    """PESQ, STOI and ESTOI of each (estimate, clean), in worker processes.

    PESQ is C code that has been seen to crash: a process that dies costs its own pair, which scores NaN.
    """
    with WorkerPool(os.cpu_count() or 1) as pool:
        futures = [pool.submit(_perceptual, *pair) for pair in pairs]
        results = []
        for future in tqdm(futures, desc="PESQ, STOI", unit="clip", mininterval=1):
            try:
                results.append(future.result())
            except WorkerDied:
                results.append((np.nan, np.nan, np.nan))
    return results


def _perceptual(estimate: np.ndarray, clean: np.ndarray) -> tuple[float, float, float]:
    quality, intelligibility, extended = (round(metric(estimate, clean), DIGITS) for metric in (pesq_wb, stoi, estoi))
    return quality, intelligibility, extended


def _batches(fixed: FixedMixtures, lips: str, desc: str) -> Iterator[tuple[range, Batch]]:
    with tqdm(total=len(fixed), desc=f"evaluate, {desc}", unit="clip", mininterval=1) as bar:
        for start in range(0, len(fixed), BATCH):
            indices = range(start, min(start + BATCH, len(fixed)))
            yield indices, fixed.batch(indices, lips)
            bar.update(len(indices))


@torch.inference_mode()
def _enhance(
    network: Callable[..., Tensor], batch: Batch, subnet: Subnet | None, lips: str, device: torch.device | str
) -> Tensor:
    """Estimates (batch, samples) on the CPU, heard at the level at which `enhance` lets a network hear."""
    heard, factors = (torch.from_numpy(values) for values in levelled(batch.mixture.numpy()))
    seen = None if lips == "none" else batch.lips.to(device)
    chosen = {} if subnet is None else {"subnet": subnet}
    estimate = network(heard.to(device), seen, **chosen).float().cpu()
    check_estimate(getattr(network, "origin", None), estimate.numpy(), heard.numpy())
    return estimate / factors


def _score(fixed: FixedMixtures, indices: range, batch: Batch, estimate: Tensor, signal: str) -> list[ClipScore]:
    si_snr_in = si_snr(batch.mixture, batch.clean)  # (batch,)
    improvement = si_snr_improvement(estimate, batch.mixture, batch.clean)
    specs = [fixed.specs[index] for index in indices]
    return [
        ClipScore(
            clip=spec.target,
            condition=spec.condition,
            snr_db=spec.snr_db,
            signal=signal,
            si_snr_in=float(before),
            si_snr=float(before + gained),
            si_snri=float(gained),
        )
        for spec, before, gained in zip(specs, si_snr_in, improvement, strict=True)
    ]
