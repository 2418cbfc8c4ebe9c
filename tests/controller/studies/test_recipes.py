"""Recipes are compared at equal cost, from their own folders, and go on where they were."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from controller.cli import main
from controller.run.config import NetworkSettings, Settings
from controller.studies import recipes as study
from controller.studies.recipes import RECIPES, comparison, of_equal_cost, step_macs, train_one
from eval.ranking.study import Study
from eval.table.quality_table import QualityTable
from eval.table.shipped import Tables
from supernet.data.settings import DataSettings
from supernet.data.synthetic.talkers import SyntheticSettings
from supernet.errors import UserError
from supernet.recipe import SupernetObjective, sampler_for
from supernet.settings import SupernetSettings
from supernet.space import SearchSpace

WIDTH = 1 / 32


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    clips = SyntheticSettings(16, 5, 5, 4, 3, 3, clip_seconds=0.8, workers=1)
    training = SupernetSettings(
        sampler="sandwich",
        steps=4,
        largest_alone=1,
        batches_per_epoch=2,
        batch_size=2,
        clip_seconds=0.4,
        checkpoint_every=2,
    )
    return Settings(
        run=str(tmp_path_factory.mktemp("run")),
        data=DataSettings(list_seconds=0.4, val_items=5, test_items=5, synthetic=clips),
        network=NetworkSettings(width=WIDTH),
        supernet=training,
    )


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_costs_the_same(settings, name):
    long = replace(settings, supernet=replace(settings.supernet, steps=300, largest_alone=20))

    def cost(training):
        sampler = sampler_for(SearchSpace(WIDTH), training)
        return sum(step_macs(sampler.visits(step), WIDTH) for step in range(training.steps))

    assert cost(of_equal_cost(long, RECIPES[name])) == pytest.approx(cost(long.supernet), rel=0.03)


def test_recipes_with_more_visits_a_step_get_fewer_steps_and_distillation_comes_late(settings):
    long = replace(settings, supernet=replace(settings.supernet, steps=100))
    distilled = of_equal_cost(long, RECIPES["distil-waveform"])
    assert distilled.distillation and 0 < distilled.distillation_from < distilled.steps
    assert of_equal_cost(long, RECIPES["sandwich-4"]).steps < 100 < of_equal_cost(long, RECIPES["uniform"]).steps


def test_recipes_are_trained_once_and_compared_in_one_table(settings, monkeypatch):
    for name in ("base", "linear-dilation"):
        train_one(settings, name)
    tables = [
        QualityTable.load(settings.folder / "recipes" / name / "scores.csv") for name in ("base", "linear-dilation")
    ]
    assert [len(table) for table in tables] == [324, 324]
    assert tables[0].header.weights_hash != tables[1].header.weights_hash
    text = re.sub(" +", " ", comparison(settings, ["base", "linear-dilation"], None))
    assert "| base |" in text and "| linear-dilation |" in text

    monkeypatch.setattr(SupernetObjective, "gradients", lambda *_, **__: pytest.fail("trained again"))
    train_one(settings, "base")
    assert QualityTable.load(settings.folder / "recipes" / "base" / "scores.csv").rows == tables[0].rows


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(study, "WorkerPool", lambda *_: pytest.fail("began to train"))


def test_a_truth_of_another_width_is_named_before_anything_is_trained(settings, truth_tables, no_training):
    with pytest.raises(UserError, match="against: .* is of width 0.125, and not 0.03125"):
        study.recipes(settings, against=str(truth_tables))


def test_a_warm_up_that_leaves_no_steps_is_named(settings, no_training):
    warm = replace(settings, supernet=replace(settings.supernet, steps=4, largest_alone=4))
    with pytest.raises(UserError, match="supernet.largest_alone: 4 must be fewer"):
        study.recipes(warm, only=["uniform"])


def test_a_recipe_that_the_configured_sampler_rules_out_is_named(settings, no_training):
    uniform = replace(settings, supernet=replace(settings.supernet, sampler="uniform"))
    with pytest.raises(UserError, match="recipe distil-waveform: supernet.distillation: .* choose supernet.sampler"):
        study.recipes(uniform, only=["base", "distil-waveform"])


def test_scores_are_compared_with_the_truth_of_their_width(settings, truth_tables):
    wide = replace(settings, network=NetworkSettings(width=1 / 8), run=f"{settings.run}/wide")
    folder = wide.folder / "recipes" / "base"
    folder.mkdir(parents=True)
    shutil.copy(truth_tables / "shared_val.csv", folder / "scores.csv")
    (folder / "measured.json").write_text('{"seconds": 7.0}')
    truth = study._truth(wide, str(truth_tables))
    lines = re.sub(" +", " ", comparison(wide, ["base"], truth)).splitlines()
    cells = lines[2].split(" | ")
    assert lines[-1] == "tau with 48 subnets, each trained alone for 600 steps."  # the longer table is of a few only
    ranked = Study(Tables.of(truth_tables)).ranking()["shared"]
    assert cells[5:] == [f"{ranked.overall.value:.3f}", f"{ranked.in_bands.value:.3f}", "2400", "7 |"]
    (folder / "measured.json").write_text("{}")
    with pytest.raises(UserError, match="measured.json: damaged"):
        comparison(wide, ["base"], truth)


def test_the_longer_trainings_are_the_truth_where_there_are_all(settings, truth_tables, tmp_path):
    wide = replace(settings, network=NetworkSettings(width=1 / 8))
    table = QualityTable.load(truth_tables / "standalone_seed0.csv")
    longer = QualityTable(replace(table.header, training={"steps": 2400}), table.rows)
    table.save(tmp_path / "standalone_seed0.csv")
    longer.save(tmp_path / "standalone_longer_seed0.csv")
    assert study._truth(wide, str(tmp_path)).header.training == {"steps": 2400}


def test_recipes_that_fail_are_named_when_all_others_have_ended(settings, monkeypatch):
    """In threads, so that the test can take the place of training."""
    trained = []

    def train_or_fail(settings, name):
        if name in ("uniform", "fair"):
            raise UserError("learning_rate: training diverged")
        trained.append(name)

    monkeypatch.setattr(study, "WorkerPool", lambda *_: ThreadPoolExecutor(1))
    monkeypatch.setattr(study, "train_one", train_or_fail)
    said = "recipe uniform: .* training diverged; recipe fair: .* training diverged; all others have ended"
    with pytest.raises(UserError, match=said):
        study.recipes(settings, only=["uniform", "base", "fair", "progressive", "base"])
    assert trained == ["base", "progressive"]


def test_an_unknown_recipe_is_named(settings):
    with pytest.raises(UserError, match="no recipe sandwhich"):
        study.recipes(settings, only=["sandwhich"])


@pytest.mark.parametrize(("typed", "meant"), [("fairly", "fairly"), ("[base,fairly,oddly]", "fairly, oddly")])
def test_recipes_are_named_on_the_command_line_by_one_name_or_a_list(typed, meant, capsys):
    assert main(["recipes", "--config", "recipes", "--only", typed]) == 2
    assert f"no recipe {meant};" in capsys.readouterr().err
