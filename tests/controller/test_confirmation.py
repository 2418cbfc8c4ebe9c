"""Which of a search's candidates wins once they are retrained."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from landscape import Landscape
from landscape import parameters as size

from controller.config import NetworkSettings, Settings
from controller.confirmation import candidates, found
from controller.reward import Costs, RewardSettings
from controller.search import search
from controller.settings import SearchSettings
from supernet.errors import UserError

FIRST, SECOND = "E192-B192-X6-R3-H2.0-V128", "E192-B192-X6-R3-H2.0-V256"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a run whose search preferred FIRST to SECOND, which is larger."""
    reward = asdict(RewardSettings(baseline=10.0, target=50e3))
    (tmp_path / "search").mkdir()
    outcome = {"winner": {"subnet": FIRST}, "candidates": [FIRST, SECOND], "reward": reward}
    (tmp_path / "search" / "search.json").write_text(json.dumps(outcome))
    return Settings(run=str(tmp_path), network=NetworkSettings(width=0.125))


def retrained(settings: Settings, subnet: str, si_snri: float) -> None:
    folder = settings.folder / "retrained" / subnet
    folder.mkdir(parents=True)
    (folder / "validation.json").write_text(json.dumps({"si_snri": si_snri, "standard_error": 0.1, "clips": 8}))


def test_until_all_candidates_are_retrained_the_search_has_chosen(settings):
    retrained(settings, SECOND, 9.0)
    assert str(found(settings)) == FIRST
    retrained(settings, FIRST, 5.0)
    assert str(found(settings)) == SECOND


def test_the_size_counts_when_the_retrained_are_compared(settings):
    retrained(settings, FIRST, 8.00)
    retrained(settings, SECOND, 8.01)
    assert str(found(settings)) == FIRST


def test_a_subnet_retrained_for_another_reason_does_not_win(settings):
    retrained(settings, FIRST, 5.0)
    retrained(settings, SECOND, 4.0)
    retrained(settings, "E128-B128-X4-R2-H1.5-V128", 20.0)
    assert str(found(settings)) == FIRST


def test_a_run_without_a_search_names_the_command(tmp_path):
    with pytest.raises(UserError, match="ofa-avse search"):
        candidates(Settings(run=str(tmp_path)))


@pytest.mark.parametrize("confirm", [1, 3])
def test_a_search_names_as_many_candidates_as_are_to_be_confirmed_best_first(space, tmp_path, confirm):
    result = search(space, Landscape(), SearchSettings(episodes=6, confirm=confirm), tmp_path / "search", Costs(size))
    named = candidates(Settings(run=str(tmp_path)))
    rewards = {row.move.subnet: row.reward for row in result.rows if space.within_bound(row.move.subnet)}
    assert named == sorted(rewards, key=rewards.get, reverse=True)[:confirm]
    assert named[0] == result.winner.subnet
