"""The whole job, small: every stage once, what it leaves behind, and what a kill in the middle changes (nothing)."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from controller.cli import main
from controller.commands.quickstart import affordable
from controller.search.loop import RESULT
from controller.search.reward import RewardSettings, paper_reward
from eval.costs import parameters
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from supernet import SearchSpace, Subnet, load
from supernet.checkpoint import weights_hash
from supernet.space import PAPER_WINNER


def outcome(run: Path) -> dict:
    """What may not depend on when the job was killed; measured times may."""
    table = QualityTable.load(run / "quality.csv")
    search = json.loads((run / "search" / RESULT).read_text())
    return {
        "supernet": weights_hash(load(run / "supernet" / "weights.safetensors")),
        "winner": weights_hash(load(run / "winner.safetensors")),
        "table": [(str(row.subnet), row.params, row.macs, row.si_snri, row.by_condition) for row in table.rows],
        "search": search["trajectory"],
        "curve": search["winner"]["curve"],
    }


def test_the_table_holds_all_324_subnets_with_measured_costs(run):
    table = QualityTable.load(run / "quality.csv")
    assert {row.subnet for row in table.rows} == set(SearchSpace())
    assert all(row.rtf > 0 and row.memory_mb > 0 for row in table.rows)
    assert set(table.rows[0].by_condition) == {"coloured", "modulated", "impulsive", "babble", "talker"}


def test_the_winner_is_the_best_of_the_retrained_candidates(run):
    search = json.loads((run / "search" / RESULT).read_text())
    assert len(search["candidates"]) == 2 and search["candidates"][0] == search["winner"]["subnet"]
    rewards = {}
    for name in search["candidates"]:
        si_snri = json.loads((run / "retrained" / name / "validation.json").read_text())["si_snri"]
        size = parameters(Subnet.parse(name), 0.03125)
        rewards[name] = paper_reward(si_snri, size, RewardSettings(**search["reward"]))
    winner = load(run / "winner.safetensors").subnet
    assert str(winner) == max(rewards, key=rewards.get)
    assert SearchSpace.within_bound(winner)


def test_query_answers_from_the_run(run, capsys):
    assert main(["query", "--table", str(run / "quality.csv"), "--max_params", "12000"]) == 0
    answer = capsys.readouterr().out
    assert "shared, 5 clips" in answer


def test_the_page_is_written_and_names_the_winner(run):
    page = (run / "report.html").read_text()
    assert str(load(run / "winner.safetensors").subnet) in page
    assert "of the search</th>" in page  # the candidate that lost
    assert "data:audio" in page


def test_the_resolved_settings_are_kept_and_give_the_same_run_again(run):
    before = outcome(run)
    assert main(["quickstart", "--config", str(run / "config.yaml")]) == 0
    assert outcome(run) == before


def test_other_settings_in_the_same_folder_are_refused(run, config, capsys):
    assert main(["quickstart", "--config", str(config), "--run", str(run), "--supernet.learning_rate", "1e-4"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_scores_of_another_supernet_are_no_prior(run, config, tmp_path, capsys):
    for part in ("corpus", "supernet"):
        shutil.copytree(run / part, tmp_path / part)
    table = QualityTable.load(run / "quality.csv")
    QualityTable(replace(table.header, weights_hash="of another"), table.rows).save(tmp_path / "quality.csv")
    assert main(["search", "--config", str(config), "--run", str(tmp_path)]) == 2
    assert "run `ofa-avse score` again" in capsys.readouterr().err


def test_retrain_of_another_subnet_leaves_the_winner_alone(run, config, capsys):
    before = outcome(run)["winner"]
    arguments = ["retrain", "--config", str(config), "--run", str(run), "--subnet", "smallest"]
    assert main(arguments) == 0
    assert "retrained, 5 clips" in capsys.readouterr().out
    assert outcome(run)["winner"] == before
    assert main(["report", "--config", str(config), "--run", str(run)]) == 0


@pytest.mark.parametrize("name", ["paper", "winner", "largest", "smallest"])
def test_a_subnet_may_be_named_by_what_it_is(name, run, config, tmp_path):
    """`winner` is the run's, as `winner.safetensors` is."""
    output = tmp_path / "cut.safetensors"
    arguments = ["extract", "--config", str(config), "--run", str(run), "--subnet", name, "--output", str(output)]
    assert main(arguments) == 0
    winner = load(run / "winner.safetensors").subnet
    expected = {"paper": PAPER_WINNER, "winner": winner, "largest": SearchSpace.largest}
    assert load(output).subnet == expected.get(name, SearchSpace.smallest)


@pytest.mark.parametrize("command", ["extract --output cut.safetensors", "retrain"])
def test_a_run_without_a_search_has_no_winner(command, tmp_path, capsys):
    assert main([*command.split(), "--run", str(tmp_path / "run"), "--subnet", "winner"]) == 2
    assert "search.json: not there yet; run `ofa-avse search` first" in capsys.readouterr().err


def test_enhance_uses_the_winner(run, tmp_path):
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "noisy.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 30_000), 44_100)
    assert main(["enhance", str(tmp_path / "noisy.wav"), "--model", str(run / "winner.safetensors")]) == 0
    info = soundfile.info(tmp_path / "noisy.enhanced.wav")
    assert (info.samplerate, info.channels) == (16_000, 1)
    assert abs(info.duration - 30_000 / 44_100) < 1e-3


def test_a_job_killed_again_and_again_ends_as_an_undisturbed_one(run, config, tmp_path):
    """`test_killed_job.py` does this at random moments of all stages."""
    command = [sys.executable, "-m", "controller", "quickstart", "--config", str(config), "--run", str(tmp_path)]
    for mark in ("supernet/checkpoint.safetensors", "search/ledger.sqlite", "retrained"):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and not (tmp_path / mark).exists():
            time.sleep(0.02)
        assert process.poll() is None, f"ended before {mark} was there"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert main(["quickstart", "--config", str(config), "--run", str(tmp_path)]) == 0
    assert outcome(tmp_path) == outcome(run)


@pytest.mark.parametrize("width", [1 / 32, 1 / 8, 1 / 4, 1 / 2, 1])
def test_the_budget_that_is_advised_at_the_end_can_be_met(width, tmp_path, capsys):
    """At any width, by the command as it is printed; and it is no budget for all."""
    path = tmp_path / "quality.csv"
    rows = [QualityRow(subnet, parameters(subnet, width), 1e6, 1.0, 0.1) for subnet in SearchSpace()]
    table = QualityTable(QualityHeader("shared", 5, width, False, "global"), rows, path)
    table.save(path)
    assert main(["query", "--table", str(path), "--max_params", affordable(table)]) == 0
    assert "k parameters" in capsys.readouterr().out or width >= 1 / 2
    assert 0.3 < np.mean([row.params <= float(affordable(table)) for row in rows]) < 0.9


def test_the_last_line_is_a_command_that_answers(run, config, capsys):
    assert main(["quickstart", "--config", str(config), "--run", str(run)]) == 0
    *_, again = capsys.readouterr().out.splitlines()
    assert again.startswith("again  ofa-avse query ")
    assert main(again.split()[2:]) == 0
