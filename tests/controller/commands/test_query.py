"""Budgets as people write them."""

import pytest

from controller.cli import main
from controller.commands.query import UNITS, amount
from eval.table.shipped import TABLES
from supernet.errors import UserError

TABLE = str(TABLES / "shared_val.csv")


@pytest.mark.parametrize(
    ("key", "text", "number"),
    [
        ("max_params", "60000", 60e3),
        ("max_params", "60e3", 60e3),
        ("max_params", "60k", 60e3),
        ("max_params", "1M", 1e6),
        ("max_params", " 1.5 M ", 1.5e6),
        ("max_macs", "0.04G", 40e6),
        ("max_latency_ms", "10ms", 10),
        ("max_latency_ms", "0.01s", 10),
        ("max_latency_ms", "10", 10),
        ("max_rtf", "0.02", 0.02),
        ("max_memory_mb", "500kB", 0.5),
    ],
)
def test_a_budget_may_have_its_unit(key, text, number):
    assert amount(key, text) == pytest.approx(number)


@pytest.mark.parametrize("key", UNITS)
@pytest.mark.parametrize("text", ["nan", "inf", "-5", "0", "", "many", "60x", "1e999", "1.2.3", "k", "+-1"])
def test_nonsense_is_one_line_that_names_the_key(key, text):
    with pytest.raises(UserError, match=f"{key}: .* is no budget; give a number above 0"):
        amount(key, text)


def test_both_ways_answer_the_same(capsys):
    for text in ("60k", "60e3"):
        assert main(["query", "--table", TABLE, "--max_params", text]) == 0
    first, second = capsys.readouterr().out.strip().split("E192-B128-X6-R4-H2.5-V256  SI-SNRi")[1:]
    assert first.strip() == second.strip()
    assert main(["query", "--table", TABLE, "--max_params", "nan"]) == 2
    assert capsys.readouterr().err == (
        "ofa-avse: max_params: nan is no budget; give a number above 0, such as 60e3 or 60k\n"
    )
