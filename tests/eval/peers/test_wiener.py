"""The Wiener filter does what it can: it helps against stationary noise, and breaks on nothing."""

import numpy as np
import pytest
import torch

from eval.metrics import si_snr_improvement
from eval.peers.peer import Peer
from eval.peers.wiener import Wiener

SAMPLES = 48_000


def harmonics_in_syllables() -> torch.Tensor:
    """Speech-like: (4, samples)."""
    time = torch.arange(SAMPLES) / 16_000
    clips = []
    for pitch in (95, 120, 180, 220):
        syllables = torch.sin(2 * torch.pi * (2 + pitch / 100) * time).clamp(min=0)
        clips.append(syllables * sum(torch.sin(2 * torch.pi * pitch * k * time) / k for k in range(1, 20)))
    return torch.stack(clips)


def test_it_is_a_peer():
    assert isinstance(Wiener(), Peer)


def test_it_gains_decibels_on_stationary_noise():
    clean = harmonics_in_syllables()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    mixture = clean + noise * (clean.std() / noise.std())
    assert si_snr_improvement(Wiener()(mixture), mixture, clean).mean() > 4


def test_it_treats_each_clip_of_a_batch_alone_and_at_any_scale():
    mixture = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 6400), dtype=np.float32))
    torch.testing.assert_close(Wiener()(mixture)[1:], Wiener()(mixture[1:]))
    torch.testing.assert_close(Wiener()(0.01 * mixture), 0.01 * Wiener()(mixture), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("samples", [1, 100, 640, 16_001])
def test_it_takes_silence_of_any_length(samples):
    assert torch.equal(Wiener()(torch.zeros(1, samples), None), torch.zeros(1, samples))
