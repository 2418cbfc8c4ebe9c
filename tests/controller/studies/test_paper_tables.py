"""The paper's tables from a run."""

import json
import re

import pytest
from landscape import Landscape, parameters

from controller.cli import main
from controller.search.loop import search
from controller.search.reward import Costs
from controller.search.settings import SearchSettings
from controller.studies.paper_tables import TABLE_2
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from supernet.space import SearchSpace


@pytest.fixture
def run(space, tmp_path):
    """A run with a table and a search by the controller."""
    rows = [QualityRow(s, 1000, 1e6, 10.0, 0.1, rtf=0.25) for s in SearchSpace()]
    QualityTable(QualityHeader("shared", 60, 1.0, False, "global"), rows).save(tmp_path / "quality.csv")
    search(space, Landscape(), SearchSettings(mode="paper", episodes=6), tmp_path / "search", Costs(parameters))
    return tmp_path


def changed(path):
    """A document to be changed on purpose: without its hash."""
    document = json.loads(path.read_text())
    del document["sha256"]
    return document


def printed(run, capsys):
    assert main(["tables", "--run", str(run), "--network.width", "1"]) == 0
    return re.sub(" +", " ", capsys.readouterr().out)  # without what aligns the columns


def test_table_2_begins_at_the_baseline_and_ends_at_the_winner(run, capsys):
    lines = printed(run, capsys).split("Table 3")[0].splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:7]] for line in lines if line.startswith("|")][2:]
    ours = [row for row in cells if row[0]]
    document = json.loads((run / "search" / "ppo.json").read_text())
    rewards = [float(row[4]) for row in ours[1:]]
    assert ours[0][5] == "baseline" and rewards == sorted(rewards)
    assert rewards[-1] == pytest.approx(document["winner"]["reward"], abs=1e-3)
    assert all("→" in row[5] for row in ours[1:])


def test_a_failed_training_is_no_step_forward(run, capsys):
    path = run / "search" / "ppo.json"
    document = changed(path)
    document["trajectory"][1] |= {"subnet": str(SearchSpace.smallest), "si_snri": None, "reward": 99.0}
    path.write_text(json.dumps(document))
    assert "99.000" not in printed(run, capsys)


def test_the_papers_figures_stand_beside(run, capsys):
    out = printed(run, capsys)
    assert all(f"| {' | '.join(row)} |" in out for row in TABLE_2)
    assert "| 2.4 | 13.9 | 0.22 |" in out and "| 2.9 | 14.5 | 0.19 |" in out


def test_random_search_is_a_row_once_it_has_run(space, run, capsys):
    assert "--search.method random" in printed(run, capsys)
    search(space, Landscape(), SearchSettings(method="random", episodes=2), run / "search", Costs(parameters))
    out = printed(run, capsys)
    assert "--search.method random" not in out and "random 11" in out


def test_ten_epochs_are_carried_on_by_what_was_retrained(run, capsys):
    document = json.loads((run / "search" / "ppo.json").read_text())
    winner = document["winner"]["subnet"]
    (run / "retrained" / winner).mkdir(parents=True)
    note = {"si_snri": 20.0, "standard_error": 0.1, "clips": 60}
    (run / "retrained" / winner / "validation.json").write_text(json.dumps(note))
    (row,) = [line for line in printed(run, capsys).splitlines() if line.startswith("| found")]
    assert row.split("|")[5:7] == [" 20.00 ", " 20.00 "]
    (row,) = [line for line in printed(run, capsys).splitlines() if line.startswith("| AVSE")]
    offset = 20.0 - sum(document["curves"][winner]) / 2
    largest = sum(document["curves"][str(SearchSpace.largest)]) / 2
    assert float(row.split("|")[5]) == pytest.approx(largest + offset, abs=0.01)


@pytest.mark.parametrize("part", ["curves", "trajectory", "distinct_evaluations", "settings"])
def test_a_damaged_search_is_named(run, capsys, part):
    path = run / "search" / "ppo.json"
    document = changed(path)
    del document[part]
    path.write_text(json.dumps(document))
    assert main(["tables", "--run", str(run), "--network.width", "1"]) == 2
    assert f"ppo.json: damaged (lacks {part});" in capsys.readouterr().err


def test_a_run_without_a_search_says_what_to_do(tmp_path, capsys):
    assert main(["tables", "--run", str(tmp_path)]) == 2
    assert "ofa-avse search" in capsys.readouterr().err
