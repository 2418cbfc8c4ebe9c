"""Regularised evolution: the best of a few living subnets has a child, and the oldest dies.

Source: Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search".
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace

from controller.search.oracle import Oracle
from controller.search.rivals.orders import eligible, look_at
from controller.search.settings import SearchSettings
from supernet.space import AXES, SearchSpace, Subnet

POPULATION = 10
SAMPLE = 3  # from which the parent is the best


def evolution(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps children; a child that was evaluated before joins the population for nothing."""
    draw = random.Random(settings.seed)
    population = deque(draw.sample(eligible(oracle, settings), min(POPULATION, settings.looks)))
    look_at(oracle, list(population), settings)
    for done in range(len(population), settings.looks, settings.workers):
        children = []
        for _ in range(min(settings.workers, settings.looks - done)):
            parent = max(draw.sample(list(population), min(SAMPLE, len(population))), key=oracle.reward)
            children.append(_mutant(oracle.space, parent, settings, draw))
        oracle.look(children)
        for child in children:
            population.append(child)
            population.popleft()


def _mutant(space: SearchSpace, parent: Subnet, settings: SearchSettings, draw: random.Random) -> Subnet:
    """`parent` with another option on one axis."""
    while True:
        axis = draw.choice(list(AXES))
        child = replace(parent, **{axis: draw.choice(AXES[axis])})
        if child != parent and child in space and settings.may_win(child):
            return child
