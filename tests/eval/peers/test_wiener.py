"""The classical peers do what they can: they help against stationary noise, and break on nothing."""

import numpy as np
import pytest
import torch

from eval.metrics import si_snr_improvement
from eval.peers.wiener import SpectralSubtraction, Wiener

SAMPLES = 48_000
peers = pytest.mark.parametrize("peer", [Wiener(), SpectralSubtraction()], ids=["wiener", "subtraction"])


def harmonics_in_syllables() -> torch.Tensor:
    """Speech-like: (4, samples)."""
    time = torch.arange(SAMPLES) / 16_000
    clips = []
    for pitch in (95, 120, 180, 220):
        syllables = torch.sin(2 * torch.pi * (2 + pitch / 100) * time).clamp(min=0)
        clips.append(syllables * sum(torch.sin(2 * torch.pi * pitch * k * time) / k for k in range(1, 20)))
    return torch.stack(clips)


@peers
def test_peer_gains_decibels_on_stationary_noise(peer):
    clean = harmonics_in_syllables()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    mixture = clean + noise * (clean.std() / noise.std())
    assert si_snr_improvement(peer(mixture), mixture, clean).mean() > 4


@peers
def test_peer_treats_each_clip_of_a_batch_alone_and_at_any_scale(peer):
    mixture = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 6400), dtype=np.float32))
    torch.testing.assert_close(peer(mixture)[1:], peer(mixture[1:]))
    torch.testing.assert_close(peer(0.01 * mixture), 0.01 * peer(mixture), rtol=1e-3, atol=1e-6)


@peers
@pytest.mark.parametrize("samples", [1, 100, 640, 16_001])
def test_peer_takes_silence_of_any_length(peer, samples):
    assert torch.equal(peer(torch.zeros(1, samples), None), torch.zeros(1, samples))
