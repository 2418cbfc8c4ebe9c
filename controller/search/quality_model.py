"""SI-SNRi of all 324 subnets, inferred from the few that were evaluated: a Gaussian process, and expected improvement.
It knows quality alone: what a subnet costs is known exactly, and is added to the inferred quality by the reward itself.

Source: Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", chapters 2 and 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from math import exp, isnan, pi, sqrt

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from controller.search.oracle import Oracle
from controller.search.settings import SearchSettings
from supernet.space import AXES, SearchSpace, Subnet

LEVEL = 3.0  # dB by which the mean over all subnets may be off
SLOPE = 0.5  # by which a dB of prior may be off from a dB of quality
# What is not known beforehand is averaged over, each value weighted by how well it explains the evaluations:
SMOOTH = (0.05, 0.15, 0.5, 1.5)  # dB by which quality bends over the space
ROUGH = (0.02, 0.06, 0.2)  # dB by which neighbours differ for no reason that the axes know
LENGTHS = (0.5, 1.0, 2.0)  # of a bend; an axis has length 1
NEGLIGIBLE = 1e-3  # share of the likeliest below which a combination is left out


class QualityModel:
    """A Gaussian process over the axes, scaled to [0, 1], with a linear trend and a nugget for each subnet.

    Args:
        space: whose subnets are modelled, in its order.
        prior: SI-SNRi in dB to start from, of every subnet; None starts from a constant.
    """

    def __init__(self, space: SearchSpace, prior: Mapping[Subnet, float] | None = None) -> None:
        self.index = {subnet: i for i, subnet in enumerate(space)}
        positions = np.array([[AXES[axis].index(getattr(s, axis)) for axis in AXES] for s in space], float)
        positions = positions / positions.max(0) - 0.5  # (subnets, axes)
        self.mean = np.zeros(len(space)) if prior is None else np.array([prior[subnet] for subnet in space])
        shift = self.mean - self.mean.mean()
        certain = LEVEL**2 + SLOPE**2 * np.outer(shift, shift)
        linear = positions @ positions.T
        squares = np.square(positions[:, None] - positions[None]).sum(-1)
        self.kernels = [
            (certain + smooth**2 * (linear + np.exp(-squares / (2 * length**2))), rough**2)
            for smooth, length, rough in product(SMOOTH, LENGTHS, ROUGH)
        ]

    def posterior(self, known: Mapping[Subnet, float]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (subnets,) in dB of what an evaluation of each subnet would say.

        Args:
            known: SI-SNRi in dB of the subnets evaluated, at least one.
        """
        seen = np.array([self.index[subnet] for subnet in known])
        surprise = np.array(list(known.values())) - self.mean[seen]
        level = surprise.mean()
        surprise = surprise - level
        fits = []
        for kernel, rough in self.kernels:
            factor = cho_factor(kernel[np.ix_(seen, seen)] + rough * np.eye(len(seen)), lower=True)
            weights = cho_solve(factor, surprise)
            evidence = -0.5 * surprise @ weights - np.log(np.diag(factor[0])).sum()
            fits.append((evidence, factor, weights))
        evidences = np.array([fit[0] for fit in fits])
        shares = np.exp(evidences - evidences.max())
        shares[shares < NEGLIGIBLE] = 0.0
        shares /= shares.sum()

        mean, square = np.zeros(len(self.mean)), np.zeros(len(self.mean))
        for share, (kernel, rough), (_, factor, weights) in zip(shares, self.kernels, fits, strict=True):
            if share:
                cross = kernel[:, seen]  # (subnets, seen)
                here = cross @ weights
                variance = np.diag(kernel) + rough - np.einsum("ij,ji->i", cross, cho_solve(factor, cross.T))
                mean += share * here
                square += share * (variance + here**2)
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
        mean += self.mean + level
        mean[seen], deviation[seen] = list(known.values()), 0.0
        return mean, deviation


def known_qualities(oracle: Oracle) -> dict[Subnet, float]:
    """SI-SNRi in dB of the subnets evaluated; where every training failed, the 0 dB that the reward takes it for."""
    known = {s: evaluation.si_snri for s, evaluation in oracle.evaluations.items() if not isnan(evaluation.si_snri)}
    return known or {oracle.space.largest: 0.0}


def propose(
    oracle: Oracle, settings: SearchSettings, model: QualityModel, candidates: Iterable[Subnet]
) -> list[Subnet]:
    """The candidates, one a worker, from which most improvement of the reward is expected; none was evaluated before.

    Each is chosen as if those before it had turned out as expected, so that a round's proposals differ.
    """
    known = known_qualities(oracle)
    eligible = [subnet for subnet in known if settings.may_win(subnet)] or list(known)
    best = max(oracle.reward(subnet) for subnet in eligible)
    left = [subnet for subnet in candidates if subnet not in oracle.evaluations and settings.may_win(subnet)]
    chosen: list[Subnet] = []
    while left and len(chosen) < settings.workers:
        mean, deviation = model.posterior(known)

        def gain(subnet: Subnet) -> tuple[float, float]:
            index = model.index[subnet]
            return expected_improvement(oracle, subnet, mean[index], deviation[index], best)

        chosen.append(max(left, key=gain))
        left.remove(chosen[-1])
        known[chosen[-1]] = mean[model.index[chosen[-1]]]
    return chosen


def expected_improvement(
    oracle: Oracle, subnet: Subnet, mean: float, deviation: float, best: float
) -> tuple[float, float]:
    """By how much the reward of `subnet` is expected to exceed `best`, and its mean, which decides between equals.

    The reward is a line in SI-SNRi, so a normal SI-SNRi (mean, deviation in dB) makes a normal reward.
    """
    expected = oracle.reward_at(subnet, mean)
    spread = oracle.reward_at(subnet, mean + deviation) - expected
    z = (expected - best) / spread
    density = exp(-z * z / 2) / sqrt(2 * pi)
    return (expected - best) * float(ndtr(z)) + spread * density, expected
