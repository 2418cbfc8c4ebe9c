"""Measured costs count what a network really holds and computes."""

import time

import pytest
import torch
from torch import nn

from eval.machine import fingerprint
from eval.measure import LiveTensors, _clock, measure


class Doubling(nn.Module):
    """Holds one weight of 4,000 bytes and makes two tensors of the mixture's size, both alive at once."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))

    def forward(self, mixture, lips):
        doubled = mixture * 2
        return doubled + 1


def test_memory_is_weights_and_tensors_alive_at_once():
    samples_bytes = 4 * 16_000
    measured = measure(Doubling(), seconds=1.0, repeats=1)
    assert measured.memory_mb * 1e6 == 4000 + 2 * samples_bytes


def test_dead_tensors_do_not_count():
    with LiveTensors() as live:
        for _ in range(10):
            torch.ones(1000)
    assert live.peak == 4000
    assert live.live == 0


def test_views_and_in_place_results_count_once():
    with LiveTensors() as live:
        tensor = torch.ones(1000)
        tensor.view(10, 100).add_(1)
    assert live.peak == 4000


def test_latency_is_the_median_time_of_a_clip_and_rtf_its_share_of_the_duration():
    def sleeping(mixture, lips):
        assert mixture.shape == (1, 32_000)
        assert lips.shape == (1, 50, 88, 88) and lips.dtype == torch.uint8
        time.sleep(0.02)
        return mixture

    measured = measure(sleeping, seconds=2.0, repeats=3)
    assert measured.latency_ms >= 20
    assert measured.rtf == pytest.approx(measured.latency_ms / 2000)
    assert measured.seconds == 2.0


def test_threads_are_set_recorded_and_restored():
    before, seen = torch.get_num_threads(), []

    def network(mixture, lips):
        seen.append(torch.get_num_threads())
        return mixture

    measured = measure(network, seconds=0.04, threads=2, repeats=2)
    assert seen == [2, 2, 2]
    assert torch.get_num_threads() == before
    assert measured.machine == fingerprint(2) != fingerprint(1)


def test_a_gpu_is_waited_for_and_named(monkeypatch):
    """On a device that works behind the clock's back: here a network that notes when it was waited for."""
    calls = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda on: calls.append(on.type))
    assert _clock(torch.device("cpu")) > 0 and not calls
    _clock(torch.device("cuda"))
    assert calls == ["cuda"]
    assert fingerprint(1, "GPU X") == f"GPU X, {fingerprint(1)}"
