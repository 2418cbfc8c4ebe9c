"""Which of a search's candidates wins once they are retrained."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from landscape import Landscape
from landscape import parameters as size

from controller.run import run as module
from controller.run.config import NetworkSettings, Settings
from controller.run.confirmation import candidates, confirm, found
from controller.run.run import Run
from controller.search.loop import search
from controller.search.reward import Costs, RewardSettings
from controller.search.settings import SearchSettings
from supernet.errors import UserError
from supernet.training import Diverged

FIRST, SECOND = "E192-B192-X6-R3-H2.0-V128", "E192-B192-X6-R3-H2.0-V256"
THIRD, FOURTH, DEEPER = "E128-B128-X4-R2-H1.5-V128", "E128-B128-X4-R3-H1.5-V128", "E256-B256-X8-R4-H2.5-V256"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a run whose search preferred FIRST to SECOND, which is larger."""
    reward = asdict(RewardSettings(baseline=10.0, target=50e3))
    (tmp_path / "search").mkdir()
    rewards = {DEEPER: 9.0, FOURTH: 0.7, FIRST: 1.0, THIRD: 0.8, SECOND: 0.9}
    quality = {"fidelity": "finetuned", "si_snri": 9.0, "standard_error": 0.1, "clips": 8, "curve": [], "seconds": 1.0}
    step = {"episode": 1, "step": 1, "action": None, "params": 1, "si_snri": 9.0, "cached": False}
    outcome = {
        "winner": {"subnet": FIRST, **quality, "by_condition": {}, "reward": 1.0},
        "candidates": [FIRST, SECOND],
        "ended": "all episodes done",
        "distinct_evaluations": len(rewards),
        "reward": reward,
        "settings": {"method": "ppo", "compute_bound": True},
        "curves": {},
        "trajectory": [{**step, "subnet": name, "reward": value} for name, value in rewards.items()],
    }
    (tmp_path / "search" / "search.json").write_text(json.dumps(outcome))
    return Settings(run=str(tmp_path), network=NetworkSettings(width=0.125))


def retrained(settings: Settings, subnet: str, si_snri: float) -> None:
    folder = settings.folder / "retrained" / subnet
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "validation.json").write_text(json.dumps({"si_snri": si_snri, "standard_error": 0.1, "clips": 8}))


def test_until_all_candidates_are_retrained_the_search_has_chosen(settings):
    retrained(settings, SECOND, 9.0)
    assert str(found(Run(settings))) == FIRST
    retrained(settings, FIRST, 5.0)
    assert str(found(Run(settings))) == SECOND


def test_the_size_counts_when_the_retrained_are_compared(settings):
    retrained(settings, FIRST, 8.00)
    retrained(settings, SECOND, 8.01)
    assert str(found(Run(settings))) == FIRST


def test_a_subnet_retrained_for_another_reason_does_not_win(settings):
    retrained(settings, FIRST, 5.0)
    retrained(settings, SECOND, 4.0)
    retrained(settings, "E128-B128-X4-R2-H1.5-V128", 20.0)
    assert str(found(Run(settings))) == FIRST


@pytest.fixture
def retrain(settings, monkeypatch):
    """Stands in for training: SI-SNRi by name; the others diverge. Returns what was trained, in order."""

    def stand_in(scores: dict[str, float]) -> list[str]:
        trained = []

        def train(network, mixtures, sampler, training, folder, *_, **__):
            trained.append(folder.name)
            if folder.name not in scores:
                raise Diverged("learning_rate: training diverged at 0.002; lower it")
            if not (folder / "validation.json").is_file():
                retrained(settings, folder.name, scores[folder.name])

        monkeypatch.setattr(module, "train", train)
        monkeypatch.setattr(Run, "mixtures", lambda *_: None)
        monkeypatch.setattr(Run, "watch", lambda *_: None)
        monkeypatch.setattr(NetworkSettings, "fresh", lambda *_: None)
        return trained

    return stand_in


def test_a_candidate_whose_training_diverges_is_passed_over_for_the_next_best(settings, retrain, capsys):
    trained = retrain({SECOND: 5.0, THIRD: 9.0})
    assert str(confirm(Run(settings))) == THIRD
    assert trained == [FIRST, SECOND, THIRD]
    assert f"{FIRST}: passed over" in capsys.readouterr().out
    assert list(map(str, candidates(Run(settings)))) == [SECOND, THIRD]
    assert str(confirm(Run(settings))) == THIRD
    assert trained[3:] == [SECOND, THIRD]  # FIRST is known to diverge


def test_a_candidate_that_diverged_is_tried_again_with_other_settings(settings, retrain):
    retrain({SECOND: 9.0, THIRD: 4.0})
    assert str(confirm(Run(settings))) == SECOND
    slower = replace(settings.retrain, learning_rate=settings.retrain.learning_rate / 10)
    settings = replace(settings, retrain=slower)
    trained = retrain({FIRST: 9.0, SECOND: 9.0})
    assert str(confirm(Run(settings))) == FIRST
    assert trained == [FIRST, SECOND]


def test_when_all_trainings_diverge_one_error_names_the_rate_and_the_searchs_choice_stands(settings, retrain):
    trained = retrain({})
    with pytest.raises(UserError, match="retrain.learning_rate: at 0.002 the training of 4 subnets diverged; lower it"):
        confirm(Run(settings))
    assert trained == [FIRST, SECOND, THIRD, FOURTH]
    assert str(found(Run(settings))) == FIRST


def test_a_run_without_a_search_names_the_command(tmp_path):
    with pytest.raises(UserError, match="ofa-avse search"):
        candidates(Run(Settings(run=str(tmp_path))))


@pytest.mark.parametrize("confirm", [1, 3])
def test_a_search_names_as_many_candidates_as_are_to_be_confirmed_best_first(space, tmp_path, confirm):
    result = search(space, Landscape(), SearchSettings(episodes=6, confirm=confirm), tmp_path / "search", Costs(size))
    named = candidates(Run(Settings(run=str(tmp_path))))
    rewards = {row.move.subnet: row.reward for row in result.rows if space.within_bound(row.move.subnet)}
    assert named == sorted(rewards, key=rewards.get, reverse=True)[:confirm]
    assert named[0] == result.winner.subnet
