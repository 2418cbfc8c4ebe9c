"""The metrics of speech enhancement, one value a clip, NaN where undefined.

>>> tone = torch.sin(torch.arange(16000) * 0.1)[None]
>>> round(float(si_snr(tone + 0.1 * torch.cos(torch.arange(16000) * 0.1), tone)))
20
"""

from __future__ import annotations

import torch
from torch import Tensor

from eval.perceptual import estoi, pesq_wb, stoi
from supernet.losses import si_snr

__all__ = ["estoi", "pesq_wb", "si_snr", "si_snr_improvement", "stoi"]


def si_snr_improvement(estimate: Tensor, mixture: Tensor, reference: Tensor) -> Tensor:
    """SI-SNRi: SI-SNR of the estimate minus SI-SNR of the mixture, dB.

    Args:
        estimate: (..., samples).
        mixture: (..., samples).
        reference: (..., samples).

    Returns:
        (...), NaN where one of the three is silent (constant) or not finite: the ratio is then undefined.

    Raises:
        ValueError: the shapes differ.
    """
    improvement = si_snr(estimate, reference) - si_snr(mixture, reference)
    audible = [torch.isfinite(s).all(-1) & (s.amax(-1) > s.amin(-1)) for s in (estimate, mixture, reference)]
    return improvement.where(torch.stack(audible).all(0), torch.nan)
