"""A subnet trained from scratch and tested once: the truth that cheaper scores are held against."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from controller.ladder.evaluation import Evaluation
from eval.table.scoring import Prepared, Scores, validate
from supernet.data.mixing.batches import TrainingMixtures
from supernet.model import AVConvTasNet
from supernet.recipe import NetworkObjective
from supernet.settings import TrainingSettings, training_identity
from supernet.space import SearchSpace, Subnet
from supernet.training import Diverged, choices, train


class StandAlone:
    """Evaluates at the fidelity `retrained`: every subnet for the same steps on the same batches.

    Args:
        build: a subnet as a network of fresh weights, the same for the same seed; can be pickled.
        mixtures: to train on.
        test: the list whose SI-SNRi counts, on the device that trains.
        settings: of the training, its seed among them.
    """

    def __init__(
        self,
        build: Callable[[Subnet], AVConvTasNet],
        mixtures: TrainingMixtures,
        test: Prepared,
        settings: TrainingSettings,
    ) -> None:
        self.build, self.mixtures, self.test = build, mixtures, test
        self.some = build(SearchSpace.smallest)
        self.choices = choices(settings, self.some)
        self.settings = self.choices[0]

    def evaluate(self, subnet: Subnet) -> Evaluation:
        """Train from scratch and test; NaN when training diverges."""
        began = time.perf_counter()
        network = self.build(subnet)
        conditions = tuple(self.test.fixed.conditions)
        try:
            train(network, self.mixtures, NetworkObjective(), self.settings, description=f"train {subnet}")
            scores = validate(network, self.test)
        except Diverged:
            scores = Scores(np.full(len(conditions), np.nan), conditions)
        return Evaluation(
            subnet=subnet,
            fidelity="retrained",
            si_snri=scores.mean,
            standard_error=scores.standard_error,
            clips=len(conditions),
            curve=(),
            seconds=time.perf_counter() - began,
            by_condition=scores.by_condition(),
        )

    def identities(self) -> list[dict[str, Any]]:
        """See `controller.ladder.evaluation.Evaluator`; the seed is among the training settings."""
        given = {
            "fidelity": "retrained",
            "width": self.some.width,
            "causal": self.some.causal,
            "norm": self.some.norm,
            "data": self.mixtures.identity,
            "initial_weights": None,
            **self.test.identity,
        }
        return [{**given, "training": training_identity(asdict(each))} for each in self.choices]
