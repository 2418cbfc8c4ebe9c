"""The environment: masks, transitions, observations."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from landscape import paper_reward_in, parameters, quality

from controller.search.mdp import ACTIONS, ArchitectureEnv, action_name, moves
from controller.search.reward import Costs, paper_reward
from controller.studies.methods.ablations import Unmasked
from supernet.space import AXES, PAPER_WINNER, SearchSpace, Subnet


@pytest.mark.parametrize("state", ["paper", "visual", "full"])
def test_environment_passes_gymnasiums_check(space, state):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(spec|render).*")
        check_env(ArchitectureEnv(space, quality, paper_reward_in(space), state=state))


@pytest.mark.parametrize("bound", [True, False])
def test_masks_equal_brute_force_on_all_324(space, bound):
    def allowed(subnet: Subnet, axis: str, direction: int) -> bool:
        index = AXES[axis].index(getattr(subnet, axis)) + direction
        if index not in range(len(AXES[axis])):
            return False
        to = replace(subnet, **{axis: AXES[axis][index]})
        if to.bottleneck > to.encoder:
            return False
        before, after = max(subnet.repeats * subnet.blocks, 24), max(to.repeats * to.blocks, 24)
        return not bound or after <= before

    environment = ArchitectureEnv(space, quality, paper_reward_in(space), bound=bound)
    for subnet in space:
        _, info = environment.reset(options={"start": subnet})
        expected = [allowed(subnet, axis, direction) for axis, direction in ACTIONS]
        assert info["action_mask"].tolist() == expected, subnet
        assert any(expected)


def test_every_move_changes_one_axis_by_one_option(space):
    for subnet in space:
        for (axis, direction), to in zip(ACTIONS, moves(space, subnet), strict=True):
            if to is not None:
                options = AXES[axis]
                assert to == replace(subnet, **{axis: options[options.index(getattr(subnet, axis)) + direction]})


def test_no_walk_from_the_start_reenters_the_violation(space):
    seen, frontier = set(), [space.largest]
    while frontier:
        subnet = frontier.pop()
        for to in filter(None, moves(space, subnet)):
            assert space.within_bound(to) or not space.within_bound(subnet)
            if to not in seen:
                seen.add(to)
                frontier.append(to)
    assert sum(map(space.within_bound, seen)) == 288  # and all that may win can be reached


def test_paper_observation_is_equation_1_scaled_to_its_range(space):
    environment = ArchitectureEnv(space, quality, paper_reward_in(space, baseline=15.2), state="paper")
    middle = Subnet(192, 128, 6, 4, 1.5, 256)
    observed, _ = environment.reset(options={"start": middle})
    sizes = parameters(space.smallest), parameters(space.largest)
    size = (parameters(middle) - sizes[0]) / (sizes[1] - sizes[0])
    assert observed == pytest.approx([0.5, 0.0, 1.0, 0.5, 0.0, size, quality(middle) / 15.2], abs=1e-6)


def test_full_observation_adds_visual_channels_steps_left_and_goal(space):
    environment = ArchitectureEnv(space, quality, paper_reward_in(space), state="full")
    observed, _ = environment.reset()
    assert observed[[7, 8]] == pytest.approx([1.0, 1.0])
    assert 0 < observed[9] < 1
    down = next(a for a in range(12) if action_name(a) == "visual down")
    observed, *_ = environment.step(down)
    assert observed[[7, 8]] == pytest.approx([0.0, 0.8])


@pytest.mark.parametrize("cost", ["params", "macs", "latency_ms"])
def test_goal_of_an_episode_is_seen_and_rewarded(space, cost):
    macs, latency = (lambda subnet: 2.0 * parameters(subnet)), (lambda subnet: float(subnet.depth))
    environment = ArchitectureEnv(space, quality, paper_reward_in(space, Costs(parameters, macs, latency)))
    costs = {"params": parameters, "macs": macs, "latency_ms": latency}[cost]
    low, high = costs(space.smallest), costs(space.largest)
    observed, info = environment.reset(options={"goal": (cost, low + 0.25 * (high - low))})
    goals = dict(zip(("params", "macs", "latency_ms"), observed[9:], strict=True))
    assert goals == pytest.approx({"params": 1.0, "macs": 1.0, "latency_ms": 1.0} | {cost: 0.25})
    _, reward, _, _, info = environment.step(1)  # encoder down is invalid; bottleneck down is not
    _, reward, _, _, info = environment.step(3)
    excess = costs(info["subnet"]) / (low + 0.25 * (high - low)) - 1
    assert reward == pytest.approx(quality(info["subnet"]) / quality(space.largest) - 0.7 * excess)
    environment.reset()
    assert environment.goal_reward == environment.reward


def test_without_the_mask_every_action_is_offered(space):
    environment = Unmasked(space, quality, paper_reward_in(space))
    _, info = environment.reset()
    assert info["action_mask"].all()


def test_reward_is_that_of_the_architecture_after_the_action(space):
    environment = ArchitectureEnv(space, quality, paper_reward_in(space))
    _, info = environment.reset()
    for step in range(5):
        action = int(np.flatnonzero(info["action_mask"])[step % 2])
        to = environment.after(action)
        _, reward, terminated, truncated, info = environment.step(action)
        assert info["subnet"] == to
        assert reward == pytest.approx(paper_reward(quality(to), parameters(to), environment.reward.settings))
        assert (terminated, truncated) == (step == 4, False)


def test_invalid_action_stays_and_costs_the_violation(space):
    environment = ArchitectureEnv(space, quality, paper_reward_in(space))
    environment.reset(options={"start": PAPER_WINNER})
    _, reward, *_ = environment.step(2)  # bottleneck up: above the encoder
    assert environment.subnet == PAPER_WINNER
    assert reward == pytest.approx(quality(PAPER_WINNER) / quality(SearchSpace.largest) - 10)


def test_failed_training_counts_as_zero_db_and_a_violation(space):
    environment = ArchitectureEnv(space, lambda subnet: np.nan, paper_reward_in(space, baseline=15.2))
    observed, _ = environment.reset(options={"start": PAPER_WINNER})
    assert np.isfinite(observed).all()
    _, reward, *_ = environment.step(1)  # encoder down is below the bottleneck; repeats down is valid
    _, reward, *_ = environment.step(7)
    assert reward == pytest.approx(-10)
