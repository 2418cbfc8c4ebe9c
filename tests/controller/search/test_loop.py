"""The search as a whole: Algorithm 1, its budget, its winner, and what a kill leaves of it."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import landscape
import pytest
import torch
from landscape import Landscape, parameters, quality

from controller.commands.run import beyond_target
from controller.ladder.ledger import Ledger
from controller.search.loop import LEDGER, RESULT, search
from controller.search.mdp import ACTIONS
from controller.search.ppo import PPOSettings
from controller.search.reward import Costs, RewardSettings
from controller.search.settings import SearchSettings, SurrogateSettings
from supernet.errors import UserError
from supernet.space import PAPER_WINNER, SearchSpace

QUICK = SurrogateSettings(updates=2, episodes=4, ppo=PPOSettings(learning_rate=3e-3, epsilon=0.1, hidden=16))
SHORT = SearchSettings(mode="paper", episodes=6)

SEARCHES = {
    "paper": SHORT,
    "surrogate": SearchSettings(episodes=12, surrogate=QUICK),
    "gp": SearchSettings(method="gp", episodes=12),
    "exhaustive": SearchSettings(method="exhaustive", max_evaluations=30),
    **{
        method: SearchSettings(method=method, episodes=6)
        for method in ("random", "shared", "walk", "evolution", "local", "sizes", "nsga2", "tpe")
    },
}
SHARED = {subnet: quality(subnet) - 1 + 0.1 * math.sin(i) for i, subnet in enumerate(SearchSpace())}


def ledger_of(folder: Path) -> list[tuple]:
    with Ledger(folder / LEDGER) as ledger:
        return ledger.rows()


def test_walks_start_at_the_largest_then_at_the_best_of_the_last_trajectory(space, tmp_path):
    rows = search(space, Landscape(), SHORT, tmp_path, Costs(parameters)).rows
    assert (rows[0].move.subnet, rows[0].move.action) == (space.largest, None)
    start = space.largest
    for _, episode in groupby(rows[1:], key=lambda row: row.move.episode):
        episode = list(episode)
        assert [row.move.step for row in episode] == [1, 2, 3, 4, 5]
        for before, row in zip([start, *(row.move.subnet for row in episode)], episode, strict=False):
            assert row.move.subnet in space.neighbours(before)
        start = max((row for row in episode if row.move.subnet != start), key=lambda row: row.reward).move.subnet


@pytest.mark.parametrize("settings", SEARCHES.values(), ids=SEARCHES)
def test_winner_has_the_best_reward_within_the_bound(space, tmp_path, settings):
    result = search(space, Landscape(), settings, tmp_path, Costs(parameters), shared=SHARED)
    eligible = [row for row in result.rows if space.within_bound(row.move.subnet)]
    assert result.winner_reward == max(row.reward for row in eligible)
    assert space.within_bound(result.winner.subnet)
    assert result.winner.si_snri == quality(result.winner.subnet)


@pytest.mark.parametrize("settings", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("seed", range(2))
def test_budget_of_12_evaluations_is_kept_and_said(space, tmp_path, settings, seed):
    evaluator = Landscape()
    settings = replace(settings, episodes=35, max_evaluations=12, seed=seed)
    result = search(space, evaluator, settings, tmp_path, Costs(parameters), shared=SHARED)
    assert len(evaluator.asked) == len(set(evaluator.asked)) == len(result.evaluations) == 12
    assert result.budget_spent
    assert json.loads((tmp_path / RESULT).read_text())["ended"] == "max_evaluations spent"


def test_evaluations_known_before_count_against_the_budget(space, tmp_path):
    search(space, Landscape(), SHORT, tmp_path, Costs(parameters))
    again = search(space, Landscape(), replace(SHORT, max_evaluations=12), tmp_path, Costs(parameters))
    assert len(again.evaluations) == 12


def test_lockstep_walks_share_a_start_and_an_update(space, tmp_path):
    result = search(space, Landscape(), replace(SHORT, workers=4), tmp_path, Costs(parameters))
    assert [row.move.episode for row in result.rows[1:5]] == [1, 2, 3, 4]
    assert len(result.rows) == 1 + 6 * 5
    assert sum(not row.cached for row in result.rows) == len(result.evaluations) == len(ledger_of(tmp_path))


@pytest.mark.parametrize(
    ("settings", "updates", "steps"),
    [
        (SHORT, 6, 5),
        (replace(SHORT, workers=4), 2, None),
        (replace(SEARCHES["surrogate"], episodes=3), 3 * QUICK.updates, 4 * 12),
    ],
    ids=["paper", "paper, 4 workers", "surrogate"],
)
def test_each_update_of_the_policy_is_logged_and_changes_nothing(space, tmp_path, settings, updates, steps):
    logged = []

    class Kept:
        def log(self, figures):
            logged.append(figures)

    told = search(space, Landscape(), settings, tmp_path / "a", Costs(parameters), SHARED, Kept())
    assert told == search(space, Landscape(), settings, tmp_path / "b", Costs(parameters), SHARED)
    assert (tmp_path / "a" / RESULT).read_bytes() == (tmp_path / "b" / RESULT).read_bytes()
    names = ["approx_kl", "clip_fraction", "entropy", "explained_variance"]
    assert [list(figures) for figures in logged] == updates * [[*(f"search/{name}" for name in names), "step"]]
    for kl, clipped, entropy, explained, _ in map(dict.values, logged):
        assert math.isfinite(kl) and 0 <= clipped <= 1
        assert 0 < entropy <= math.log(len(ACTIONS))
        assert math.isfinite(explained) and explained <= 1
    assert any(figures["search/approx_kl"] > 0 for figures in logged)
    expected = [4 * 5, 6 * 5] if steps is None else [steps * number for number in range(1, updates + 1)]
    assert [figures["step"] for figures in logged] == expected


def test_a_search_without_learning_logs_nothing(space, tmp_path):
    class Refusing:
        def log(self, figures):
            raise AssertionError(figures)

    search(space, Landscape(), SEARCHES["walk"], tmp_path, Costs(parameters), tracker=Refusing())


def test_evaluations_may_train_networks_and_use_the_global_generator(space, tmp_path):
    class Training(Landscape):
        def evaluate(self, subnet):
            assert torch.is_grad_enabled()
            torch.rand(1)
            return super().evaluate(subnet)

    trained = search(space, Training(), SHORT, tmp_path / "a", Costs(parameters))
    assert trained == search(space, Landscape(), SHORT, tmp_path / "b", Costs(parameters))


def test_random_search_never_draws_twice_and_stays_within_the_bound(space, tmp_path):
    rows = search(space, Landscape(), SearchSettings(method="random", episodes=100), tmp_path, Costs(parameters)).rows[
        1:
    ]
    assert len({row.move.subnet for row in rows}) == len(rows) == 288
    assert all(space.within_bound(row.move.subnet) for row in rows)


@pytest.mark.parametrize("settings", SEARCHES.values(), ids=SEARCHES)
def test_same_seed_same_search(space, tmp_path, settings):
    found = [
        search(space, Landscape(), settings, tmp_path / name, Costs(parameters), shared=SHARED) for name in ("a", "b")
    ]
    assert found[0] == found[1]
    assert (tmp_path / "a" / RESULT).read_bytes() == (tmp_path / "b" / RESULT).read_bytes()
    assert ledger_of(tmp_path / "a") == ledger_of(tmp_path / "b")


@pytest.mark.parametrize("name", ["paper", "surrogate", "random", "walk", "evolution", "local", "nsga2", "tpe"])
def test_another_seed_is_another_search(space, tmp_path, name):
    settings = [replace(SEARCHES[name], prior=False, seed=seed) for seed in (1, 2)]
    found = [search(space, Landscape(), s, tmp_path / str(s.seed), Costs(parameters)) for s in settings]
    assert found[0].rows != found[1].rows


def test_search_file_holds_the_trajectory_the_winner_and_the_settings(space, tmp_path):
    result = search(space, Landscape(), SHORT, tmp_path, Costs(parameters))
    document = json.loads((tmp_path / RESULT).read_text())
    assert document["winner"]["subnet"] == str(result.winner.subnet)
    assert document["distinct_evaluations"] == len(result.evaluations)
    assert document["settings"]["ppo"]["clip"] == 0.2
    assert document["reward"]["baseline"] == quality(space.largest)
    first = document["trajectory"][1]
    assert list(first) == ["episode", "step", "subnet", "action", "params", "si_snri", "reward", "cached"]
    assert first["action"].split()[1] in ("up", "down")


def test_latency_reward_leads_the_search(space, tmp_path):
    settings = SearchSettings(method="random", episodes=10, reward=RewardSettings(kind="latency", latency_weight=100.0))
    result = search(space, Landscape(), settings, tmp_path, Costs(parameters, latency_ms=lambda subnet: subnet.depth))
    assert result.winner.subnet.depth == min(row.move.subnet.depth for row in result.rows)


def test_search_without_an_eligible_winner_says_what_to_do(space, tmp_path):
    with pytest.raises(UserError, match="search.max_evaluations"):
        search(space, Landscape(), SearchSettings(max_evaluations=1), tmp_path, Costs(parameters))


@pytest.mark.parametrize("method", ["ppo", "random"])
def test_a_search_whose_every_training_diverges_blames_the_learning_rate(space, tmp_path, method):
    class Diverging(Landscape):
        def evaluate(self, subnet):
            return replace(super().evaluate(subnet), si_snri=math.nan)

    settings = SearchSettings(method=method, episodes=3, steps=1, reward=RewardSettings(baseline=10.0), surrogate=QUICK)
    with pytest.raises(UserError, match="finetune.learning_rate"):
        search(space, Diverging(), settings, tmp_path, Costs(parameters))


@pytest.mark.parametrize("name", ["episodes", "steps", "workers", "max_evaluations"])
def test_settings_below_one_are_refused_by_name(name):
    with pytest.raises(UserError, match=f"search.{name}"):
        SearchSettings(**{name: 0})


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_some_generator_refuses_is_refused_before_anything_is_evaluated(seed):
    with pytest.raises(UserError, match="search.seed"):
        SearchSettings(seed=seed)


def test_a_target_that_is_exceeded_or_that_nothing_fits_is_said(space):
    costs, small, large = Costs(parameters), space.smallest, PAPER_WINNER
    reward = RewardSettings(target=parameters(small))
    assert beyond_target(small, reward, costs, space.within_bound) is None
    assert "raise search.reward.beta" in beyond_target(large, reward, costs, space.within_bound)
    nothing = replace(reward, target=parameters(small) - 1)
    assert "no subnet fits" in beyond_target(small, nothing, costs, space.within_bound)
    assert beyond_target(large, replace(reward, kind="latency"), costs, space.within_bound) is None


class Failure(Exception):
    pass


class Fragile(Landscape):
    """Fails before its nth evaluation."""

    def __init__(self, evaluations: int) -> None:
        super().__init__()
        self.left = evaluations

    def evaluate(self, subnet):
        if self.left == 0:
            raise Failure
        self.left -= 1
        return super().evaluate(subnet)


@pytest.mark.parametrize("settings", SEARCHES.values(), ids=SEARCHES)
def test_interrupted_search_goes_on_to_the_same_ledger_and_winner(space, tmp_path, settings):
    undisturbed = search(space, Landscape(), settings, tmp_path / "undisturbed", Costs(parameters), shared=SHARED)
    draw, asked, resumed = random.Random(0), [], None
    while resumed is None:
        evaluator = Fragile(draw.randrange(2, 12))
        try:
            resumed = search(space, evaluator, settings, tmp_path / "disturbed", Costs(parameters), shared=SHARED)
        except Failure:
            assert not (tmp_path / "disturbed" / RESULT).exists()
        asked += evaluator.asked
    assert len(asked) == len(set(asked)) == len(undisturbed.evaluations) > 10
    assert resumed == undisturbed
    assert ledger_of(tmp_path / "disturbed") == ledger_of(tmp_path / "undisturbed")


def test_search_killed_outright_goes_on_to_the_same_ledger_and_winner(space, tmp_path):
    undisturbed = search(space, Landscape(), SHORT, tmp_path / "undisturbed", Costs(parameters))
    folder, asked = tmp_path / "killed", tmp_path / "killed" / "asked.log"
    command = [sys.executable, landscape.__file__, str(folder), "1", "0.05"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}) as killed:
        while not asked.is_file() or len(asked.read_text().splitlines()) < 8:
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    known = {record["subnet"] for _, record in ledger_of(folder)}

    evaluator = Landscape()
    assert search(space, evaluator, SHORT, folder, Costs(parameters)) == undisturbed
    assert len(known) >= 6
    assert not known & {str(subnet) for subnet in evaluator.asked}
    assert ledger_of(folder) == ledger_of(tmp_path / "undisturbed")
