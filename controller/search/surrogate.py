"""Mode `surrogate` of the controller, the default: PPO on a model of quality, and a few real evaluations a round.

Quality alone is modelled (`search.quality_model`); size and latency enter the reward exactly. In each round a fresh
policy learns from virtual episodes on the model, which cost nothing; of the subnets that they lead to, those with the
highest expected improvement are really evaluated, one a worker. Its first episodes look everywhere, its last where the
model promises most; a policy kept over the rounds comes back to where it was.
"""

from __future__ import annotations

import torch

from controller.search.oracle import Oracle
from controller.search.ppo import agent, roll_out, update
from controller.search.quality_model import QualityModel, known_qualities, propose
from controller.search.settings import SearchSettings
from supernet.space import Subnet


def surrogate_search(oracle: Oracle, settings: SearchSettings) -> None:
    """`settings.episodes` rounds of `settings.workers` proposals; ends early when none is left that may win."""
    virtual = settings.surrogate
    model = QualityModel(oracle.space, oracle.shared if settings.prior else None)
    optimistic: dict[Subnet, float] = {}
    environments = [
        settings.environment(oracle.space, optimistic.__getitem__, oracle.reward_at, virtual.steps)
        for _ in range(virtual.episodes)
    ]
    generator = torch.Generator().manual_seed(settings.seed)
    for number in range(settings.episodes):
        mean, deviation = model.posterior(known_qualities(oracle))
        optimistic.update(zip(oracle.space, (mean + virtual.optimism * deviation).tolist(), strict=True))
        baseline, _ = environments[0].reset()
        policy, optimiser = agent(torch.from_numpy(baseline), virtual.ppo, 1000 * settings.seed + number)
        starts = [max(oracle.evaluations, key=oracle.reward), oracle.space.largest]
        options = [{"start": starts[episode % 2]} for episode in range(virtual.episodes)]
        visited: dict[Subnet, None] = {}  # an ordered set

        def note(step: int, actions: list[int]) -> None:
            reached = (environment.after(a) for environment, a in zip(environments, actions, strict=True))
            visited.update(dict.fromkeys(filter(None, reached)))

        for _ in range(virtual.updates):
            rollout = roll_out(policy, environments, virtual.ppo, generator, options, note)
            oracle.learned(rollout.actions.numel(), update(policy, optimiser, rollout, virtual.ppo))
        # the whole space where the walks led to nothing new
        proposals = propose(oracle, settings, model, visited) or propose(oracle, settings, model, oracle.space)
        if not proposals:
            return
        oracle.look(proposals)
