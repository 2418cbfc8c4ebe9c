"""A stand-in for networks: parameters and quality of the 324 subnets in closed form, instantly.

Run as a script it is a search that a test can kill: `landscape.py FOLDER WORKERS [SECONDS]`.
"""

import math
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from controller.ladder.evaluation import Evaluation
from controller.search.loop import search
from controller.search.reward import Costs, Reward, RewardSettings
from controller.search.settings import SearchSettings
from supernet.space import SearchSpace, Subnet


def parameters(subnet: Subnet) -> int:
    """Roughly a Conv-TasNet's."""
    hidden = int(subnet.expansion * subnet.bottleneck)
    blocks = subnet.depth * (2 * hidden * subnet.bottleneck + 5 * hidden)
    return 2 * subnet.encoder * subnet.bottleneck + blocks + 600 * subnet.visual


def quality(subnet: Subnet) -> float:
    """Concave in size, with a ripple that makes some subnets better than larger ones."""
    size = parameters(subnet) / parameters(SearchSpace.largest)
    return 11.2 + 4 * size**0.15 + 0.3 * math.sin(0.01 * subnet.encoder + 2 * subnet.blocks + 5 * subnet.expansion)


def paper_reward_in(space: SearchSpace, costs: Costs | None = None, **settings: float) -> Reward:
    """The paper's reward over these functions."""
    return Reward.of(RewardSettings(**settings), space, quality, costs or Costs(parameters))


@dataclass
class Landscape:
    """An evaluator that answers from `quality` and remembers what it was asked, in memory and in `log`."""

    seconds: float = 0.0
    log: Path | None = None
    asked: list[Subnet] = field(default_factory=list)

    def evaluate(self, subnet: Subnet) -> Evaluation:
        self.asked.append(subnet)
        if self.log:
            with self.log.open("a") as file:
                file.write(f"{os.getpid()} {subnet}\n")
        time.sleep(self.seconds)
        return Evaluation(subnet, "finetuned", quality(subnet), 0.1, 64, (quality(subnet) - 1, quality(subnet)), 0.0)

    def identities(self) -> list[dict]:
        return [{"fidelity": "finetuned", "seed": 0}]


if __name__ == "__main__":
    folder, workers, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    settings = SearchSettings(mode="paper", episodes=6, workers=workers)
    search(SearchSpace(), Landscape(seconds, folder / "asked.log"), settings, folder, Costs(parameters))
