"""Local search: climb to the best neighbour until none is better, then start elsewhere.

Source: White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search".
"""

from __future__ import annotations

import random

from controller.search.oracle import Oracle
from controller.search.rivals.orders import eligible, look_at
from controller.search.settings import SearchSettings


def local_search(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps subnets: all neighbours of the current one, then those of the best of them, and so on.

    Each climb starts at a random subnet that was not evaluated before.
    """
    draw = random.Random(settings.seed)
    starts = eligible(oracle, settings)
    draw.shuffle(starts)
    looked = 0

    def look(subnets: list) -> None:
        nonlocal looked
        subnets = subnets[: settings.looks - looked]
        looked += len(subnets)
        look_at(oracle, subnets, settings)

    for start in starts:
        if start in oracle.evaluations:
            continue
        look([start])
        here, moved = start, True
        while moved and looked < settings.looks:
            near = [subnet for subnet in oracle.space.neighbours(here) if settings.may_win(subnet)]
            look([subnet for subnet in near if subnet not in oracle.evaluations])
            best = max((subnet for subnet in [here, *near] if subnet in oracle.evaluations), key=oracle.reward)
            here, moved = best, best != here
        if looked >= settings.looks:
            return
