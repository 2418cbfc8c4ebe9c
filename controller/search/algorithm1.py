"""Mode `paper` of the controller: progressive shrinking, the paper's Algorithm 1.

Source: section 3.5 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search".
"""

from __future__ import annotations

import torch

from controller.search.mdp import action_name
from controller.search.oracle import Move, Oracle
from controller.search.ppo import agent, roll_out, update
from controller.search.settings import SearchSettings
from supernet.space import Subnet


def progressive_shrinking(oracle: Oracle, settings: SearchSettings) -> None:
    """Walk from the largest subnet, learn, and start again from the best of the last trajectory.

    With several workers that many episodes start from the same subnet and the best of all their trajectories is next.
    """
    environments = [
        settings.environment(oracle.space, oracle.quality, oracle.reward_at, settings.steps)
        for _ in range(settings.workers)
    ]
    start = oracle.space.largest
    baseline, _ = environments[0].reset(options={"start": start})
    policy, optimiser = agent(torch.from_numpy(baseline), settings.ppo, settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)

    for done in range(0, settings.episodes, settings.workers):
        walking = environments[: settings.episodes - done]
        trajectory: list[Subnet] = []

        def evaluate(step: int, actions: list[int]) -> None:
            # an invalid action, which a mask forbids, stays where it is
            reached = [e.after(action) or e.subnet for e, action in zip(walking, actions, strict=True)]
            walkers = enumerate(zip(reached, actions, strict=True), done + 1)
            oracle.visit([Move(episode, step, subnet, action_name(a)) for episode, (subnet, a) in walkers])
            trajectory.extend(reached)

        options = [{"start": start}] * len(walking)
        rollout = roll_out(policy, walking, settings.ppo, generator, options, evaluate)
        oracle.learned(rollout.actions.numel(), update(policy, optimiser, rollout, settings.ppo))
        start = max((subnet for subnet in trajectory if subnet != start), key=oracle.reward, default=start)
