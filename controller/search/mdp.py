"""The search as a Markov decision process: a Gymnasium environment that walks the search space one option at a time. It
knows no network: quality and parameters of a subnet come from two functions.

Source: section 3.2 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import isnan
from typing import Any, Literal

import gymnasium
import numpy as np

from controller.search.reward import COSTS, Cost, Reward
from supernet.space import AXES, SearchSpace, Subnet

State = Literal["paper", "visual", "full"]
ACTIONS = tuple((axis, direction) for axis in AXES for direction in (1, -1))  # eq. 2: increase, decrease, per axis
PAPER_AXES = ("encoder", "bottleneck", "repeats", "blocks", "expansion")  # eq. 1, in its order; V is not among them
EXTRA = {"paper": 0, "visual": 1, "full": 2 + len(COSTS)}  # entries of each state after those of eq. 1


def action_name(action: int) -> str:
    """The action in words: `blocks down`."""
    axis, direction = ACTIONS[action]
    return f"{axis} {'up' if direction > 0 else 'down'}"


@cache
def moves(space: SearchSpace, subnet: Subnet, bound: bool = True) -> tuple[Subnet | None, ...]:
    """Where each of the 12 actions leads from `subnet`; None where it is invalid.

    An action is invalid when it leaves the space and, with `bound`, when it enters or worsens a violation of
    repeats x blocks <= 24. A subnet outside the bound may move sideways or back in.
    """
    reached = [space.step(subnet, axis, direction) for axis, direction in ACTIONS]
    if not bound:
        return tuple(reached)
    return tuple(to if to and (space.within_bound(to) or to.depth <= subnet.depth) else None for to in reached)


class ArchitectureEnv(gymnasium.Env):
    """Episodes of a few steps through the 324 subnets; `info["action_mask"]` (12,) int8 marks the valid actions.

    An episode starts at `options["start"]` of `reset`, else at the largest subnet, and ends after `steps` actions.
    The reward of a step is that of the architecture after the action. An invalid action stays where it is and costs
    the reward's violation term; a subnet whose quality is NaN (its training failed) counts as 0 dB and costs it too.
    The budget is the reward's cost and target; `options["goal"]`, a pair of them, sets another for one episode, so
    that one policy can learn all budgets.

    Observations are float32 in [0, 1]. `paper` is eq. 1 literally, (7,): encoder, bottleneck, repeats, blocks,
    expansion, parameters, SI-SNRi. `visual`, (8,), appends the visual channels, and `full`, (12,), these, the steps
    left and the goal: for parameters, MACs and latency the budget on the scale of the space, 1 where there is none.

    Args:
        space: where to walk.
        quality: SI-SNRi of a subnet in dB.
        reward: of a subnet; the costs that it knows may be goals.
        state: `paper`, `visual` or `full`.
        steps: actions in an episode.
        bound: whether repeats x blocks <= 24 limits the actions.
    """

    def __init__(
        self,
        space: SearchSpace,
        quality: Callable[[Subnet], float],
        reward: Reward,
        state: State = "full",
        steps: int = 5,
        bound: bool = True,
    ) -> None:
        self.space, self.quality, self.costs = space, quality, reward.costs
        self.reward = self.goal_reward = reward
        self.state, self.steps, self.bound = state, steps, bound
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        size = len(PAPER_AXES) + 2 + EXTRA[state]
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (size,), np.float32)
        self._ranges = {
            cost: (function(space.smallest), function(space.largest)) for cost, function in self.costs.known().items()
        }

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode at `options["start"]` (a Subnet), or at the largest subnet; `options["goal"]` is a cost
        and its target, as ("macs", 30e6)."""
        super().reset(seed=seed)
        options = options or {}
        self.subnet: Subnet = options.get("start", self.space.largest)
        self.goal_reward = self.reward.aimed(*options["goal"]) if "goal" in options else self.reward
        self.steps_left = self.steps
        return self._observation(), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Take an action. The horizon belongs to the MDP, so its end terminates the episode; nothing truncates it."""
        reached = self.after(action)
        self.subnet = reached or self.subnet
        self.steps_left -= 1
        reward = self.goal_reward(self.subnet, self.quality(self.subnet), reached is None)
        return self._observation(), reward, self.steps_left == 0, False, self._info()

    def after(self, action: int) -> Subnet | None:
        """The subnet that `action` would lead to, or None when the action is invalid here."""
        return moves(self.space, self.subnet, self.bound)[action]

    def _info(self) -> dict[str, Any]:
        reached = moves(self.space, self.subnet, self.bound)
        mask = np.array([to is not None for to in reached], np.int8)
        return {"action_mask": mask, "subnet": self.subnet}

    def _observation(self) -> np.ndarray:
        quality = self.quality(self.subnet)
        values = [_position(axis, self.subnet) for axis in PAPER_AXES]
        values.append(self._scaled("params", self.costs.params(self.subnet)))
        values.append(0.0 if isnan(quality) else quality / self.reward.settings.scale[0])
        if self.state != "paper":
            values.append(_position("visual", self.subnet))
        if self.state == "full":
            values += [self.steps_left / self.steps, *map(self._goal, COSTS)]
        return np.clip(np.array(values, np.float32), 0.0, 1.0)  # SI-SNRi and the goal may lie outside their range

    def _goal(self, cost: Cost) -> float:
        goal = self.goal_reward.settings
        limited = goal.kind == "paper" and goal.cost == cost
        return self._scaled(cost, goal.scale[1]) if limited else 1.0

    def _scaled(self, cost: Cost, value: float) -> float:
        """A cost, min-max scaled over the space; the paper's division by 22 M cancels."""
        smallest, largest = self._ranges[cost]
        return (value - smallest) / (largest - smallest)


def _position(axis: str, subnet: Subnet) -> float:
    """The value of an axis, min-max scaled to [0, 1] over its options; the paper's division by 256 cancels."""
    options = AXES[axis]
    return (getattr(subnet, axis) - options[0]) / (options[-1] - options[0])
