"""Gathers what a run has found into the content of its page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from controller.run import stages
from controller.run.config import Settings
from controller.run.confirmation import candidates, found
from controller.search.loop import RESULT
from eval.evaluation_report import EvaluationReport, Group, Mean
from eval.metrics import si_snr
from eval.report.content import (
    EvaluationRow,
    ExampleClip,
    FidelityRow,
    Missing,
    ReportContent,
    Score,
    SearchRow,
    Winner,
)
from eval.report.front import write_front
from eval.report.page import write_page
from supernet.checkpoint import load
from supernet.data.mixing.batches import FixedMixtures
from supernet.errors import UserError
from supernet.files import read_json
from supernet.space import Subnet

STAGE_TIMES = "stage_seconds.json"
PAGE = "report.html"
FRONT = "front.png"
UNSEEN = {
    "synthetic": "Voices, faces, noises and sentences of the test list are unseen in training.",
    "grid": "The test list holds unseen clips of the test speaker; its noises and competing speakers are unseen too.",
}
UNSEEN_ELSEWHERE = "Speakers, noises and recorded mixtures of the test list are unseen in training."
SYSTEMS = {"noisy": "noisy", "true": "winner, true lips", "none": "winner, no lips", "other": "winner, another's lips"}


def write_report(settings: Settings) -> Path:
    """Write the page of a run that has a retrained winner. Raises UserError naming the command for what is missing."""
    winner = found(settings)
    page = settings.folder / PAGE
    write_page(page, content(settings, winner))
    write_front(settings.folder / FRONT, stages.open_table(settings), winner)
    return page


def content(settings: Settings, winner: Subnet) -> ReportContent:
    path = settings.folder / stages.WINNER
    table = stages.open_table(settings)
    row = table[winner]
    outcome = read_json(settings.folder / "search" / RESULT, stages.SEARCH_AGAIN)
    network = load(path)
    if network.subnet != winner:
        raise UserError(f"{path}: holds {network.subnet}, but the winner is {winner}; run `ofa-avse retrain`")
    lists = stages.test_lists(settings)
    seconds = settings.folder / STAGE_TIMES
    return ReportContent(
        title=f"ofa-avse: {settings.run}",
        winner=Winner(
            str(winner),
            row.params,
            row.macs,
            row.rtf,
            _score(stages.evaluate(lists["test"], path, "test").overall("true"), "si_snri"),
            "retrained from scratch",
        ),
        corpus=f"{stages.describe(stages.corpus(settings))}. {UNSEEN.get(settings.data.corpus, UNSEEN_ELSEWHERE)}",
        settings=_settings(settings),
        stage_seconds=read_json(seconds, "delete it") if seconds.is_file() else {},
        machine=table.header.machine,
        table=table,
        search=[_search_row(step) for step in outcome["trajectory"]],
        search_method=outcome["settings"]["method"],
        search_fidelity=outcome["winner"]["fidelity"],
        search_clips=outcome["winner"]["clips"],
        fidelities=[_fidelities(settings, role, subnet) for role, subnet in _roles(settings, winner)],
        evaluation=list(_evaluation(settings, lists, path)),
        examples=list(_examples(lists["test"], path)),
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


def _search_row(step: dict) -> SearchRow:
    si_snri = float("nan") if step["si_snri"] is None else step["si_snri"]
    return SearchRow(step["episode"], step["step"], step["subnet"], step["params"], si_snri, step["reward"])


def _roles(settings: Settings, winner: Subnet) -> Iterator[tuple[str, Subnet]]:
    yield "winner", winner
    for place, subnet in enumerate(candidates(settings), start=1):
        if subnet != winner:
            yield f"no. {place} of the search", subnet
    yield "largest", stages.named("largest")
    yield "smallest", stages.named("smallest")


def _fidelities(settings: Settings, role: str, subnet: Subnet) -> FidelityRow:
    """What the run knows of one subnet on the validation list, at each fidelity."""
    shared = stages.open_table(settings)[subnet]
    clips = stages.open_table(settings).header.clips
    tuned = stages.finetuned(settings, [subnet])[subnet]
    retrained = stages.retrained_score(settings, subnet)
    command = f"ofa-avse retrain --config {settings.folder / 'config.yaml'} --subnet {subnet}"
    return FidelityRow(
        role=role,
        subnet=str(subnet),
        params=shared.params,
        scores={
            "shared": Score(shared.si_snri, shared.si_snri_se, clips),
            "finetuned": Score(tuned.si_snri, tuned.standard_error, tuned.clips),
            "retrained": Score(*retrained) if retrained else Missing(command),
        },
    )


def _evaluation(settings: Settings, lists: dict[str, FixedMixtures], path: Path) -> Iterator[EvaluationRow]:
    """Every system on every condition of the main list."""
    report = stages.evaluate(lists["test"], path, "test")
    for signal in report.signals:
        yield from _rows(report, signal, SYSTEMS[signal])
    yield from _rows(stages.evaluate_wiener(settings, lists["test"], "test"), "none", "Wiener filter")


def _rows(report: EvaluationReport, signal: str, system: str) -> Iterator[EvaluationRow]:
    for group in [*(g for g in report.by_condition() if g.signal == signal), report.overall(signal)]:
        scores = {metric: _score(group, metric) for metric in ("si_snri", "pesq", "stoi", "estoi")}
        yield EvaluationRow(system, group.name, **scores, failures=group.failures)


def _score(group: Group, metric: str) -> Score:
    mean: Mean = group.means[metric]
    return Score(mean.value, mean.standard_error, group.clips)


@torch.inference_mode()
def _examples(fixed: FixedMixtures, path: Path) -> Iterator[ExampleClip]:
    """The first test mixture of each condition, as the winner hears and enhances it."""
    network = load(path)
    for condition in dict.fromkeys(fixed.conditions):
        index = fixed.conditions.index(condition)
        batch = fixed.batch([index])
        enhanced = network(batch.mixture, batch.lips)
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
