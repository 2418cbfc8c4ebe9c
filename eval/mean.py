"""A mean with its standard error."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mean:
    """A mean over clips or subnets, or a fitted coefficient, in the unit of what was averaged."""

    value: float  # NaN where nothing is defined
    standard_error: float  # NaN under two
    count: int  # of what stands behind it

    @classmethod
    def of(cls, values: Iterable[float]) -> Mean:
        """Over those that are not NaN."""
        defined = np.array([value for value in values if not math.isnan(value)])
        count = len(defined)
        return cls(
            value=float(defined.mean()) if count else math.nan,
            standard_error=float(defined.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan,
            count=count,
        )

    def __str__(self) -> str:
        return f"{self.value:.2f} +- {self.standard_error:.2f}"
