"""Rivals that other packages know how to run: NSGA-II by pymoo, the tree-structured Parzen estimator by Optuna."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan

import numpy as np

from controller.search.oracle import Oracle
from controller.search.rivals.orders import look_at
from controller.search.settings import SearchSettings
from supernet.space import AXES, Subnet

POPULATION = 20
WORST = 1e15  # of both, for a training that diverged: beyond whatever a network has
LEAST, MOST = [0] * len(AXES), [len(options) - 1 for options in AXES.values()]  # of an option's place on its axis
ENCODER, BOTTLENECK, REPEATS = (list(AXES).index(axis) for axis in ("encoder", "bottleneck", "repeats"))


def nsga2(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps subnets, in whole generations, and evolve the whole front of quality against cost.

    Minimised: the negated SI-SNRi, and the cost that the target limits (latency under the latency reward). What the
    space or the compute bound forbids is mended before it is evaluated.

    Source: Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II".
    """
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.core.repair import Repair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize

    limited = oracle.reward_at.settings.limited

    class Front(Problem):
        def __init__(self) -> None:
            super().__init__(n_var=len(AXES), n_obj=2, xl=LEAST, xu=MOST)

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


def tpe(oracle: Oracle, settings: SearchSettings) -> None:
    """Propose episodes x steps subnets; one that the space or the compute bound forbids is told as failed.

    Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization".
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=settings.seed))
    for done in range(0, settings.looks, settings.workers):
        trials = [study.ask() for _ in range(min(settings.workers, settings.looks - done))]
        asked = [(trial, _subnet(map(trial.suggest_int, AXES, LEAST, MOST))) for trial in trials]
        valid = [s in oracle.space and settings.may_win(s) for _, s in asked]
        oracle.look([subnet for (_, subnet), fits in zip(asked, valid, strict=True) if fits])
        for (trial, subnet), fits in zip(asked, valid, strict=True):
            if fits:
                study.tell(trial, oracle.reward(subnet))
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _subnet(places: Iterable[int]) -> Subnet:
    return Subnet(*(options[int(place)] for options, place in zip(AXES.values(), places, strict=True)))
