"""Metrics agree with torchmetrics, and say NaN where they are undefined."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from eval.metrics import estoi, pesq_wb, si_snr, si_snr_improvement, stoi

SECOND = 16_000


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Two seconds of a buzz in syllables, (samples,)."""
    time = np.arange(2 * SECOND) / SECOND
    syllables = np.clip(np.sin(2 * np.pi * 3 * time), 0, None)
    return 0.2 * syllables * sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 25))


def noisy(speech: np.ndarray, level: float = 0.05) -> np.ndarray:
    return speech + level * np.random.default_rng(0).standard_normal(len(speech))


@pytest.mark.parametrize("level", [0.001, 0.1, 1.0, 10.0])
def test_si_snr_equals_torchmetrics_with_zero_mean(level):
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(4, SECOND, generator=generator) + 0.1
    estimate = 0.3 * reference + level * torch.randn(4, SECOND, generator=generator) - 0.2
    expected = scale_invariant_signal_distortion_ratio(estimate, reference, zero_mean=True)
    torch.testing.assert_close(si_snr(estimate, reference), expected, atol=1e-3, rtol=0)


def test_si_snr_ignores_scale_and_offset():
    reference, noise = torch.randn(2, 3, SECOND, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimate = reference + 0.1 * noise
    torch.testing.assert_close(si_snr(-7 * estimate + 3, reference - 1), si_snr(estimate, reference))


@pytest.mark.parametrize("silent", ["estimate", "reference", "both"])
def test_si_snr_of_silence_is_the_floor_with_a_finite_gradient(silent):
    signal = torch.randn(1, SECOND, generator=torch.Generator().manual_seed(0))
    estimate = torch.zeros_like(signal) if silent != "reference" else signal.clone()
    reference = torch.zeros_like(signal) if silent != "estimate" else signal
    estimate.requires_grad_()
    value = si_snr(estimate, reference)
    value.sum().backward()
    assert value.item() == pytest.approx(-80)
    assert estimate.grad.isfinite().all()


def test_si_snr_of_a_perfect_estimate_is_finite():
    signal = torch.randn(1, SECOND, generator=torch.Generator().manual_seed(0))
    assert 80 < si_snr(signal, signal).item() < 200


def test_si_snr_of_half_precision_does_not_overflow():
    signal = 100 * torch.randn(1, SECOND, generator=torch.Generator().manual_seed(0))
    noisy_signal = signal + 10 * torch.randn(1, SECOND, generator=torch.Generator().manual_seed(1))
    assert si_snr(noisy_signal.half(), signal.half()).item() == pytest.approx(20, abs=0.2)


def test_improvement_is_the_difference_to_the_mixture():
    clean, noise = torch.randn(2, 3, SECOND, generator=torch.Generator().manual_seed(0))
    improvement = si_snr_improvement(clean + 0.1 * noise, clean + noise, clean)
    torch.testing.assert_close(improvement, torch.full((3,), 20.0), atol=0.3, rtol=0)


@pytest.mark.parametrize("silent", range(3))
def test_improvement_with_a_silent_signal_is_nan_for_that_clip_only(silent):
    signals = list(torch.randn(3, 2, SECOND, generator=torch.Generator().manual_seed(0)))
    signals[silent][0] = 0.5
    assert si_snr_improvement(*signals).isnan().tolist() == [True, False]


def test_improvement_of_a_non_finite_estimate_is_nan():
    estimate, mixture, clean = torch.randn(3, 1, SECOND, generator=torch.Generator().manual_seed(0))
    estimate[0, 5] = torch.inf
    assert si_snr_improvement(estimate, mixture, clean).isnan().all()


@pytest.mark.parametrize("metric", [pesq_wb, stoi, estoi])
class TestPerceptual:
    def test_prefers_less_noise(self, metric, speech):
        assert metric(speech, speech) > metric(noisy(speech, 0.005), speech) > metric(noisy(speech), speech)

    def test_takes_tensors(self, metric, speech):
        estimate, reference = (torch.tensor(s, dtype=torch.float32) for s in (noisy(speech), speech))
        assert metric(estimate, reference) == pytest.approx(metric(noisy(speech), speech), abs=1e-3)

    def test_is_nan_for_a_silent_or_constant_signal(self, metric, speech):
        for silence in (np.zeros_like(speech), np.full_like(speech, 0.1)):
            assert math.isnan(metric(speech, silence))
            assert math.isnan(metric(silence, speech))

    def test_is_nan_for_a_non_finite_estimate(self, metric, speech):
        broken = speech.copy()
        broken[7] = np.nan
        assert math.isnan(metric(broken, speech))

    @pytest.mark.parametrize("samples", [0, 1, 100, 3000])
    def test_is_nan_for_a_short_clip(self, metric, speech, samples):
        assert math.isnan(metric(noisy(speech)[:samples], speech[:samples]))

    def test_refuses_signals_of_different_length(self, metric, speech):
        with pytest.raises(ValueError, match="one length"):
            metric(speech[:-1], speech)

    def test_refuses_a_batch(self, metric, speech):
        with pytest.raises(ValueError, match="samples"):
            metric(speech[None], speech[None])


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_intelligibility_of_too_little_speech_is_nan(metric, speech):
    mostly_silent = np.zeros(2 * SECOND)
    mostly_silent[:3000] = speech[:3000]
    assert math.isnan(metric(noisy(mostly_silent), mostly_silent))
