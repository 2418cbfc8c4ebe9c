"""A look at a network while it trains: its SI-SNRi on a few clips after an epoch, in a fiftieth of the time at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from eval.table.scoring import Prepared, validate
from supernet.data.mixing.batches import FixedMixtures
from supernet.model import AVConvTasNet
from supernet.space import PAPER_WINNER, SearchSpace, Subnet

CLIPS = 8
SHARE = 0.02  # of the time since training began
WATCHED = {"largest": SearchSpace.largest, "paper": PAPER_WINNER, "smallest": SearchSpace.smallest}


class Watch:
    """For `after_epoch` of `supernet.training.train`.

    The first epoch is followed by a look in any case; a later one when a look as long as the last keeps to the share.

    Args:
        network: that is training.
        fixed: the list, of which the first clips are taken: its conditions take turns.
        subnets: by name; the network as it is built when not given.
        clock: seconds.
    """

    def __init__(
        self,
        network: AVConvTasNet,
        fixed: FixedMixtures,
        subnets: Mapping[str, Subnet] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.network, self.few, self.clock = network, FixedMixtures(fixed.corpus, fixed.specs[:CLIPS]), clock
        self.subnets = subnets or {"network": network.subnet}
        self.prepared: Prepared | None = None
        self.began, self.spent, self.last = clock(), 0.0, 0.0

    def __call__(self, epoch: int) -> dict[str, float]:
        """SI-SNRi in dB, by `validation/<name>`; nothing when it is not the time for a look."""
        began = self.clock()
        if self.spent + self.last > SHARE * (began - self.began):
            return {}
        if self.prepared is None:
            self.prepared = Prepared(self.few, next(self.network.parameters()).device)
        scores = {name: validate(self.network, self.prepared, subnet) for name, subnet in self.subnets.items()}
        self.last = self.clock() - began
        self.spent += self.last
        return {f"validation/{name}": score.mean for name, score in scores.items()}
