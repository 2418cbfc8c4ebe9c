"""Gathers what a run has found into the content of its page."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from controller.ladder.evaluation import Evaluation
from controller.run.config import Settings
from controller.run.confirmation import candidates, check_winner, found
from controller.run.run import Run
from controller.search.document import Step
from eval.evaluation_report import EvaluationReport
from eval.mean import Mean
from eval.metrics import si_snr
from eval.report.content import (
    EvaluationRow,
    ExampleClip,
    FidelityRow,
    Missing,
    ReportContent,
    SearchRow,
    Winner,
)
from eval.report.front import write_front
from eval.report.page import write_page
from supernet.data.mixing.batches import FixedMixtures
from supernet.devices import device
from supernet.space import SearchSpace, Subnet

UNSEEN = {
    "synthetic": "Voices, faces, noises and sentences of the test list are unseen in training.",
    "grid": "The test list holds unseen clips of the test speaker; its noises and competing speakers are unseen too.",
}
UNSEEN_ELSEWHERE = "Speakers, noises and recorded mixtures of the test list are unseen in training."
SYSTEMS = {"noisy": "noisy", "true": "winner, true lips", "none": "winner, no lips", "other": "winner, another's lips"}


def write_report(run: Run) -> Path:
    """Write the page of a run that has a retrained winner. Raises UserError naming the command for what is missing."""
    winner = found(run)
    write_page(run.paths.page, content(run, winner))
    write_front(run.paths.front, run.table, winner)
    return run.paths.page


def content(run: Run, winner: Subnet) -> ReportContent:
    settings, table, row = run.settings, run.table, run.table[winner]
    check_winner(run, winner)
    tested, roles = run.evaluate("test"), _roles(run, winner)
    score, tuned = tested.overall("true").means["si_snri"], run.finetuned(list(roles.values()))
    return ReportContent(
        title=f"ofa-avse: {settings.run}",
        winner=Winner(str(winner), row.params, row.macs, row.rtf, score, "retrained from scratch"),
        corpus=f"{run.corpus.describe()}. {UNSEEN.get(settings.data.corpus, UNSEEN_ELSEWHERE)}",
        settings=_settings(settings),
        stage_seconds=run.stage_seconds,
        machine=table.header.machine,
        table=table,
        **_search(run),
        fidelities=[_fidelities(run, role, tuned[subnet]) for role, subnet in roles.items()],
        evaluation=list(_evaluation(run, tested)),
        examples=list(_examples(run, "test")),
    )


def _settings(settings: Settings) -> dict[str, str]:
    """What a reader needs to judge the figures; the whole tree is in the run's config.yaml."""
    return {
        "width": f"{settings.network.width:g}",
        "causal": "yes" if settings.network.causal else "no",
        "seed": str(settings.seed),
        "SNR": f"{settings.data.snr_min:g} to {settings.data.snr_max:g} dB",
        "supernet steps": str(settings.supernet.steps),
        "fine-tuning steps": str(settings.finetune.steps),
        "retraining steps": str(settings.retrain.steps),
    }


def _search(run: Run) -> dict[str, Any]:
    outcome = run.searched()
    return {
        "search": [_search_row(step) for step in outcome.trajectory],
        "search_method": outcome.settings["method"],
        "search_fidelity": outcome.winner.fidelity,
        "search_clips": outcome.winner.clips,
    }


def _search_row(step: Step) -> SearchRow:
    si_snri = math.nan if step.si_snri is None else step.si_snri
    return SearchRow(step.episode, step.step, step.subnet, step.params, si_snri, step.reward)


def _roles(run: Run, winner: Subnet) -> dict[str, Subnet]:
    places = {f"no. {place} of the search": subnet for place, subnet in enumerate(candidates(run), start=1)}
    others = {place: subnet for place, subnet in places.items() if subnet != winner}
    return {"winner": winner, **others, "largest": SearchSpace.largest, "smallest": SearchSpace.smallest}


def _fidelities(run: Run, role: str, tuned: Evaluation) -> FidelityRow:
    """What the run knows of one subnet on the validation list, at each fidelity."""
    subnet, shared = tuned.subnet, run.table[tuned.subnet]
    retrained = run.retrained(subnet)
    command = f"ofa-avse retrain --config {run.paths.settings} --subnet {subnet}"
    return FidelityRow(
        role=role,
        subnet=str(subnet),
        params=shared.params,
        scores={
            "shared": Mean(shared.si_snri, shared.si_snri_se, run.table.header.clips),
            "finetuned": Mean(tuned.si_snri, tuned.standard_error, tuned.clips),
            "retrained": retrained or Missing(command),
        },
    )


def _evaluation(run: Run, tested: EvaluationReport) -> Iterator[EvaluationRow]:
    """Every system on every condition of the main list."""
    for signal in tested.signals:
        yield from _rows(tested, signal, SYSTEMS[signal])
    yield from _rows(run.evaluate_wiener("test"), "none", "Wiener filter")


def _rows(report: EvaluationReport, signal: str, system: str) -> Iterator[EvaluationRow]:
    for group in [*(g for g in report.by_condition() if g.signal == signal), report.overall(signal)]:
        scores = {metric: group.means[metric] for metric in ("si_snri", "pesq", "stoi", "estoi")}
        yield EvaluationRow(system, group.name, **scores, failures=group.failures)


@torch.inference_mode()
def _examples(run: Run, name: str) -> Iterator[ExampleClip]:
    """The first mixture of each condition of a list, as the winner hears and enhances it."""
    fixed = FixedMixtures(run.corpus, name)
    for condition in dict.fromkeys(fixed.conditions):
        index = fixed.conditions.index(condition)
        batch = fixed.batch([index])
        enhanced = run.winner(batch.mixture.to(device()), batch.lips.to(device())).cpu()
        gain = si_snr(enhanced, batch.clean) - si_snr(batch.mixture, batch.clean)
        spec = fixed.specs[index]
        yield ExampleClip(
            condition=condition,
            clip=spec.target,
            snr_db=spec.snr_db,
            si_snri=gain.item(),
            noisy=batch.mixture[0].numpy(),
            enhanced=enhanced[0].numpy(),
            clean=batch.clean[0].numpy(),
            lips=batch.lips[0].numpy(),
        )
