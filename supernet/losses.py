"""Losses of training. SI-SNR is the one implementation, which `eval.metrics` hands on."""

from __future__ import annotations

import torch
from torch import Tensor


def si_snr(estimate: Tensor, reference: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale-invariant signal-to-noise ratio (zero-mean SI-SDR) in dB.

    With both signals freed of their mean, s the reference and e the estimate:
    target = (<e, s> / |s|^2) s,  SI-SNR = 10 log10(|target|^2 / |e - target|^2).

    Finite with a finite gradient for every finite input: a silent estimate or reference scores -80 dB, the floor that
    `eps` sets, never 0 dB as with `eps` in both terms of the ratio.

    Args:
        estimate: (..., samples), any scale and offset.
        reference: (..., samples), same shape as `estimate`.
        eps: guards the divisions and sets the floor, 10 log10(eps).

    Returns:
        (...), dB, at least fp32.

    Raises:
        ValueError: the shapes differ.

    Source: Luo and Mesgarani, "Conv-TasNet", IEEE TASLP 2019, eq. 15; Le Roux et al., "SDR - half-baked or well
    done?", ICASSP 2019.
    """
    if estimate.shape != reference.shape:
        raise ValueError(f"estimate {tuple(estimate.shape)} and reference {tuple(reference.shape)} differ in shape")
    precision = torch.promote_types(estimate.dtype, torch.float32)  # energies overflow fp16 and blur in bf16
    estimate, reference = estimate.to(precision), reference.to(precision)
    estimate = estimate - estimate.mean(-1, keepdim=True)
    reference = reference - reference.mean(-1, keepdim=True)
    gain = (estimate * reference).sum(-1, keepdim=True) / (reference.square().sum(-1, keepdim=True) + eps)
    target = gain * reference
    ratio = target.square().sum(-1) / ((estimate - target).square().sum(-1) + eps)
    return 10 * torch.log10(ratio + eps)


def agreement(estimate: Tensor, teacher: Tensor, most: float = 20.0) -> Tensor:
    """SI-SNR of an estimate against a teacher's, bounded at `most` dB; for distillation.

    Unbounded, a student equal to its teacher would gain without end by staying so: early in training, when every
    output still is the mixture, that would lock all subnets to the mixture.

    Args:
        estimate: (..., samples).
        teacher: (..., samples), detached.
        most: dB beyond which there is no gradient.

    Returns:
        (...), dB.
    """
    return si_snr(estimate, teacher).clamp(max=most)


def level_error(estimate: Tensor, reference: Tensor) -> Tensor:
    """(gain - 1)^2, where gain is the factor at which the reference is heard in the estimate: <e, s> / |s|^2.

    SI-SNR leaves the level, and even the sign, of the estimate free; an output that is played needs both. A silent
    reference has error 0.

    Args:
        estimate: (..., samples).
        reference: (..., samples).

    Returns:
        (...), no unit.
    """
    energy = reference.square().sum(-1)
    gain = (estimate * reference).sum(-1) / energy.clamp_min(1e-8)
    return torch.where(energy > 0, (gain - 1).square(), 0.0)
