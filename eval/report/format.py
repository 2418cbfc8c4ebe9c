"""Figures as a reader wants them: counts with k, M, G; a mean with its standard error; times in words."""

from __future__ import annotations

import math

from eval.mean import Mean

UNDEFINED = "n/a"  # a figure that was computed and has no value, unlike a missing one


def count(value: float) -> str:
    """46 100 -> "46.1 k", 2 895 000 -> "2.9 M"."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def number(value: float, digits: int) -> str:
    """`value`, or an em dash where it was not computed."""
    return "—" if math.isnan(value) else f"{value:.{digits}f}"


def decibels(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.2f} dB"


def score(value: Mean, unit: str = "", digits: int = 2) -> str:
    """Mean ± standard error; the error is left out where one clip gives none."""
    if math.isnan(value.value):
        return UNDEFINED
    error = "" if math.isnan(value.standard_error) else f" ± {value.standard_error:.{digits}f}"
    return f"{value.value:.{digits}f}{error}{unit}"


def duration(seconds: float) -> str:
    """75 -> "1 min 15 s"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
