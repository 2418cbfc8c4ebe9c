"""Evaluation counts every clip and every failure, and asks the network what it should."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from eval.evaluation import evaluate
from eval.evaluation_report import ClipScore, EvaluationReport, Mean
from eval.peers.wiener import Wiener
from supernet.data.mixing.batches import Batch
from supernet.errors import UserError
from supernet.space import PAPER_WINNER

FRAMES = 25


@dataclass(frozen=True)
class Spec:
    target: str
    condition: str
    snr_db: float


class Mixtures:
    """Ten mixtures of a modulated buzz in white noise, with the interface of FixedMixtures; the last reference of
    "babble" is silent."""

    data_hash = "0" * 16

    def __init__(self):
        self.specs = [Spec(f"clip{i}", "coloured" if i < 5 else "babble", -5.0 + i) for i in range(10)]
        time = torch.arange(FRAMES * 640) / 16_000
        buzz = sum(torch.sin(2 * torch.pi * 120 * k * time) / k for k in range(1, 20))
        speech = buzz * torch.sin(2 * torch.pi * 3 * time).clamp(min=0)
        noise = torch.randn(10, FRAMES * 640, generator=torch.Generator().manual_seed(0)) * speech.std()
        self.clean = 0.1 * speech.repeat(10, 1)
        factors = torch.tensor([10 ** (-s.snr_db / 20) for s in self.specs])[:, None]
        self.mixture = self.clean + 0.1 * noise * factors
        self.clean[9] = 0

    def __len__(self):
        return len(self.specs)

    def batch(self, indices, lips="true"):
        index = list(indices)
        marks = {"true": 1, "none": 0, "other": 2, "frozen": 3, "low_resolution": 4}
        seen = torch.full((len(index), FRAMES, 88, 88), marks[lips], dtype=torch.uint8)
        return Batch(self.mixture[index], self.clean[index], seen, torch.full((len(index),), lips != "none"))


@pytest.fixture(scope="module")
def mixtures():
    return Mixtures()


def half_way(mixtures):
    """An oracle that halves the noise where it sees the true lips (1), and leaves the mixture otherwise."""
    cleaned = {tuple(m[:4].tolist()): (m + c) / 2 for m, c in zip(mixtures.mixture, mixtures.clean, strict=True)}

    def network(mixture, lips, subnet=None):
        if lips is None or lips[0, 0, 0, 0] != 1:
            return mixture
        return torch.stack([cleaned[tuple(m[:4].tolist())] for m in mixture])

    return network


@pytest.mark.parametrize("level", [1e-3, 1e-2, 1, 100])
def test_a_network_hears_a_list_at_its_own_level_and_without_offset(mixtures, level):
    def network(mixture, lips, subnet=None):
        level, offset = mixture.std(1, keepdim=True), mixture.mean(1, keepdim=True).abs()
        return mixture * ((level > 0.017) & (level < 0.51) & (offset < 0.06 * level))  # deaf to anything else

    other = Mixtures()
    other.mixture = other.mixture * level + 0.3 * level
    other.clean *= level
    scores = [evaluate(network, m, perceptual=False, lips=("none",)).scores for m in (mixtures, other)]
    gained = [[s.si_snr for s in of if s.signal == "none" and not np.isnan(s.si_snr)] for of in scores]
    assert len(gained[0]) == 9 and np.abs(np.subtract(*gained)).max() < 0.1


def test_each_lips_mode_is_scored_beside_the_noisy_signal(mixtures):
    report = evaluate(half_way(mixtures), mixtures, perceptual=False)
    assert report.clips == 10
    means = {s: report.overall(s).means["si_snri"].value for s in ("noisy", "true", "none", "other")}
    assert means["true"] == pytest.approx(6.0, abs=0.1)
    assert means["noisy"] == means["none"] == means["other"] == 0
    assert report.difference("true", "none").value == pytest.approx(6.0, abs=0.1)


def test_degraded_lips_are_signals_of_their_own(mixtures, tmp_path):
    report = evaluate(half_way(mixtures), mixtures, perceptual=False, lips=("true", "frozen", "low_resolution"))
    assert report.signals == ["noisy", "true", "frozen", "low_resolution"]
    assert report.difference("true", "frozen").value == pytest.approx(6.0, abs=0.1)
    for name in ("frozen lips", "low-res lips"):
        assert report.text().count(name) == 1 + 2 + 4  # overall, by condition, by SNR
    report.save(tmp_path / "report.json")
    assert EvaluationReport.load(tmp_path / "report.json").text() == report.text()


def test_reports_are_joined_and_cut_by_signal(mixtures):
    first = evaluate(half_way(mixtures), mixtures, perceptual=False, lips=("true",))
    second = evaluate(half_way(mixtures), mixtures, perceptual=False, lips=("none", "true"))
    joined = first.joined(second)
    assert joined.signals == ["noisy", "true", "none"] and len(joined.scores) == 30 and joined.clips == 10
    assert repr(joined.only(["noisy", "none", "frozen"]).signals) == "['noisy', 'none']"
    assert repr(joined.only(["noisy", "none", "true"])) == repr(second)


def test_failures_are_counted_in_their_group_and_left_out_of_its_mean(mixtures):
    report = evaluate(half_way(mixtures), mixtures, perceptual=False, lips=("true",))
    groups = {group.name: group for group in report.by_condition() if group.signal == "true"}
    babble, coloured = groups["babble"], groups["coloured"]
    assert (babble.clips, babble.failures) == (5, 1)
    assert (coloured.clips, coloured.failures) == (5, 0)
    assert math.isfinite(babble.means["si_snri"].value)
    assert report.failures == 2  # the silent clip, as the noisy and as the enhanced signal
    assert "2 failures" in report.text()


def test_a_network_that_returns_nan_fails_on_every_clip_and_says_so(mixtures):
    report = evaluate(lambda mixture, lips: mixture * math.nan, mixtures, perceptual=False, lips=("none",))
    assert report.overall("none").failures == 10
    assert math.isnan(report.overall("none").means["si_snri"].value)


def test_input_snr_is_binned_lowest_first(mixtures):
    report = evaluate(half_way(mixtures), mixtures, perceptual=False, lips=("none",))
    groups = [group for group in report.by_snr() if group.signal == "none"]
    assert [(g.name, g.clips) for g in groups] == [
        ("-5 to -2.5 dB", 3),
        ("-2.5 to 0 dB", 2),
        ("0 to 2.5 dB", 3),
        ("2.5 to 5 dB", 2),
    ]


def test_the_subnet_is_passed_on_and_names_the_report(mixtures):
    seen = set()

    def network(mixture, lips, subnet):
        seen.add(subnet)
        return mixture

    report = evaluate(network, mixtures, PAPER_WINNER, perceptual=False, lips=("none",))
    assert seen == {PAPER_WINNER}
    assert report.model == str(PAPER_WINNER)


def test_a_peer_that_takes_only_the_mixture_is_scored_with_perceptual_metrics(mixtures):
    report = evaluate(Wiener(), mixtures)
    assert report.signals == ["noisy", "none"]
    wiener, noisy = report.overall("none"), report.overall("noisy")
    assert report.model == "Wiener filter"
    for metric in ("si_snri", "pesq", "stoi", "estoi"):
        assert math.isfinite(wiener.means[metric].value)
    assert wiener.means["si_snri"].value > 2 > noisy.means["si_snri"].value
    assert wiener.failures == 1
    assert "PESQ" in report.text() and "no lips" in report.text()


def test_a_peer_that_sees_is_shown_the_lips_that_it_names(mixtures):
    class Seeing:
        name, lips, costs = "seeing", ("true", "other"), {"params": 1e6}

        def __call__(self, mixture, lips=None):
            return mixture * (lips is not None)

    report = evaluate(Seeing(), mixtures, perceptual=False)
    assert report.model == "seeing"
    assert report.signals == ["noisy", "true", "other"]
    assert report.overall("true").means["si_snri"].value == pytest.approx(0, abs=1e-3)
    assert evaluate(Seeing(), mixtures, perceptual=False, lips=("true",), model="mine").signals == ["noisy", "true"]


def test_report_survives_the_disk(tmp_path, mixtures):
    report = evaluate(half_way(mixtures), mixtures, perceptual=False)
    report.save(tmp_path / "report.json")
    loaded = EvaluationReport.load(tmp_path / "report.json")
    assert repr(loaded) == repr(report)
    assert loaded.text() == report.text()


@pytest.mark.parametrize("content, message", [(None, "no evaluation there"), ("{", "damaged"), ("{}", "damaged")])
def test_missing_or_damaged_report_is_refused(tmp_path, content, message):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        EvaluationReport.load(path)


def test_standard_error_is_that_of_the_mean():
    mean = Mean.of([1.0, 2.0, 3.0, math.nan])
    assert mean.value == 2
    assert mean.standard_error == pytest.approx(1 / math.sqrt(3))
    assert math.isnan(Mean.of([1.0]).standard_error)


def test_a_metric_that_was_not_asked_for_is_no_failure():
    score = ClipScore("a", "babble", 0.0, "true", 0.0, 1.0, 1.0)
    assert not score.failed
