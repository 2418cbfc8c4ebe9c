"""The controller's PPO beside an independent one: MaskablePPO of sb3-contrib, on the same environment and tables.

sb3-contrib is no dependency of this project; it goes into a folder of its own:

    .venv/bin/python -m pip install --no-deps --target /tmp/sb3 sb3-contrib stable-baselines3 cloudpickle pandas
    PYTHONPATH=/tmp/sb3 nice -n 19 .venv/bin/python -m controller.studies.methods.ppo_oracle --seeds 10

Two comparisons, both with the settings of the controller's mode `surrogate`:

- one update: both start from the same weights and learn from the same episodes. The weights afterwards must agree,
  or one of the two computes advantages, masked probabilities, losses or gradients in another way.
- learning: each agent takes the same number of steps on the same synthetic tables, a table a seed. Printed: the best
  reward that it came upon, and the mean reward of a step in its last tenth, as what they miss of the optimum in dB of
  SI-SNRi; the mean over seeds and the difference to MaskablePPO of the same seeds, with 95 % bootstrap intervals.

MaskablePPO knows neither an LSTM nor the mixture with uniform exploration: ours is run as the same MLP without mixture,
and then with each. `walk` never learns. Exit code 1 when the updates differ.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import gymnasium
import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv

from controller.search.mdp import ArchitectureEnv
from controller.search.ppo import PPOSettings, Rollout, agent, optimiser_for, roll_out, update
from controller.search.reward import Reward, RewardSettings
from controller.studies.methods.ablations import AblatedPPO, AblatedSearch, MLPPolicy
from controller.studies.methods.landscapes import SYNTHETIC, Landscape, synthetic
from controller.studies.methods.summary import interval
from eval.report import markdown

VIRTUAL = AblatedSearch().surrogate
MLP = AblatedPPO(**{**vars(VIRTUAL.ppo), "network": "mlp", "epsilon": 0.0})  # what MaskablePPO can also be
AGREE = 1e-4  # of weights after one update, a hundredth of what its four steps of AdamW can move one
LSTM = replace(VIRTUAL.ppo, epsilon=0.0)
OURS = {
    "ours, MLP": MLP,
    "ours, LSTM": LSTM,
    "ours, LSTM and mixture": VIRTUAL.ppo,
    "walk": replace(MLP, update_epochs=0),
}
ORACLE = "MaskablePPO"


class Recorded(gymnasium.Wrapper):
    """The environment with its mask as sb3-contrib asks for it, and the rewards of all steps."""

    def __init__(self, environment: gymnasium.Env, rewards: list[float]) -> None:
        super().__init__(environment)
        self.rewards = rewards

    def reset(self, **given):
        observation, self.info = self.env.reset(**given)
        return observation, self.info

    def step(self, action):
        *result, self.info = self.env.step(int(action))
        self.rewards.append(result[1])
        return *result, self.info

    def action_masks(self) -> np.ndarray:
        return self.info["action_mask"].astype(bool)


class Body(BaseFeaturesExtractor):
    """The two layers that actor and critic of `MLPPolicy` share."""

    def __init__(self, space: gymnasium.spaces.Box, hidden: int) -> None:
        super().__init__(space, hidden)
        self.layers = MLPPolicy(space.shape[0], hidden=hidden).body

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return self.layers(observations)


def environments(landscape: Landscape, rewards: list[float]) -> list[gymnasium.Env]:
    def one() -> gymnasium.Env:
        quality, costs = landscape.quality.__getitem__, landscape.costs
        reward = Reward.of(RewardSettings(), landscape.space, quality, costs)
        return Recorded(ArchitectureEnv(landscape.space, quality, reward, steps=VIRTUAL.steps), rewards)

    return [one() for _ in range(VIRTUAL.episodes)]


def oracle(environments: list[gymnasium.Env], settings: PPOSettings, seed: int) -> MaskablePPO:
    """MaskablePPO with our network, optimiser and batches of whole episodes."""
    batch = VIRTUAL.steps * len(environments)
    return MaskablePPO(
        "MlpPolicy",
        DummyVecEnv([lambda environment=environment: environment for environment in environments]),
        learning_rate=settings.learning_rate,
        n_steps=VIRTUAL.steps,
        batch_size=batch,  # all episodes in each optimiser step
        n_epochs=settings.update_epochs,
        gamma=settings.discount,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip,
        normalize_advantage=False,
        ent_coef=settings.entropy_coefficient,
        vf_coef=settings.value_coefficient,
        max_grad_norm=settings.gradient_norm,
        policy_kwargs={
            "features_extractor_class": Body,
            "features_extractor_kwargs": {"hidden": settings.hidden},
            "net_arch": [],
            "ortho_init": False,
            "optimizer_class": torch.optim.AdamW,
            "optimizer_kwargs": {"weight_decay": settings.weight_decay, "eps": 1e-8},
        },
        seed=seed,
        device="cpu",
    )


def one_update(landscape: Landscape, seed: int) -> float:
    """The largest difference of any weight after both have learnt from MaskablePPO's episodes, from its weights."""
    theirs = oracle(environments(landscape, []), MLP, seed)
    ours = MLPPolicy(theirs.observation_space.shape[0], hidden=MLP.hidden)
    pairs = [
        (ours.body, theirs.policy.features_extractor.layers),
        (ours.actor, theirs.policy.action_net),
        (ours.critic, theirs.policy.value_net),
    ]
    for mine, given in pairs:
        mine.load_state_dict(given.state_dict())
    optimiser = optimiser_for(ours, MLP)
    _, callback = theirs._setup_learn(VIRTUAL.steps * VIRTUAL.episodes)
    theirs.collect_rollouts(theirs.env, callback, theirs.rollout_buffer, VIRTUAL.steps)
    kept = theirs.rollout_buffer

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values.copy())

    rollout = Rollout(
        tensor(kept.observations),
        tensor(kept.action_masks).bool().view(VIRTUAL.steps, VIRTUAL.episodes, -1),
        tensor(kept.actions).long().view(VIRTUAL.steps, VIRTUAL.episodes),
        tensor(kept.log_probs),
        tensor(kept.values),
        tensor(kept.rewards),
    )
    theirs.train()
    update(ours, optimiser, rollout, MLP)
    differences = [
        (a - b).abs().max().item()
        for mine, given in pairs
        for a, b in zip(mine.parameters(), given.parameters(), strict=True)
    ]
    return max(differences)


