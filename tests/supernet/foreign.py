"""A network that is none of ours, and a program that trains it, alone or under `torchrun`, until it is killed: a GRU on
log-spectra, without lips, with dropout and running statistics. Started by `test_foreign`.

    python foreign.py <folder> [<another folder> <step at which that training gets SIGKILL>]
"""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from supernet.data.mixing.batches import Batch
from supernet.recipe import NetworkObjective
from supernet.settings import TrainingSettings
from supernet.training import train

SETTINGS = TrainingSettings(
    steps=7, batch_size=4, clip_seconds=0.16, batches_per_epoch=3, checkpoint_every=2, rate_warmup=0
)
SAMPLES = 2560


class SpectralGRU(nn.Module):
    """(batch, samples) -> the same shape: a mask for each bin of the spectrum."""

    def __init__(self, hidden: int = 24, window: int = 256) -> None:
        super().__init__()
        bins = window // 2 + 1
        self.norm = nn.BatchNorm1d(bins)
        self.gru = nn.GRU(bins, hidden, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.mask = nn.Linear(hidden, bins)
        self.register_buffer("window", torch.hann_window(window))

    def forward(self, mixture: Tensor, lips: Tensor | None = None, lips_present: Tensor | None = None) -> Tensor:
        size = len(self.window)
        spectrum = torch.stft(mixture, size, window=self.window, return_complex=True)  # (batch, bins, frames)
        features, _ = self.gru(self.norm(spectrum.abs().clamp_min(1e-4).log()).transpose(1, 2))
        masked = spectrum * torch.sigmoid(self.mask(self.dropout(features))).transpose(1, 2)
        return torch.istft(masked, size, window=self.window, length=mixture.shape[1])


class Tones:
    """Tones in noise, a pure function of the step. The process gets SIGKILL when step `killed_at` is asked for."""

    identity, loaders, lip_region = {"name": "tones"}, 0, "detect"

    def __init__(self, killed_at: int | None = None, part: slice = slice(None)) -> None:
        self.killed_at, self.part = killed_at, part

    def share(self, rank: int, world: int) -> "Tones":
        size = SETTINGS.batch_size // world
        return Tones(self.killed_at, slice(rank * size, (rank + 1) * size))

    def batch(self, step: int) -> Batch:
        if step == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        generator = torch.Generator().manual_seed(step)
        pitch = 200 + 400 * torch.rand(SETTINGS.batch_size, 1, generator=generator)
        clean = 0.3 * torch.sin(6.28 * pitch * torch.arange(SAMPLES) / 16_000)
        noise = 0.2 * torch.randn(SETTINGS.batch_size, SAMPLES, generator=generator)
        lips = torch.zeros(SETTINGS.batch_size, SAMPLES // 640, 88, 88, dtype=torch.uint8)
        whole = clean + noise, clean, lips, torch.zeros(SETTINGS.batch_size, dtype=torch.bool)
        return Batch(*(tensor[self.part] for tensor in whole))


def fresh() -> SpectralGRU:
    torch.manual_seed(0)
    return SpectralGRU()


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, *killed = sys.argv[1:]
    train(fresh(), Tones(), NetworkObjective(), SETTINGS, Path(folder))
    if killed:
        train(fresh(), Tones(killed_at=int(killed[1])), NetworkObjective(), SETTINGS, Path(killed[0]))
