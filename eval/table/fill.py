"""Makes the quality table of all 324 subnets: scores with shared weights, exact costs, costs measured here, and PESQ,
STOI and ESTOI where they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm import tqdm

from eval.costs import macs, parameters
from eval.evaluation import perceptual_scores
from eval.machine import fingerprint
from eval.measure import measure
from eval.table import clips
from eval.table.clips import ByClip
from eval.table.quality_table import QualityTable
from eval.table.rows import QualityHeader, QualityRow
from eval.table.scoring import Prepared, Scores, score_all
from eval.version import METRIC_VERSION
from supernet.checkpoint import weights_hash
from supernet.errors import UserError
from supernet.extraction import extract
from supernet.model import AVConvTasNet
from supernet.settings import Precision, chosen_precision, training_identity
from supernet.space import PAPER_WINNER, SearchSpace, Subnet

AT_ONCE = 8  # subnets whose PESQ a kill can cost


@dataclass(frozen=True)
class ScoringSettings:
    """How the quality table is made.

    Args:
        perceptual: for which subnets PESQ, STOI and ESTOI are computed: `none`, the `pareto` set in parameters with
            largest, smallest and the paper's winner, or `all` (some minutes).
        seconds: length of the clip on which latency is measured.
        repeats: timed runs of each subnet, of which the median counts.
        threads: threads while measuring.
        precision: in which SI-SNRi is computed: `32-true`, or `bf16-mixed` where there is a GPU; `auto` chooses by the
            device. `benchmarks/scoring_precision.py` says how much they differ.
    """

    perceptual: Literal["none", "pareto", "all"] = "pareto"
    seconds: float = 1.0
    repeats: int = 3
    threads: int = 1
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        for name in ("repeats", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"scoring.{name}: must be at least 1, but is {getattr(self, name)}")
        if not 0 < self.seconds < 60:
            raise UserError(f"scoring.seconds: must lie between 0 and 60, but is {self.seconds:g}")


def tabulate(supernet: AVConvTasNet, prepared: Prepared, settings: ScoringSettings, path: Path) -> QualityTable:
    """Write the table of `supernet` to `path`, with costs measured here; one that belongs to the same inputs is kept.

    A killed run goes on from `<path>.partial`, where each pass of the supernet leaves its scores, and from the table
    itself, which is written before PESQ, STOI and ESTOI and again after every few subnets of them.
    """
    timed = {"machine": fingerprint(settings.threads), "threads": settings.threads, "seconds": settings.seconds}
    precision = chosen_precision(settings.precision, next(supernet.parameters()).is_cuda)
    table = shared_table(supernet, prepared, {}, path, settings, precision=precision, **timed)
    missing = sorted(_perceptual_subnets(table, settings) - _computed(table))
    for some in (missing[i : i + AT_ONCE] for i in range(0, len(missing), AT_ONCE)):
        means = _perceptual_means(supernet, prepared, some)
        rows = [replace(row, **means.get(row.subnet, {})) for row in table.rows]
        table = QualityTable(table.header, rows, path)
        table.save(path)
    return table


def shared_table(
    supernet: AVConvTasNet,
    prepared: Prepared,
    training: dict[str, Any],
    path: Path,
    measured: ScoringSettings | None = None,
    **header: Any,
) -> QualityTable:
    """Scores of all 324 with their exact costs, written to `path`, and by clip beside it; a table there of the same
    inputs is kept.

    Args:
        training: settings under which the supernet was trained, with `auto` resolved.
        measured: how latency and memory are measured; not at all without.
        header: further fields of the table's header.
    """
    made = QualityHeader(
        fidelity="shared",
        clips=len(prepared.fixed),
        width=supernet.width,
        causal=supernet.causal,
        norm=supernet.norm,
        data_hash=prepared.fixed.data_hash,
        weights_hash=weights_hash(supernet),
        training=training_identity(training),
        metric_version=METRIC_VERSION,
        **header,
    )
    there = QualityTable.load(path) if path.is_file() else None
    kept = there if there and there.header == made else None
    if kept and clips.beside(path).is_file():
        return kept
    partial = path.with_name(path.name + ".partial")
    bf16 = made.precision == "bf16-mixed"
    scores = dict(score_all(supernet, prepared, SearchSpace(supernet.width), partial, bf16))
    clips.write(clips.beside(path), made, ByClip.of({subnet: score.si_snri for subnet, score in scores.items()}))
    if kept:  # of a former version, which left no scores by clip
        return QualityTable.load(path)
    rows = [_row(subnet, score, supernet.width) for subnet, score in scores.items()]
    if measured:
        rows = [
            _timed(row, supernet, measured) for row in tqdm(rows, "latency and memory", unit="subnet", mininterval=1)
        ]
    table = QualityTable(made, rows, path)
    table.save(path)
    return table


def _timed(row: QualityRow, supernet: AVConvTasNet, settings: ScoringSettings) -> QualityRow:
    network = extract(supernet, row.subnet).cpu()
    costs = measure(network, settings.seconds, settings.threads, settings.repeats)
    return replace(row, rtf=costs.rtf, latency_ms=costs.latency_ms, memory_mb=costs.memory_mb)


def _row(subnet: Subnet, scores: Scores, width: float) -> QualityRow:
    return QualityRow(
        subnet=subnet,
        params=parameters(subnet, width),
        macs=macs(subnet, width),
        si_snri=scores.mean,
        si_snri_se=scores.standard_error,
        by_condition=scores.by_condition(),
    )


@torch.inference_mode()
def _perceptual_means(
    supernet: AVConvTasNet, prepared: Prepared, subnets: list[Subnet]
) -> dict[Subnet, dict[str, Any]]:
    """Mean PESQ, STOI and ESTOI of each subnet over the clips where they are defined, and how many are not."""
    pairs = []
    for subnet in subnets:
        for batch, features in zip(prepared.batches, prepared.features(supernet), strict=True):
            (estimates,) = supernet.estimates(batch.mixture, features, subnet, (subnet.repeats,))
            pairs += list(zip(estimates.cpu().numpy(), batch.clean.cpu().numpy(), strict=True))
    scores = np.array(perceptual_scores(pairs)).reshape(len(subnets), -1, 3)  # (subnets, clips, metrics)
    means: dict[Subnet, dict[str, Any]] = {}
    for subnet, values in zip(subnets, scores, strict=True):
        means[subnet] = dict(zip(("pesq", "stoi", "estoi"), np.nanmean(values, axis=0).tolist(), strict=True))
        means[subnet]["failures"] = int(np.isnan(values).any(axis=1).sum())
    return means


def _perceptual_subnets(table: QualityTable, settings: ScoringSettings) -> set[Subnet]:
    if settings.perceptual == "none":
        return set()
    if settings.perceptual == "all":
        return {row.subnet for row in table.rows}
    return {row.subnet for row in table.pareto("params")} | {SearchSpace.largest, SearchSpace.smallest, PAPER_WINNER}


def _computed(table: QualityTable) -> set[Subnet]:
    return {row.subnet for row in table.rows if row.pesq == row.pesq}  # NaN differs from itself
