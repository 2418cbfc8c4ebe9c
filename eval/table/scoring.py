"""SI-SNRi of one network, or of all 324 subnets with shared weights.

Scoring all subnets shares what subnets have in common: the lip trunk runs once for each clip, and one pass at R = 4
yields the R = 2 and R = 3 subnets as its shallow exits, so 324 subnets cost 108 passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from eval.version import METRIC_VERSION
from supernet.checkpoint import identity_hash, weights_hash
from supernet.data.mixing.batches import Batch, FixedMixtures
from supernet.losses import si_snr
from supernet.model import AVConvTasNet
from supernet.processes import in_worker
from supernet.space import AXES, SearchSpace, Subnet
from supernet.storage.journal import Journal

CLIPS_AT_ONCE = 8  # a batch whose activations stay in the processor's cache
CLIPS_AT_ONCE_ON_A_GPU = 32  # as in training
DEEPEST = AXES["repeats"][-1]


@dataclass(frozen=True)
class Passed:
    """A pass of the supernet, a line of the journal."""

    identity: str
    scores: dict[str, list[float]]  # SI-SNRi of each clip, by subnet


@dataclass(frozen=True)
class Scores:
    """SI-SNRi of each clip of a list, dB, with the clip's condition."""

    si_snri: np.ndarray  # (clips,)
    conditions: tuple[str, ...]

    @property
    def mean(self) -> float:
        return float(self.si_snri.mean())

    @property
    def standard_error(self) -> float:
        return standard_error(self.si_snri)

    def by_condition(self) -> dict[str, float]:
        """Mean SI-SNRi of each condition, in the order of the list."""
        kinds = np.array(self.conditions)
        return {kind: float(self.si_snri[kinds == kind].mean()) for kind in dict.fromkeys(self.conditions)}


def standard_error(values: np.ndarray) -> float:
    """Standard error of the mean; 0 for a single value."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


class Prepared:
    """A fixed list as tensors, mixed once."""

    def __init__(self, fixed: FixedMixtures, device: torch.device | str = "cpu") -> None:
        self.fixed = fixed
        at_once = CLIPS_AT_ONCE if torch.device(device).type == "cpu" else CLIPS_AT_ONCE_ON_A_GPU
        chunks = [range(i, min(i + at_once, len(fixed))) for i in range(0, len(fixed), at_once)]
        self.batches: list[Batch] = [fixed.batch(chunk).to(device) for chunk in chunks]
        self.noisy = [si_snr(batch.mixture, batch.clean) for batch in self.batches]

    @property
    def identity(self) -> dict[str, Any]:
        """What scores on this list depend on besides the network."""
        corpus = self.fixed.corpus.hash
        return {"validation": self.fixed.hash, "validation_corpus": corpus, "metric_version": METRIC_VERSION}

    def features(self, network: AVConvTasNet) -> list[Tensor]:
        """Lip features of each batch: the same for every subnet."""
        return [network.lip_features(batch.lips) for batch in self.batches]


@torch.inference_mode()
def validate(network: AVConvTasNet, prepared: Prepared, subnet: Subnet | None = None) -> Scores:
    """SI-SNRi of `network`, as it is built or as one of its subnets, on a prepared list, with lips."""
    subnet = subnet or network.subnet
    values = _exits(network, prepared, prepared.features(network), subnet, (subnet.repeats,))
    return Scores(values[subnet.repeats], tuple(prepared.fixed.conditions))


def score_all(
    network: AVConvTasNet,
    prepared: Prepared,
    space: SearchSpace,
    partial: Path | None = None,
    bf16: bool = False,
) -> Iterator[tuple[Subnet, Scores]]:
    """Score every subnet of `space` with the shared weights of `network`, in the order of the space.

    With `bf16`, the network runs in bfloat16, its weights stay fp32. With `partial`, each pass is appended to that file
    as it ends, and a killed run goes on from there.
    """
    conditions = tuple(prepared.fixed.conditions)
    identity = identity_hash({"weights": weights_hash(network), "bf16": bf16, **prepared.identity})
    journal = Journal(partial) if partial else None
    known = _known(journal, identity) if journal else {}
    passes = [subnet for subnet in space if subnet.repeats == DEEPEST]
    device = next(network.parameters()).device.type
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bf16):
        features = prepared.features(network)
        for deepest in tqdm(passes, desc="scoring", unit="pass", mininterval=1, disable=in_worker()):
            if deepest in known:
                continue
            exits = _exits(network, prepared, features, deepest, AXES["repeats"])
            found = {replace(deepest, repeats=repeats): values for repeats, values in exits.items()}
            if journal:
                scores = {str(subnet): values.tolist() for subnet, values in found.items()}
                journal.append({"identity": identity, "scores": scores})
            known |= found
    for subnet in space:
        yield subnet, Scores(known[subnet], conditions)


def _exits(
    network: AVConvTasNet, prepared: Prepared, features: list[Tensor], subnet: Subnet, exits: tuple[int, ...]
) -> dict[int, np.ndarray]:
    """SI-SNRi of each clip after each exit of one pass: {repeats: (clips,)}."""
    parts: dict[int, list[Tensor]] = {repeats: [] for repeats in exits}
    for batch, noisy, lips in zip(prepared.batches, prepared.noisy, features, strict=True):
        estimates = network.estimates(batch.mixture, lips, subnet, exits)
        for repeats, estimate in zip(exits, estimates, strict=True):
            parts[repeats].append(si_snr(estimate, batch.clean) - noisy)
    return {repeats: torch.cat(values).double().cpu().numpy() for repeats, values in parts.items()}


def _known(journal: Journal, identity: str) -> dict[Subnet, np.ndarray]:
    """Scores of earlier passes with the same weights and list."""
    passes = [line.scores for line in journal.read(Passed) if line.identity == identity]
    return {Subnet.parse(name): np.array(values) for scores in passes for name, values in scores.items()}