def learn_oracle(landscape: Landscape, updates: int, seed: int) -> list[float]:
    """Rewards of all steps, in order."""
    rewards: list[float] = []
    played = environments(landscape, rewards)
    oracle(played, MLP, seed).learn(updates * VIRTUAL.steps * len(played))
    return rewards


def learn_ours(landscape: Landscape, settings: PPOSettings, updates: int, seed: int) -> list[float]:
    rewards: list[float] = []
    played = environments(landscape, rewards)
    baseline, _ = played[0].reset()
    policy, optimiser = agent(torch.from_numpy(baseline), settings, seed)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        update(policy, optimiser, roll_out(policy, played, settings, generator), settings)
    return rewards


def mean(values: np.ndarray) -> str:
    """Over seeds, with its interval."""
    low, high = interval(values, np.mean)
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--updates", type=int, nargs="+", default=[VIRTUAL.updates, 40], help="lengths of learning")
    parser.add_argument("--tables", nargs="+", choices=SYNTHETIC, default=["noise", "ridges"])
    options = parser.parse_args()
    torch.set_num_threads(1)

    apart = max(one_update(synthetic(table, seed), seed) for table in options.tables for seed in range(options.seeds))
    print(f"one update of {MLP.update_epochs} epochs: weights differ by at most {apart:.1e} (allowed: {AGREE:g})")

    longest = max(options.updates)
    agents: dict[str, Callable[[Landscape, int], list[float]]] = {
        ORACLE: lambda landscape, seed: learn_oracle(landscape, longest, seed)
    } | {
        name: lambda landscape, seed, settings=settings: learn_ours(landscape, settings, longest, seed)
        for name, settings in OURS.items()
    }
    for table in options.tables:
        missed: dict[str, np.ndarray] = {}  # (seeds, steps) in dB
        seconds = dict.fromkeys(agents, 0.0)
        for name, learn in agents.items():
            rows = []
            for seed in range(options.seeds):
                landscape = synthetic(table, seed)
                began = time.process_time()
                rewards = learn(landscape, seed)
                seconds[name] += (time.process_time() - began) / options.seeds
                decibels = landscape.quality[landscape.space.largest]  # the reward of one dB is its inverse
                best = landscape.rewards[landscape.optimum]
                rows.append(best - decibels * np.array(rewards))
            missed[name] = np.array(rows)
        for updates in options.updates:
            steps = updates * VIRTUAL.steps * VIRTUAL.episodes
            print(f"\n{table}: {steps} steps ({updates} updates of {VIRTUAL.episodes} x {VIRTUAL.steps})\n")
            lines: list[list[str]] = []
            for name, values in missed.items():
                best = values[:, :steps].min(1).clip(0)
                last = values[:, steps - steps // 10 : steps].mean(1)
                theirs = missed[ORACLE][:, :steps]
                columns = [best, best - theirs.min(1).clip(0), last, last - theirs[:, steps - steps // 10 :].mean(1)]
                lines.append([name, *(mean(column) for column in columns)])
            headers = ["agent", "best missed, dB", "beside oracle", "last tenth, dB a step", "beside oracle"]
            print(markdown.table(headers, lines))
        print("\nCPU seconds a run: " + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items()))
    return int(apart > AGREE)


if __name__ == "__main__":
    sys.exit(main())
