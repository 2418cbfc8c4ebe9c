"""All settings of a run as one typed tree; a YAML file in `configs/` or `--any.field value` fills it.

Read by `controller.cli`, which builds the command line from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from controller.search.settings import SearchSettings
from eval.table.fill import ScoringSettings
from supernet.data.settings import DataSettings, whole_frames
from supernet.errors import UserError
from supernet.model import AVConvTasNet
from supernet.settings import DELETED as SUPERNET_DELETED
from supernet.settings import SupernetSettings, TrainingSettings
from supernet.space import SearchSpace, Subnet
from supernet.tracking import TrackingSettings

_PPO = {"ppo": {"network": "lstm", "epsilon_in_ratio": True}}
DELETED = {"supernet": SUPERNET_DELETED, "search": {"masked": True, **_PPO, "surrogate": _PPO}}  # as a run kept them


@dataclass(frozen=True)
class NetworkSettings:
    """Which networks the space is made of.

    Args:
        width: scales bottleneck, hidden and visual channels; 1 is the paper's, 1/8 (0.125) trains on two cores.
        causal: no look-ahead, for streaming.
        norm: `global` over the clip or `frame` by frame; `auto` is frame when causal, else global.
    """

    width: float = 1.0
    causal: bool = False
    norm: Literal["auto", "global", "frame"] = "auto"

    def __post_init__(self) -> None:
        SearchSpace(self.width)  # raises for a width that splits a channel
        if self.causal and self.norm == "global":
            raise UserError("network.norm: 'global' looks at the whole clip and cannot be causal; use frame")

    def fresh(self, subnet: Subnet, seed: int, kind: type[AVConvTasNet] = AVConvTasNet) -> AVConvTasNet:
        """A network with fresh weights, the same for the same seed."""
        norm = None if self.norm == "auto" else self.norm
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return kind(subnet, self.width, self.causal, norm)


@dataclass(frozen=True)
class TruthSettings:
    """What `truth` measures.

    Args:
        seeds: stand-alone trainings of each of the 48 subnets.
        finetune_seeds: fine-tunings: the first of all 324, the others of the 48.
        longer: how many times the steps of a stand-alone training the 48 are also trained, to see what is left.
        longer_seeds: trainings of that length.
        workers: processes, among which the threads are divided; changes no result but the last bits.
    """

    seeds: int = 2
    finetune_seeds: int = 2
    longer: int = 4
    longer_seeds: int = 1
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("seeds", "finetune_seeds", "longer", "longer_seeds", "workers"):
            if getattr(self, name) < 1:
                raise UserError(f"truth.{name}: must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Settings:
    """A run: one folder, one corpus, one supernet.

    Args:
        run: folder of everything that the run writes; a command started again there goes on where it stopped.
        seed: of the supernet's initial weights.
        threads: CPU threads; 0 uses all cores.
        minutes: what each stage takes on two cores, for the time left that quickstart shows.
        data: the corpus.
        network: the networks.
        supernet: training of the supernet.
        finetune: training of each subnet that the search looks at, from shared weights.
        retrain: training of the final subnet from scratch.
        scoring: the quality table.
        search: the controller.
        truth: which subnets are trained alone to check the scores.
        tracking: wandb.
    """

    run: str = "runs/default"
    seed: int = 0
    threads: int = 0
    minutes: dict[str, float] = field(default_factory=dict)
    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    supernet: SupernetSettings = field(default_factory=SupernetSettings)
    finetune: TrainingSettings = field(default_factory=TrainingSettings)
    retrain: TrainingSettings = field(default_factory=TrainingSettings)
    scoring: ScoringSettings = field(default_factory=ScoringSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    truth: TruthSettings = field(default_factory=TruthSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    def __post_init__(self) -> None:
        if self.seed < 0 or self.threads < 0:
            raise UserError(f"seed, threads: must not be negative, but are {self.seed} and {self.threads}")
        for name in ("supernet", "finetune", "retrain"):
            whole_frames(getattr(self, name).clip_seconds, f"{name}.clip_seconds")
        if self.finetune.steps % self.finetune.batches_per_epoch:
            raise UserError(
                f"finetune.steps: {self.finetune.steps} is no whole number of epochs of finetune.batches_per_epoch "
                f"({self.finetune.batches_per_epoch}); set it to ten times that"
            )

    @property
    def folder(self) -> Path:
        return Path(self.run)
