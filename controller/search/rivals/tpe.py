"""The tree-structured Parzen estimator, by Optuna.

Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization".
"""

from __future__ import annotations

from controller.search.oracle import Oracle
from controller.search.settings import SearchSettings
from supernet.space import AXES, Subnet


def tpe(oracle: Oracle, settings: SearchSettings) -> None:
    """Propose episodes x steps subnets; one that the space or the compute bound forbids is told as failed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=settings.seed))
    for done in range(0, settings.looks, settings.workers):
        trials = [study.ask() for _ in range(min(settings.workers, settings.looks - done))]
        asked = [(trial, _subnet(trial)) for trial in trials]
        valid = [s in oracle.space and settings.may_win(s) for _, s in asked]
        oracle.look([subnet for (_, subnet), fits in zip(asked, valid) if fits])
        for (trial, subnet), fits in zip(asked, valid):
            if fits:
                study.tell(trial, oracle.reward(subnet))
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _subnet(trial) -> Subnet:
    return Subnet(*(options[trial.suggest_int(axis, 0, len(options) - 1)] for axis, options in AXES.items()))
