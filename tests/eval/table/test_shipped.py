"""Shipped tables load, and the mean over seeds is one of trainings of one kind."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from eval.table import shipped
from eval.table.quality_table import QualityTable
from eval.table.shipped import Tables
from supernet.errors import UserError
from supernet.space import PAPER_WINNER


def in_folder(folder: Path, name: str, seed: int | None = None) -> QualityTable:
    return QualityTable.open(Tables.of(folder), name, seed)


@pytest.fixture
def folder(truth_tables: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(truth_tables, tmp_path / "tables"))


def test_every_shipped_table_loads():
    for name in Tables.shipped().files:
        table = QualityTable.bundled(name)
        assert 0 < len(table) <= 324, name
        assert table.header.command and table.header.versions and table.header.data_hash, name


@pytest.mark.parametrize(
    "name, subnets",
    [
        ("standalone", 48),
        ("standalone_longer", 48),
        ("finetuned_seed0", 324),
        ("finetuned_seed1", 48),
        ("shared_val", 324),
    ],
)
def test_shipped_tables_are_complete(name, subnets):
    assert len(QualityTable.bundled(name)) == subnets


def test_bundled_serves_the_tables_of_the_package(truth_tables, monkeypatch):
    monkeypatch.setattr(shipped, "TABLES", truth_tables)
    assert len(QualityTable.bundled()) == 48
    assert len(QualityTable.bundled("finetuned", seed=0)) == 324
    assert QualityTable.bundled("shared_test").header.list == "test"


def test_a_table_that_does_not_ship_names_those_that_do(truth_tables, monkeypatch):
    monkeypatch.setattr(shipped, "TABLES", truth_tables)
    with pytest.raises(UserError, match="table 'retrained': not in this package; there: .*shared_val.*standalone"):
        QualityTable.bundled("retrained")


def test_without_a_seed_it_is_the_mean_over_the_seeds(truth_tables):
    mean = in_folder(truth_tables, "standalone")
    seeds = [in_folder(truth_tables, "standalone", seed) for seed in (0, 1)]
    assert mean.header.seeds == 2
    assert "standalone_seed*.csv" in repr(mean)
    assert seeds[0].header.seeds == 1
    assert mean[PAPER_WINNER].si_snri == pytest.approx(sum(table[PAPER_WINNER].si_snri for table in seeds) / 2)
    assert mean[PAPER_WINNER].by_condition["babble"] == pytest.approx(mean[PAPER_WINNER].si_snri)


def test_the_mean_has_the_subnets_that_every_seed_has(truth_tables):
    assert len(in_folder(truth_tables, "finetuned", seed=0)) == 324
    mean = in_folder(truth_tables, "finetuned")
    assert len(mean) == 48
    assert len(mean[PAPER_WINNER].curve) == 10


@pytest.mark.parametrize(
    "change",
    [{"list": "val"}, {"width": 1.0}, {"data_hash": "other"}, {"training": {"steps": 100, "seed": 1}}],
    ids=lambda change: next(iter(change)),
)
def test_trainings_of_two_kinds_have_no_mean(folder, change):
    path = folder / "standalone_seed1.csv"
    table = QualityTable.load(path)
    QualityTable(replace(table.header, **change), table.rows).save(path)
    with pytest.raises(UserError, match=f"standalone_seed1.csv: has {next(iter(change))} "):
        in_folder(folder, "standalone")


@pytest.mark.parametrize("change", [{"curve": (1.0,)}, {"by_condition": {"rain": 1.0}}], ids=["curve", "conditions"])
def test_rows_that_hold_other_figures_have_no_mean(folder, change):
    path = folder / "standalone_seed1.csv"
    table = QualityTable.load(path)
    QualityTable(table.header, [*table.rows[:-1], replace(table.rows[-1], **change)]).save(path)
    with pytest.raises(UserError, match="standalone_seed1.csv: E.* has other epochs or conditions than .*seed0.csv"):
        in_folder(folder, "standalone")


def test_seeds_come_in_their_order():
    names = ["a_seed10", "a_seed2", "ab_seed1", "a_longer", "a_seed2_old"]
    assert shipped.of_seeds(names, "a") == ["a_seed2", "a_seed10"]


def test_one_training_under_two_names_has_no_mean(folder):
    shutil.copy(folder / "standalone_seed0.csv", folder / "standalone_seed2.csv")
    with pytest.raises(UserError, match="standalone_seed2.csv: is of seed 0, as .*standalone_seed0.csv is"):
        in_folder(folder, "standalone")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder; `ofa-avse truth`"):
        Tables.of(tmp_path / "nowhere")


def test_a_damaged_table_is_named(folder):
    (folder / "standalone_seed0.csv").write_text("broken")
    with pytest.raises(UserError, match="standalone_seed0.csv: damaged"):
        in_folder(folder, "standalone")
