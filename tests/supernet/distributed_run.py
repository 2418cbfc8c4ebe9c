"""Trains as the arguments say, alone or as one of the processes of `torchrun`. Started by `test_distributed`."""

import sys
from pathlib import Path

import torch

from supernet import AVConvTasNet, SearchSpace
from supernet.data.corpus import Corpus
from supernet.data.mixing.batches import TrainingMixtures
from supernet.data.settings import DataSettings
from supernet.recipe import Sandwich, SupernetObjective
from supernet.settings import TrainingSettings
from supernet.training import train

WIDTH = 1 / 32
SETTINGS = TrainingSettings(
    steps=4, batch_size=4, clip_seconds=0.2, batches_per_epoch=2, checkpoint_every=2, rate_warmup=0, learning_rate=1e-3
)


class Stopped(TrainingMixtures):
    """Breaks off at step 3, as a kill would."""

    def batch(self, step):
        if step == 3:
            raise KeyboardInterrupt
        return super().batch(step)


def fresh() -> AVConvTasNet:
    torch.manual_seed(0)
    network = AVConvTasNet(SearchSpace.largest, WIDTH)
    torch.nn.init.normal_(network.separator.mask.weight, std=0.1)  # fresh networks return the mixture
    return network


def trained(corpus: Path, folder: Path | None, kind: type[TrainingMixtures] = TrainingMixtures) -> AVConvTasNet:
    network = fresh()
    mixtures = kind(Corpus.open(corpus), DataSettings(), SETTINGS.batch_size, SETTINGS.clip_seconds, 0.3, seed=3)
    train(network, mixtures, SupernetObjective(Sandwich(SearchSpace(WIDTH))), SETTINGS, folder)
    return network


if __name__ == "__main__":
    torch.set_num_threads(1)
    for folder in sys.argv[2:]:
        trained(Path(sys.argv[1]), Path(folder))
