"""That PPO learns: a masked bandit, a chain, and a task of memory, which the LSTM solves and the MLP cannot."""

import gymnasium
import numpy as np
import pytest
import torch
from landscape import paper_reward_in, parameters, quality

from controller.search import ppo
from controller.search.mdp import ArchitectureEnv
from controller.search.ppo import PPOSettings, agent, roll_out, update
from controller.search.reward import Costs
from controller.studies.methods.ablations import AblatedPPO

MASK = np.array([0, 1, 1, 1] + [0] * 8, np.int8)  # of 12 actions 1 to 3 are valid


class Task(gymnasium.Env):
    """A few steps of which `observed` says what is seen and `paid` what an action earns."""

    steps: int

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return self.observed(), {"action_mask": MASK}

    def step(self, action):
        assert MASK[action]
        reward = self.paid(action)
        self.time += 1
        return self.observed(), reward, self.time == self.steps, False, {"action_mask": MASK}


class Bandit(Task):
    """Action 2 pays; the masked action 0 would pay much more."""

    steps = 1

    def observed(self):
        return np.ones(2, np.float32)

    def paid(self, action):
        return {0: 100.0, 2: 1.0}.get(action, 0.0)


class Chain(Task):
    """Action 2 leads along the chain, whose end alone pays well; action 1 pays a little at once and leads back."""

    steps = 5

    def reset(self, **ignored):
        self.place = 0
        return super().reset()

    def observed(self):
        return np.eye(6, dtype=np.float32)[self.place]

    def paid(self, action):
        self.place = self.place + 1 if action == 2 else 0
        return 1.0 if self.place == 5 else 0.02 * (action == 1)


class Memory(Task):
    """The first observation says whether action 1 or 2 will pay in the last step; nothing later does."""

    steps = 3

    def __init__(self, cue):
        self.cue = cue

    def observed(self):
        return np.eye(3, dtype=np.float32)[self.cue if self.time == 0 else 0]

    def paid(self, action):
        return float(self.time == self.steps - 1 and action == self.cue)


def learn(tasks, updates, network="lstm"):
    """Mean return of the greedier policy, without exploration, after some updates."""
    settings = AblatedPPO(learning_rate=5e-3, epsilon=0.1, hidden=16, network=network)
    policy, optimiser = agent(torch.from_numpy(tasks[0].reset()[0]), settings, seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(updates):
        update(policy, optimiser, roll_out(policy, tasks, settings, generator), settings)
    final = roll_out(policy, tasks, PPOSettings(epsilon=0.0), generator)
    return final.rewards.sum(0).mean().item()


def check_bandit():
    assert learn([Bandit() for _ in range(32)], updates=40) > 0.9


def test_a_masked_bandit_is_learned():
    check_bandit()


def test_an_advantage_of_the_wrong_sign_fails_the_bandit(monkeypatch):
    right = ppo.generalized_advantages
    monkeypatch.setattr(ppo, "generalized_advantages", lambda *given: -right(*given))
    with pytest.raises(AssertionError):
        check_bandit()


def test_a_chain_is_learned_to_its_end():
    assert learn([Chain() for _ in range(64)], updates=80) > 0.8


def test_memory_is_learned_by_the_lstm_and_not_by_the_mlp():
    tasks = [Memory(1 + number % 2) for number in range(64)]
    assert learn(tasks, updates=60) > 0.9
    assert learn(tasks, updates=60, network="mlp") < 0.7


@pytest.mark.parametrize("cost", ["params", "macs", "latency_ms"])
def test_one_policy_serves_a_small_and_a_large_budget(space, cost):
    """Trained on both at once, it walks to small subnets under the one and to large ones under the other."""
    macs = lambda subnet: 3.0 * parameters(subnet)  # noqa: E731
    latency = lambda subnet: 0.02 * subnet.depth + parameters(subnet) / 1e6  # noqa: E731
    reward = paper_reward_in(space, Costs(parameters, macs, latency), baseline=1.0, beta=0.3)
    tasks = [ArchitectureEnv(space, lambda subnet: quality(subnet) - 14, reward, steps=8) for _ in range(32)]
    costs = Costs(parameters, macs, latency).known()[cost]
    budgets = [costs(space.smallest) + share * (costs(space.largest) - costs(space.smallest)) for share in (0.05, 0.8)]
    goals = [{"goal": (cost, budgets[number % 2])} for number in range(len(tasks))]
    settings = PPOSettings(learning_rate=1e-2, epsilon=0.1, hidden=32, value_coefficient=0.1)
    policy, optimiser = agent(torch.from_numpy(tasks[0].reset()[0]), settings, seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(25):
        update(policy, optimiser, roll_out(policy, tasks, settings, generator, goals), settings)
    small, large = (np.mean([costs(task.subnet) for task in tasks[which::2]]) for which in (0, 1))
    assert small < 0.4 * large
