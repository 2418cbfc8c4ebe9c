"""What a result depends on is its identity, and nothing else is; results of former versions keep theirs."""

import json
import shutil
import sqlite3
from dataclasses import asdict, replace

import pytest
from reading import read

from controller.cli import find_config
from controller.ladder.evaluation import Evaluation, LedgeredEvaluator
from controller.ladder.finetuning import FineTuning
from controller.ladder.ledger import Ledger
from controller.run import run as runs
from controller.run.run import Run
from eval import evaluation
from eval.table import fill, query, scoring
from eval.table.quality_table import QualityTable
from eval.table.shipped import TABLES
from supernet.checkpoint import identity_hash
from supernet.errors import UserError
from supernet.space import SearchSpace
from supernet.training import choices


@pytest.fixture
def copied(run, config, tmp_path) -> Run:
    """The finished run, to be changed."""
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    return Run(read(config, tmp_path))


@pytest.fixture
def newer_metric(monkeypatch):
    for module in (runs, fill, query, scoring, evaluation):
        monkeypatch.setattr(module, "METRIC_VERSION", 2)


def test_nothing_that_holds_a_score_is_served_once_the_metric_has_changed(copied, newer_metric):
    winner = copied.winner.subnet
    with pytest.raises(UserError, match=r"quality.csv: .*version 1 of the metric.*ofa-avse score"):
        assert copied.table
    with pytest.raises(UserError, match="version 1 of the metric"):
        QualityTable.load(copied.paths.table).best(max_params=1e9)
    assert copied.score().header.metric_version == 2
    assert copied.retrained(winner) is None
    copied.retrain(winner)
    assert copied.retrained(winner)
    assert copied.evaluate("test", perceptual=False).metric_version == 2
    with copied.ledger as ledger:
        assert LedgeredEvaluator(copied.fine_tuning(), ledger).known(winner) is None


def test_partial_scores_are_of_one_version_of_the_metric(copied, monkeypatch):
    partial = copied.paths.table.with_name("quality.csv.partial")
    seen = [len(partial.read_bytes().splitlines())]
    for version in (1, 2, 2):
        monkeypatch.setattr(scoring, "METRIC_VERSION", version)
        list(scoring.score_all(copied.supernet, copied.validation, SearchSpace(copied.supernet.width), partial))
        seen.append(len(partial.read_bytes().splitlines()))
    assert seen == [108, 108, 216, 216]


def former(fine_tuning: FineTuning, **training: object) -> dict:
    """The identity of commit 83fcd35: settings as they were given."""
    settings = asdict(fine_tuning.settings) | {"precision": "auto", "checkpoint_every": 50} | training
    del settings["kernels"]
    return fine_tuning.identities()[0] | {"training": settings}


def written_by_83fcd35(path, rows):
    Ledger(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 0")
        for identity, evaluation in rows:
            values = [identity_hash(identity), json.dumps(identity), json.dumps(evaluation.record())]
            connection.execute("INSERT INTO evaluations (key, identity, record) VALUES (?, ?, ?)", values)


def test_rows_of_a_former_version_are_found(copied, tmp_path):
    """Of three that are one evaluation by now, the first; of another seed, none."""
    path, subnet, tuning = tmp_path / "former.sqlite", SearchSpace.smallest, copied.fine_tuning()
    evaluations = [Evaluation(subnet, "finetuned", value, 0.1, 5, (value,), 1.0) for value in (1.0, 2.0, 3.0)]
    identities = [former(tuning), former(tuning, checkpoint_every=7), former(tuning, seed=5)]
    rows = [(identity | {"subnet": str(subnet)}, e) for identity, e in zip(identities, evaluations, strict=True)]
    written_by_83fcd35(path, rows)
    for _ in range(2):
        with Ledger(path) as ledger:
            found = LedgeredEvaluator(tuning, ledger).known(subnet)
            assert found == evaluations[0] and len(ledger.rows()) == 3
    other = FineTuning(copied.supernet, tuning.mixtures, tuning.validation, replace(tuning.settings, seed=4))
    with Ledger(path) as ledger:
        assert LedgeredEvaluator(other, ledger).known(subnet) is None


@pytest.mark.parametrize("kernels, found", [("auto", True), ("torch", True), ("compiled", False)])
def test_rows_by_other_kernels_count_for_auto_alone(copied, tmp_path, kernels, found):
    subnet, tuning = SearchSpace.smallest, copied.fine_tuning()
    if len(tuning.choices) < 2:
        pytest.skip("no compiled kernels here")
    evaluation = Evaluation(subnet, "finetuned", 1.0, 0.1, 5, (1.0,), 1.0)
    settings = copied.settings.finetune
    of = {
        name: FineTuning(copied.supernet, tuning.mixtures, tuning.validation, replace(settings, kernels=name))
        for name in ("auto", "torch", "compiled")
    }
    with Ledger(tmp_path / "other.sqlite") as ledger:
        LedgeredEvaluator(of["torch"], ledger).store(evaluation)
        assert LedgeredEvaluator(of[kernels], ledger).known(subnet) == (evaluation if found else None)


@pytest.mark.parametrize("change", [{"checkpoint_every": 1}, {"precision": "32-true"}])
def test_settings_that_change_no_evaluation_are_not_in_its_key(copied, change):
    tuning = copied.fine_tuning()
    changed = replace(copied.settings.finetune, **change)
    other = FineTuning(copied.supernet, tuning.mixtures, tuning.validation, changed)
    assert other.identities() == tuning.identities()


@pytest.mark.parametrize("path", sorted(TABLES.glob("*.csv")), ids=lambda path: path.stem)
def test_shipped_tables_are_of_the_trainings_that_their_configuration_says(path, tmp_path):
    settings = read(find_config("truth"), tmp_path)
    header, network = QualityTable.load(path).header, settings.network.fresh(SearchSpace.smallest, 0)
    kind = path.stem.partition("_")[0]
    given = {"standalone": settings.retrain, "finetuned": settings.finetune, "shared": settings.supernet}[kind]
    steps = settings.truth.longer * given.steps if "longer" in path.stem else given.steps
    (chosen,) = choices(replace(given, seed=header.seed, steps=steps), network)
    known = ("checkpoint_every", *(["batches_per_epoch"] if kind != "finetuned" else []))
    expected = {name: value for name, value in asdict(chosen).items() if name not in (*known, "kernels", "precision")}
    assert header.training == expected
