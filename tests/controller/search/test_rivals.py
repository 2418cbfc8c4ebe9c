"""What is particular to each search method; what all must do is in `test_search`."""

import math
from dataclasses import replace

import numpy as np
import pytest
from landscape import Landscape, parameters, quality

from controller.search import rivals
from controller.search.loop import search
from controller.search.ppo import PPOSettings
from controller.search.quality_model import QualityModel
from controller.search.reward import Costs, RewardSettings
from controller.search.settings import SearchSettings
from supernet.errors import UserError
from supernet.space import SearchSpace

NOISE = np.random.default_rng(0).normal(0, 0.05, len(SearchSpace()))
SHARED = {subnet: quality(subnet) - 1 + noise for subnet, noise in zip(SearchSpace(), NOISE.tolist(), strict=True)}


def looked(space, folder, settings, shared=None, latency_ms=None):
    """The subnets of a search in the order in which it looked, without the largest, which is always first."""
    costs = Costs(parameters, latency_ms=latency_ms)
    return [row.move.subnet for row in search(space, Landscape(), settings, folder, costs, shared).rows[1:]]


def best(space):
    """The subnet with the highest reward."""
    result = {s: quality(s) / quality(space.largest) - 0.7 * max(0, parameters(s) / TARGET - 1) for s in space}
    return max(filter(space.within_bound, space), key=result.__getitem__)


TARGET = 1e6
REWARD = RewardSettings(target=TARGET)


def test_descending_shared_score_looks_in_the_order_of_the_promised_reward(space, tmp_path):
    order = looked(space, tmp_path, SearchSettings(method="shared", reward=REWARD), shared=SHARED)
    promised = [SHARED[s] / quality(space.largest) - 0.7 * max(0, parameters(s) / TARGET - 1) for s in order]
    assert promised == sorted(promised, reverse=True)


def test_descending_shared_score_without_scores_says_what_to_do(space, tmp_path):
    with pytest.raises(UserError, match="ofa-avse score"):
        looked(space, tmp_path, SearchSettings(method="shared"))


def test_size_sweep_goes_down_from_the_target_and_then_up(space, tmp_path):
    order = looked(space, tmp_path, SearchSettings(method="sizes", episodes=400, reward=REWARD))
    sizes = [parameters(subnet) for subnet in order]
    fitting = [size for size in sizes if size <= TARGET]
    assert sizes == sorted(fitting, reverse=True) + sorted(size for size in sizes if size > TARGET)
    assert len(fitting) > 10


def test_size_sweep_under_the_latency_reward_goes_down_in_latency(space, tmp_path):
    settings = SearchSettings(method="sizes", episodes=4, reward=RewardSettings(kind="latency"))
    order = looked(space, tmp_path, settings, latency_ms=lambda subnet: float(subnet.depth))
    assert [s.depth for s in order] == [24] * 20


def test_exhaustive_search_looks_at_all_that_may_win(space, tmp_path):
    order = looked(space, tmp_path, SearchSettings(method="exhaustive", workers=1))
    assert set(order) == set(filter(space.within_bound, space))


def test_local_search_looks_at_the_neighbours_of_the_best(space, tmp_path):
    order = looked(space, tmp_path, SearchSettings(method="local", episodes=3))
    near = [s for s in space.neighbours(order[0]) if space.within_bound(s)]
    assert order[1 : len(near) + 1] == near


def test_evolution_changes_one_axis_of_a_living_parent(space, tmp_path):
    order = looked(space, tmp_path, SearchSettings(method="evolution", episodes=10))
    for index in range(10, 50):
        child, living = order[index], order[index - 10 : index]
        assert any(
            sum(a != b for a, b in zip(vars(child).values(), vars(p).values(), strict=True)) == 1 for p in living
        )


def test_nsga2_keeps_a_front_of_small_and_large(space, tmp_path):
    settings = SearchSettings(method="nsga2", episodes=40, reward=REWARD)
    last = looked(space, tmp_path, settings)[-40:]
    sizes = [parameters(subnet) for subnet in last]
    assert max(sizes) > 5 * min(sizes)


def test_walk_does_not_depend_on_how_a_policy_would_learn(space, tmp_path):
    settings = SearchSettings(method="walk", episodes=6)
    first = looked(space, tmp_path / "a", settings)
    learning = PPOSettings(learning_rate=1.0, epsilon=0.0, update_epochs=9)
    assert first == looked(space, tmp_path / "b", replace(settings, ppo=learning))


