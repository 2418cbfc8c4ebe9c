"""Recipes are compared at equal cost, from their own folders, and go on where they were."""

from dataclasses import replace

import pytest

from controller import recipes as study
from controller.config import NetworkSettings, Settings
from controller.recipes import RECIPES, comparison, of_equal_cost, step_macs, train_one
from eval.quality_table import QualityTable
from supernet.data.settings import DataSettings
from supernet.data.synthetic import SyntheticSettings
from supernet.errors import UserError
from supernet.sampling import sampler_for
from supernet.settings import SupernetSettings
from supernet.space import SearchSpace

WIDTH = 1 / 32


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    clips = SyntheticSettings(16, 5, 5, 4, 3, 3, clip_seconds=0.8, workers=1)
    training = SupernetSettings(
        steps=4, largest_alone=1, batches_per_epoch=2, batch_size=2, clip_seconds=0.4, checkpoint_every=2
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


def test_each_recipe_changes_what_it_says(settings):
    long = replace(settings, supernet=replace(settings.supernet, steps=100))
    distilled = of_equal_cost(long, RECIPES["distil-mask"])
    assert distilled.distillation and 0 < distilled.distillation_from < distilled.steps
    assert of_equal_cost(long, RECIPES["sandwich-4"]).steps < 100 < of_equal_cost(long, RECIPES["uniform"]).steps


def test_recipes_are_trained_once_and_compared_in_one_table(settings, monkeypatch):
    for name in ("base", "linear-dilation"):
        train_one(settings, name, threads=1)
    tables = [
        QualityTable.load(settings.folder / "recipes" / name / "scores.csv") for name in ("base", "linear-dilation")
    ]
    assert [len(table) for table in tables] == [324, 324]
    assert tables[0].header.weights_hash != tables[1].header.weights_hash
    text = comparison(settings, ["base", "linear-dilation"])
    assert "| base |" in text and "| linear-dilation |" in text

    monkeypatch.setattr("supernet.training.gradients", lambda *_, **__: pytest.fail("trained again"))
    train_one(settings, "base", threads=1)
    assert QualityTable.load(settings.folder / "recipes" / "base" / "scores.csv").rows == tables[0].rows


def test_an_unknown_recipe_is_named(settings):
    with pytest.raises(UserError, match="no recipe sandwhich"):
        study.recipes(settings, only=["sandwhich"])
