"""The search's evaluation: a subnet cut from the supernet, fine-tuned for ten epochs and validated after each.

Source: Algorithm 1 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search"; of the ways to read
a ten-epoch curve, the mean of its last three epochs ranks subnets best.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from controller.ladder.evaluation import Evaluation
from eval.ranking.extrapolation import AVERAGED
from eval.table.scoring import Prepared, Scores, standard_error, validate
from supernet.checkpoint import weights_hash
from supernet.data.mixing.batches import TrainingMixtures
from supernet.errors import UserError
from supernet.extraction import extract
from supernet.model import AVConvTasNet
from supernet.recipe import NetworkObjective
from supernet.settings import TrainingSettings, training_identity
from supernet.space import Subnet
from supernet.training import Diverged, choices, train


class FineTuning:
    """Evaluates at the fidelity `finetuned`. Every subnet starts at the supernet's weights and sees the same batches.

    Args:
        supernet: trained; stays as it is.
        mixtures: to train on.
        validation: the list whose SI-SNRi counts, on the device that trains.
        settings: whose `steps` are ten epochs of `batches_per_epoch`.
    """

    def __init__(
        self, supernet: AVConvTasNet, mixtures: TrainingMixtures, validation: Prepared, settings: TrainingSettings
    ) -> None:
        if settings.steps % settings.batches_per_epoch:
            raise UserError(
                f"finetune.steps: {settings.steps} is no whole number of epochs of finetune.batches_per_epoch "
                f"({settings.batches_per_epoch}); set it to ten times that"
            )
        self.supernet, self.mixtures, self.validation = supernet, mixtures, validation
        self.choices = choices(settings, supernet)
        self.settings = self.choices[0]

    def evaluate(self, subnet: Subnet) -> Evaluation:
        """Fine-tune a copy of the subnet's weights and validate it after each epoch; NaN when training diverges."""
        began = time.perf_counter()
        network = extract(self.supernet, subnet)
        epochs: list[Scores] = []

        def look(epoch: int) -> dict[str, float]:
            epochs.append(validate(network, self.validation))
            return {"validation/network": epochs[-1].mean}

        try:
            train(
                network,
                self.mixtures,
                NetworkObjective(),
                self.settings,
                description=f"fine-tune {subnet}",
                after_epoch=look,
            )
            by_clip = np.mean([scores.si_snri for scores in epochs[-AVERAGED:]], axis=0)  # (clips,)
        except Diverged:
            by_clip = np.full(len(self.validation.fixed), np.nan)
        return Evaluation(
            subnet=subnet,
            fidelity="finetuned",
            si_snri=float(by_clip.mean()),
            standard_error=standard_error(by_clip),
            clips=len(by_clip),
            curve=tuple(scores.mean for scores in epochs),
            seconds=time.perf_counter() - began,
            by_condition=Scores(by_clip, tuple(self.validation.fixed.conditions)).by_condition(),
        )

    def identities(self) -> list[dict[str, Any]]:
        """See `controller.ladder.evaluation.Evaluator`; the seed is among the training settings."""
        given = {
            "fidelity": "finetuned",
            "width": self.supernet.width,
            "causal": self.supernet.causal,
            "norm": self.supernet.norm,
            "epochs_averaged": AVERAGED,
            "data": self.mixtures.identity,
            "initial_weights": weights_hash(self.supernet),
            **self.validation.identity,
        }
        return [{**given, "training": training_identity(asdict(each), epochs=True)} for each in self.choices]
