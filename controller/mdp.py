"""The search as a Markov decision process: a Gymnasium environment that walks the search space one option at a time.

Called by `controller.search`. It knows no network: quality and parameters of a subnet come from two functions.

Source: section 3.2 of "Efficient Audio-Visual Speech Enhancement via Neural Architecture Search".
"""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any, Literal

import gymnasium
import numpy as np

from controller.reward import RewardSettings, resolve, reward_of
from supernet.space import AXES, SearchSpace, Subnet

State = Literal["paper", "full"]
ACTIONS = tuple((axis, direction) for axis in AXES for direction in (1, -1))  # eq. 2: increase, decrease, per axis
PAPER_AXES = ("encoder", "bottleneck", "repeats", "blocks", "expansion")  # eq. 1, in its order; V is not among them


def action_name(action: int) -> str:
    """The action in words: `blocks down`."""
    axis, direction = ACTIONS[action]
    return f"{axis} {'up' if direction > 0 else 'down'}"


def moves(space: SearchSpace, subnet: Subnet, bound: bool = True) -> list[Subnet | None]:
    """Where each of the 12 actions leads from `subnet`; None where it is invalid.

    An action is invalid when it leaves the space and, with `bound`, when it enters or worsens a violation of
    repeats x blocks <= 24. A subnet outside the bound may move sideways or back in.
    """
    reached = [space.step(subnet, axis, direction) for axis, direction in ACTIONS]
    if not bound:
        return reached
    return [to if to and (space.within_bound(to) or to.depth <= subnet.depth) else None for to in reached]


class ArchitectureEnv(gymnasium.Env):
    """Episodes of a few steps through the 324 subnets; `info["action_mask"]` (12,) int8 marks the valid actions.

    An episode starts at `options["start"]` of `reset`, else at the largest subnet, and ends after `steps` actions.
    The reward of a step is that of the architecture after the action. An invalid action stays where it is and costs
    the reward's violation term; a subnet whose quality is NaN (its training failed) counts as 0 dB and costs it too.

    Observations are float32 in [0, 1]: `paper` is eq. 1 literally, (7,): encoder, bottleneck, repeats, blocks,
    expansion, parameters, SI-SNRi; `full` appends visual channels, steps left and the goal (the parameter target).

    Args:
        space: where to walk.
        quality: SI-SNRi of a subnet in dB.
        parameters: parameters of a subnet.
        reward: what is rewarded; values left at None are resolved here (see `controller.reward.resolve`).
        latency_ms: latency of a subnet in ms; only the latency reward asks for it.
        state: `paper` or `full`.
        steps: actions in an episode.
        bound: whether repeats x blocks <= 24 limits the actions.
    """

    def __init__(
        self,
        space: SearchSpace,
        quality: Callable[[Subnet], float],
        parameters: Callable[[Subnet], int],
        reward: RewardSettings | None = None,
        latency_ms: Callable[[Subnet], float] | None = None,
        state: State = "full",
        steps: int = 5,
        bound: bool = True,
    ) -> None:
        self.space, self.quality, self.parameters, self.latency_ms = space, quality, parameters, latency_ms
        self.reward = resolve(reward or RewardSettings(), space, quality, parameters)
        self.state, self.steps, self.bound = state, steps, bound
        self.action_space = gymnasium.spaces.Discrete(len(ACTIONS))
        size = len(PAPER_AXES) + 2 + (3 if state == "full" else 0)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (size,), np.float32)
        self._smallest, self._largest = parameters(space.smallest), parameters(space.largest)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode at `options["start"]` (a Subnet), or at the largest subnet."""
        super().reset(seed=seed)
        self.subnet: Subnet = (options or {}).get("start", self.space.largest)
        self.steps_left = self.steps
        return self._observation(), self._info()

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Take an action. The horizon belongs to the MDP, so its end terminates the episode; nothing truncates it."""
        reached = self.after(action)
        self.subnet = reached or self.subnet
        self.steps_left -= 1
        reward = reward_of(self.reward, self.subnet, self.quality, self.parameters, self.latency_ms, reached is None)
        return self._observation(), reward, self.steps_left == 0, False, self._info()

    def after(self, action: int) -> Subnet | None:
        """The subnet that `action` would lead to, or None when the action is invalid here."""
        return moves(self.space, self.subnet, self.bound)[action]

    def _info(self) -> dict[str, Any]:
        reached = moves(self.space, self.subnet, self.bound)
        return {"action_mask": np.array([to is not None for to in reached], np.int8), "subnet": self.subnet}

    def _observation(self) -> np.ndarray:
        quality = self.quality(self.subnet)
        values = [_position(axis, self.subnet) for axis in PAPER_AXES]
        values += [self._size(self.parameters(self.subnet)), 0.0 if isnan(quality) else quality / self.reward.baseline]
        if self.state == "full":
            values += [_position("visual", self.subnet), self.steps_left / self.steps, self._size(self.reward.target)]
        return np.clip(np.array(values, np.float32), 0.0, 1.0)  # SI-SNRi and the goal may lie outside their range

    def _size(self, parameters: float) -> float:
        """Parameters, min-max scaled over the space; the paper's division by 22 M cancels."""
        return (parameters - self._smallest) / (self._largest - self._smallest)


def _position(axis: str, subnet: Subnet) -> float:
    """The value of an axis, min-max scaled to [0, 1] over its options; the paper's division by 256 cancels."""
    options = AXES[axis]
    return (getattr(subnet, axis) - options[0]) / (options[-1] - options[0])
