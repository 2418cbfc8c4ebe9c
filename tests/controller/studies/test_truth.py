"""The truth is paid for once: rows come from the ledger, or from a shipped table that was made in the same way."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from controller.cli import main
from controller.ladder.ledger import Ledger
from controller.run import run as runs
from controller.run.config import NetworkSettings, Settings, TruthSettings
from controller.run.run import Run
from controller.search.loop import LEDGER
from controller.studies import truth
from eval.table import shipped
from eval.table.quality_table import QualityHeader, QualityTable
from eval.table.shipped import SUPERNET, Tables
from supernet.checkpoint import weights_hash
from supernet.data.mixing.batches import FixedMixtures
from supernet.data.settings import DataSettings
from supernet.data.synthetic.talkers import SyntheticSettings
from supernet.errors import UserError
from supernet.settings import SupernetSettings, TrainingSettings
from supernet.space import PAPER_WINNER, SearchSpace
from supernet.training import Diverged

SUBNETS = [PAPER_WINNER, SearchSpace.smallest]


class Few(SearchSpace):
    def __iter__(self):
        return iter(SUBNETS)


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setattr(truth, "truth_subnets", lambda _: SUBNETS)
    training = TrainingSettings(steps=2, batches_per_epoch=1, batch_size=1, clip_seconds=0.4)
    return Settings(
        run=str(tmp_path),
        threads=1,
        data=DataSettings(
            list_seconds=0.4,
            val_items=5,
            test_items=5,
            synthetic=SyntheticSettings(16, 5, 5, 4, 3, 3, clip_seconds=0.8, workers=1),
        ),
        network=NetworkSettings(width=1 / 32),
        supernet=SupernetSettings(steps=2, batches_per_epoch=1, batch_size=1, clip_seconds=0.4),
        retrain=training,
        finetune=training,
        truth=TruthSettings(seeds=2, workers=1),
    )


def test_standalone_rows_are_committed_one_by_one_and_not_paid_for_twice(settings, monkeypatch):
    trained = []
    evaluate = truth.StandAlone.evaluate

    def die_at_the_second(self, subnet):
        trained.append(subnet)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return evaluate(self, subnet)

    monkeypatch.setattr(truth.StandAlone, "evaluate", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        truth.truth(settings, "standalone")
    path = settings.folder / "truth" / "standalone_seed0.csv"
    assert [row.subnet for row in QualityTable.load(path).rows] == SUBNETS[:1]
    truth.truth(settings, "standalone")
    assert trained == [SUBNETS[0], SUBNETS[1], SUBNETS[1], *SUBNETS]  # seed 0, killed and repeated, then seed 1
    tables = [QualityTable.load(path.with_name(f"standalone_seed{seed}.csv")) for seed in (0, 1)]
    assert [table.header.seed for table in tables] == [0, 1]
    assert tables[0].header.list == "test" and tables[0].header.training["steps"] == 2
    assert tables[0].rows[0].si_snri != tables[1].rows[0].si_snri


def test_trainings_that_diverge_are_left_out_and_said_when_it_is_all(settings, monkeypatch):
    def diverges(*_, **__):
        raise Diverged("learning_rate: training diverged")

    monkeypatch.setattr("controller.ladder.standalone.train", diverges)
    with pytest.raises(UserError, match="standalone_seed0.csv: every training diverged; lower its learning_rate"):
        truth.truth(settings, "standalone")
    assert not (settings.folder / "truth" / "standalone_seed0.csv").exists()


def test_the_subnets_looked_at_closely_are_eight_of_the_truth(settings, monkeypatch):
    monkeypatch.undo()  # the real list
    narrow = replace(settings, network=NetworkSettings(width=1 / 8))
    closely = truth.extremes(narrow)
    assert closely[:3] == [PAPER_WINNER, SearchSpace.smallest, SearchSpace.largest]
    assert len(set(closely)) == 8
    assert truth.truth_subnets(narrow)[:8] == closely
    assert len(set(truth.truth_subnets(narrow))) == len(truth.truth_subnets(narrow)) == 48
    bands = truth.truth_bands(SearchSpace(1 / 8))
    assert all(len(set(band) & set(truth.truth_subnets(narrow)[:24])) >= 3 for band in bands)  # half a table, all sizes


def test_shipped_rows_of_the_same_making_are_taken_over(settings, monkeypatch):
    truth.truth(settings, "standalone")
    made = {seed: QualityTable.load(settings.folder / "truth" / f"standalone_seed{seed}.csv") for seed in (0, 1)}
    half = {name: replace(table.header, versions="others") for name, table in made.items()}
    shipped = {f"standalone_seed{seed}": QualityTable(half[seed], made[seed].rows[:1]) for seed in (0, 1)}
    monkeypatch.setattr(truth.QualityTable, "bundled", staticmethod(lambda name, seed=None: shipped[name]))
    trained = []
    evaluate = truth.StandAlone.evaluate
    monkeypatch.setattr(truth.StandAlone, "evaluate", lambda self, s: trained.append(s) or evaluate(self, s))
    elsewhere = replace(settings, run=f"{settings.run}/elsewhere")
    truth.truth(elsewhere, "standalone")
    assert trained == [SUBNETS[1], SUBNETS[1]]
    again = QualityTable.load(elsewhere.folder / "truth" / "standalone_seed0.csv")
    assert again.rows == made[0].rows

    trained.clear()
    longer = replace(elsewhere, run=f"{settings.run}/longer", retrain=replace(settings.retrain, steps=3))
    truth.truth(longer, "standalone")
    assert trained == SUBNETS * 2  # another training: nothing may be taken over

    trained.clear()
    degraded = replace(settings.data, folder=f"{settings.run}/elsewhere/corpus", lip_degradation=0.5)
    truth.truth(replace(settings, run=f"{settings.run}/degraded", data=degraded), "standalone")
    assert trained == SUBNETS * 2  # on other mixtures of the same corpus and lists


class ShippedList:
    """Stands in for a list of the corpus that the shipped tables were made on, which takes minutes to make."""

    corpus, hash, lip_region = SimpleNamespace(hash="shipped"), "shipped", "detect"

    def __init__(self, corpus: object, name: str) -> None:
        header = QualityTable.bundled(f"shared_{name}").header
        self.name, self.data_hash, self.clips = name, header.data_hash, header.clips

    def __len__(self) -> int:
        return self.clips


@pytest.fixture
def shipped_corpus(monkeypatch):
    """The shipped corpus as it looks from outside, and no way to train or score."""
    for module in (truth, runs):
        monkeypatch.setattr(module, "FixedMixtures", ShippedList)
        monkeypatch.setattr(module, "Prepared", lambda fixed, device: SimpleNamespace(fixed=fixed, identity={}))
    monkeypatch.setattr(Run, "corpus", None)
    monkeypatch.setattr(Run, "mixtures", lambda *_: SimpleNamespace(identity={}))
    for module in ("controller.run.run", "controller.ladder.finetuning", "controller.ladder.standalone"):
        monkeypatch.setattr(f"{module}.train", lambda *_, **__: pytest.fail("trained"))


@pytest.mark.parametrize("part, number", [("standalone", 2), ("finetuned", 2), ("longer", 3)])
def test_with_what_ships_nothing_is_left_to_train(part, number, shipped_corpus, tmp_path):
    assert main(["truth", "--config", "truth", "--only", part, "--run", str(tmp_path)]) == 0
    tables = {path.stem: path for path in (tmp_path / "truth").glob("*.csv")}
    assert len(tables) == number and set(tables) <= set(Tables.shipped().files)
    for name, path in tables.items():
        assert sorted(map(str, QualityTable.load(path).rows)) == sorted(map(str, QualityTable.bundled(name).rows))
    with Ledger(tmp_path / "truth" / LEDGER) as ledger:
        assert not list(ledger.rows())


def test_a_table_of_another_seed_that_a_former_version_wrote_is_taken_over(shipped_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "TABLES", tmp_path / "shipped")
    shutil.copytree(truth.TABLES, shipped.TABLES)
    written = (shipped.TABLES / "standalone_longer_seed0.csv").read_text().partition("\n")[2]  # without its hash
    written = written.replace("# seed: 0", "# seed: 1").replace('"seed": 0', '"seed": 1')
    (shipped.TABLES / "standalone_longer_seed1.csv").write_text(written)
    command = ["truth", "--config", "truth", "--only", "longer", "--run", str(tmp_path)]
    assert main(command) == 0
    taken = QualityTable.load(tmp_path / "truth" / "standalone_longer_seed1.csv")
    assert len(taken) == 48 and taken.header.seed == 1


def test_a_damaged_shipped_table_is_refused_in_one_line(shipped_corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shipped, "TABLES", tmp_path / "shipped")
    shutil.copytree(truth.TABLES, shipped.TABLES)
    damaged = shipped.TABLES / "standalone_longer_seed0.csv"
    damaged.write_text(damaged.read_text()[:-30])
    assert main(["truth", "--config", "truth", "--only", "longer", "--run", str(tmp_path)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ofa-avse:")]
    assert str(damaged) in line


def test_the_shipped_supernet_is_taken_only_where_it_is_of_the_same_training(settings, monkeypatch):
    wanted = weights_hash(truth._supernet(Run(settings)))
    shipped = settings.folder / "shipped"
    shipped.mkdir()
    shutil.copy(settings.folder / "supernet" / "weights.safetensors", shipped / SUPERNET)
    fixed = FixedMixtures(Run(settings).corpus, "val")
    header = QualityHeader("shared", len(fixed), 1 / 32, False, "global", data_hash=fixed.data_hash)
    monkeypatch.setattr(truth, "TABLES", shipped)
    monkeypatch.setattr(truth.QualityTable, "bundled", staticmethod(lambda name: SimpleNamespace(header=header)))
    monkeypatch.setattr(Run, "train", lambda _: "trained")

    here = replace(settings, data=replace(settings.data, folder=str(settings.folder / "corpus")))
    (settings.folder / "same" / "supernet").mkdir(parents=True)  # killed before the copy was there
    assert weights_hash(truth._supernet(Run(replace(here, run=f"{settings.run}/same")))) == wanted
    longer = replace(here, run=f"{settings.run}/longer", supernet=replace(settings.supernet, steps=3))
    assert truth._supernet(Run(longer)) == "trained"
    assert truth._supernet(Run(replace(here, run=f"{settings.run}/seed", seed=1))) == "trained"
    degraded = replace(here, data=replace(here.data, lip_degradation=0.5))
    assert truth._supernet(Run(replace(degraded, run=f"{settings.run}/mixtures"))) == "trained"
    assert truth._supernet(Run(replace(longer, run=f"{settings.run}/same"))) == "trained"  # where the shipped one lies
    header = replace(header, data_hash="of other clips")
    assert truth._supernet(Run(replace(here, run=f"{settings.run}/data"))) == "trained"


def test_fine_tuning_alone_begins_with_the_supernet(settings, monkeypatch):
    monkeypatch.setattr(truth, "SearchSpace", Few)
    truth.truth(settings, "finetuned")
    weights = weights_hash(Run(settings).supernet)
    table = QualityTable.load(settings.folder / "truth" / "finetuned_seed0.csv")
    assert (len(table), table.header.weights_hash) == (2, weights)


def test_shared_scores_cover_both_lists_and_fine_tuning_starts_from_them(settings, monkeypatch):
    truth.truth(settings, "shared")
    val, test = (QualityTable.load(settings.folder / "truth" / f"shared_{name}.csv") for name in ("val", "test"))
    assert len(val) == len(test) == 324
    assert (val.header.list, test.header.list) == ("val", "test")
    assert val.header.data_hash != test.header.data_hash
    monkeypatch.setattr(truth, "SearchSpace", Few)
    truth.truth(replace(settings, finetune=replace(settings.finetune, steps=4, batches_per_epoch=2)), "finetuned")
    tables = [QualityTable.load(settings.folder / "truth" / f"finetuned_seed{seed}.csv") for seed in (0, 1)]
    assert [table.header.weights_hash for table in tables] == [val.header.weights_hash] * 2
    assert all(len(row.curve) == 2 for table in tables for row in table.rows)
    assert tables[0].rows[0].si_snri != tables[1].rows[0].si_snri