@pytest.mark.parametrize("settings", [SearchSettings(), SearchSettings(method="gp")], ids=["surrogate", "gp"])
def test_model_based_search_finds_the_optimum_in_few_looks(space, tmp_path, settings):
    settings = SearchSettings(method=settings.method, episodes=12, reward=REWARD)
    assert best(space) in looked(space, tmp_path, settings, shared=SHARED)


def test_a_prior_that_is_not_asked_for_changes_nothing(space, tmp_path):
    settings = SearchSettings(method="gp", prior=False, episodes=6)
    with_scores = looked(space, tmp_path / "a", settings, shared=SHARED)
    assert with_scores == looked(space, tmp_path / "b", settings)
    assert with_scores != looked(space, tmp_path / "c", SearchSettings(method="gp", episodes=6), shared=SHARED)


@pytest.mark.parametrize("name", ["ppo", "gp"])
def test_a_failed_training_is_not_proposed_again(space, tmp_path, name):
    class Failing(Landscape):
        def evaluate(self, subnet):
            evaluation = super().evaluate(subnet)
            failed = subnet.blocks == 4
            return type(evaluation)(**{**vars(evaluation), "si_snri": math.nan if failed else evaluation.si_snri})

    evaluator = Failing()
    search(space, evaluator, SearchSettings(method=name, episodes=8), tmp_path, Costs(parameters), shared=SHARED)
    assert len(evaluator.asked) == len(set(evaluator.asked)) == 9
    assert any(subnet.blocks == 4 for subnet in evaluator.asked)


@pytest.mark.parametrize(("method", "package"), [("nsga2", "pymoo"), ("tpe", "optuna")])
def test_a_missing_package_is_named(space, tmp_path, monkeypatch, method, package):
    monkeypatch.setattr(rivals, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"{package}.*ofa-avse\[rivals\]"):
        looked(space, tmp_path, SearchSettings(method=method))
    assert not any(tmp_path.iterdir())  # before anything is evaluated


def test_nsga2_leaves_what_cannot_be_trained(space, tmp_path):
    class Poor(Landscape):
        def evaluate(self, subnet):
            evaluation = super().evaluate(subnet)
            si_snri = math.nan if subnet.blocks == 4 else evaluation.si_snri - 20  # below the 0 dB of no estimate
            return type(evaluation)(**{**vars(evaluation), "si_snri": si_snri})

    settings = SearchSettings(method="nsga2", episodes=40, reward=RewardSettings(baseline=1.0, target=TARGET))
    rows = search(space, Poor(), settings, tmp_path, Costs(parameters)).rows
    failed = [row.move.subnet.blocks == 4 for row in rows]
    assert np.mean(failed[-100:]) < 0.3  # a third of the space


# The model of quality


def test_model_knows_what_was_evaluated_and_is_less_sure_of_the_rest(space):
    known = {subnet: quality(subnet) for subnet in list(space)[::20]}
    mean, deviation = QualityModel(space).posterior(known)
    index = {subnet: i for i, subnet in enumerate(space)}
    assert [mean[index[s]] for s in known] == list(known.values())
    assert all(deviation[index[s]] == 0 for s in known)
    assert all(deviation[index[s]] > 0 for s in space if s not in known)


@pytest.mark.parametrize(("prior", "unexplained"), [(None, 0.5), (SHARED, 0.05)], ids=["without prior", "with prior"])
def test_model_predicts_what_it_has_not_seen(space, prior, unexplained):
    drawn = np.random.default_rng(1).choice(len(space), 50, replace=False)
    known = {space.subnets[i]: quality(space.subnets[i]) for i in drawn}
    mean, deviation = QualityModel(space, prior).posterior(known)
    truth = np.array([quality(subnet) for subnet in space])
    unseen = np.array([subnet not in known for subnet in space])
    error = mean[unseen] - truth[unseen]
    assert np.square(error).mean() < unexplained * truth.var()
    assert np.mean(np.abs(error) < 2 * deviation[unseen]) > 0.85


def test_prior_gives_the_ranking_before_anything_but_the_largest_is_known(space):
    mean, _ = QualityModel(space, SHARED).posterior({space.largest: quality(space.largest)})
    assert np.corrcoef(mean, list(SHARED.values()))[0, 1] > 0.99
