"""The ledger and the evaluator in front of it."""

import math
import sqlite3

import pytest
from landscape import Landscape

from controller.ladder.evaluation import Evaluation, LedgeredEvaluator
from controller.ladder.ledger import Ledger
from supernet.errors import UserError
from supernet.space import PAPER_WINNER

IDENTITY = {"fidelity": "finetuned", "subnet": str(PAPER_WINNER), "seed": 0}


def test_stored_records_are_found_after_reopening(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put(IDENTITY, {"si_snri": 0.1 + 0.2})
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        assert ledger.get(dict(reversed(IDENTITY.items()))) == {"si_snri": 0.1 + 0.2}
        assert ledger.rows() == [(IDENTITY, {"si_snri": 0.1 + 0.2})]


@pytest.mark.parametrize("changed", [{"fidelity": "shared"}, {"seed": 1}, {"more": None}])
def test_any_difference_in_identity_is_another_evaluation(tmp_path, changed):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put(IDENTITY, {})
        assert ledger.get(IDENTITY | changed) is None


def test_file_that_is_no_ledger_is_named(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_text("what else\n" * 200)
    with pytest.raises(UserError, match="ledger.sqlite: cannot be used"):
        Ledger(path)


def test_a_full_disk_does_not_cost_the_ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.put(IDENTITY, {})
        ledger._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(UserError, match="ledger.sqlite: database or disk is full; make room"):
            ledger.put(IDENTITY | {"seed": 7}, {"x": "y" * 100_000})
        assert ledger.get(IDENTITY) == {}


@pytest.mark.parametrize("record", ["{", "[1]", "{}", '{"subnet": 3}'])
def test_a_damaged_record_is_named(tmp_path, record):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        LedgeredEvaluator(Landscape(), ledger).evaluate(PAPER_WINNER)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("UPDATE evaluations SET record = ?", [record])
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with pytest.raises(UserError, match=f"ledger.sqlite: record of {PAPER_WINNER} is damaged"):
            LedgeredEvaluator(Landscape(), ledger).evaluate(PAPER_WINNER)


def test_evaluation_survives_the_ledger_unchanged(tmp_path):
    evaluation = Evaluation(PAPER_WINNER, "finetuned", 1 / 3, 0.1, 8, (0.1, 1 / 3), 2.5)
    failed = Evaluation(PAPER_WINNER, "finetuned", math.nan, math.nan, 8, (), 2.5)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for seed, stored in enumerate((evaluation, failed)):
            ledger.put({"seed": seed}, stored.record())
        assert Evaluation.read(ledger.get({"seed": 0})) == evaluation
        assert math.isnan(Evaluation.read(ledger.get({"seed": 1})).si_snri)


def test_ledgered_evaluator_computes_once(tmp_path):
    landscape = Landscape()
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        evaluator = LedgeredEvaluator(landscape, ledger)
        assert evaluator.known(PAPER_WINNER) is None
        assert evaluator.evaluate(PAPER_WINNER) == evaluator.evaluate(PAPER_WINNER) == evaluator.known(PAPER_WINNER)
    assert landscape.asked == [PAPER_WINNER]
