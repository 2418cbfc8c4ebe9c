"""NSGA-II: evolves the whole front of quality against cost, with pymoo.

Source: Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II".
"""

from __future__ import annotations

from math import isnan

import numpy as np

from controller.search.oracle import Oracle
from controller.search.rivals import look_at
from controller.search.settings import SearchSettings
from supernet.space import AXES, Subnet

POPULATION = 20
WORST = 1e15  # of both, for a training that diverged: beyond whatever a network has
ENCODER, BOTTLENECK, REPEATS = (list(AXES).index(axis) for axis in ("encoder", "bottleneck", "repeats"))


def nsga2(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps subnets, in whole generations.

    Minimised: the negated SI-SNRi, and the cost that the target limits (latency under the latency reward). What the
    space or the compute bound forbids is mended before it is evaluated.
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.core.repair import Repair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    limited = oracle.reward_settings.limited

    class Front(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=len(AXES), n_obj=2, xl=0, xu=[len(options) - 1 for options in AXES.values()])

        def _evaluate(self, x: np.ndarray, out: dict, *args, **kwargs) -> None:
            subnets = [_subnet(row) for row in x]
            look_at(oracle, subnets, settings)
            losses = [(-oracle.quality(subnet), oracle.costs.of(subnet, limited)) for subnet in subnets]
            out["F"] = np.array([(WORST, WORST) if isnan(loss) else (loss, cost) for loss, cost in losses])

    class Mend(Repair):
        def _do(self, problem: Problem, x: np.ndarray, **kwargs) -> np.ndarray:
            x = np.around(x).astype(int)
            x[:, BOTTLENECK] = np.minimum(x[:, BOTTLENECK], x[:, ENCODER])
            while (beyond := np.array([not settings.may_win(_subnet(row)) for row in x])).any():
                x[beyond, REPEATS] -= 1
            return x

    algorithm = NSGA2(pop_size=POPULATION, sampling=IntegerRandomSampling(), repair=Mend())
    minimize(Front(), algorithm, ("n_eval", settings.looks), seed=settings.seed)


def _subnet(row: np.ndarray) -> Subnet:
    return Subnet(*(options[int(index)] for options, index in zip(AXES.values(), row, strict=True)))
