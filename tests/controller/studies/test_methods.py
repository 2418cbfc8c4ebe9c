"""The search benchmark: its landscapes, what it measures, that it goes on where it was, and its command."""

import math
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import pytest
from scipy.stats import kendalltau

from controller.cli import main
from controller.run.run import held
from controller.search.ppo import PPOSettings
from controller.search.settings import SearchSettings
from controller.studies.methods.landscapes import SYNTHETIC, TAU, Landscape, synthetic
from controller.studies.methods.runs import ABLATIONS, FREE, SEARCHES, Job, Run, run, run_all
from controller.studies.methods.summary import evaluations_to, regret_after, steps_to, table
from eval.costs import macs, parameters
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from supernet.errors import UserError

SHORT = replace(FREE, method="random", max_evaluations=20)


@pytest.mark.parametrize("kind", SYNTHETIC)
def test_synthetic_landscapes_are_drawn_anew_for_each_seed_with_a_prior_of_the_stated_rank(kind):
    first, again, other = synthetic(kind, 1), synthetic(kind, 1), synthetic(kind, 2)
    assert first == again != other
    tau = kendalltau(list(first.quality.values()), list(first.shared.values())).statistic
    assert tau == pytest.approx(TAU, abs=0.01)
    assert min(first.quality.values()) > 0


def test_optimum_is_the_best_reward_within_the_bound():
    landscape = synthetic("noise", 0)
    assert len(landscape.rewards) == 288
    assert landscape.rewards[landscape.optimum] == max(landscape.rewards.values())


def test_a_run_measures_regret_after_each_distinct_evaluation_and_ends_at_the_optimum():
    landscape = synthetic("smooth", 0)
    found = run("smooth", landscape, "exhaustive", replace(FREE, method="exhaustive", max_evaluations=None), 0)
    order = list(landscape.rewards)
    assert len(found.regrets) == 1 + 1 + order.index(landscape.optimum)  # the largest first
    best = max(landscape.rewards[subnet] for subnet in order[:9])
    assert found.regrets[9] == pytest.approx(landscape.rewards[landscape.optimum] - best)
    assert found.regrets[-1] == 0 and list(found.regrets) == sorted(found.regrets, reverse=True)


def test_what_is_read_from_a_run():
    some = Run("t", "s", 0, (3.0, 0.4, 0.05, 0.0), (0, 2, 5, 9), "x", 1.0)
    assert (evaluations_to(some, 0.1), evaluations_to(some, 0.0), steps_to(some, 0.1)) == (3, 4, 5)
    assert (regret_after(some, 2), regret_after(some, 100)) == (0.4, 0.0)
    stuck = replace(some, regrets=(3.0,), steps=(0,))
    assert evaluations_to(stuck, 0.1) == math.inf
    line = table([some, stuck, stuck]).splitlines()[-1]
    assert "never (3-never)" in line and "33%" in line


def test_finished_runs_are_not_run_again(tmp_path, monkeypatch):
    jobs = [Job("smooth", None, "random", SHORT, seed) for seed in range(2)]
    first = run_all(jobs, tmp_path / "runs.jsonl", 1)
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"key": "cut sho')  # by a kill
    monkeypatch.setattr(Job, "do", None)
    assert run_all(jobs, tmp_path / "runs.jsonl", 1) == first


@pytest.mark.parametrize(
    ("search", "key"),
    [
        ("surrogate", "4f3be4cc20cf"),
        ("paper", "151b4d8d896b"),
        ("walk", "23db5b953ec4"),
        ("tpe", "7627e2d33600"),
        ("paper, penalty instead of mask", "8324caaf0458"),
        ("paper, literal epsilon", "3d75e07c05d2"),
        ("paper, MLP", "72e391877c50"),
        ("surrogate, no prior, MLP", "64390441d029"),
    ],
)
def test_runs_that_commit_ee8efb0_has_kept_are_found_by_their_keys(search, key):
    assert Job("noise", None, search, {**SEARCHES, **ABLATIONS}[search], seed=3).key.startswith(key)


def test_what_lost_is_no_setting_of_the_product_and_changes_the_search_of_the_studies():
    product = {field.name for kind in (SearchSettings, PPOSettings) for field in fields(kind)}
    assert not product & {"masked", "network", "epsilon_in_ratio"}
    landscape, found = synthetic("noise", 0), {}
    for name in ("paper", "paper, penalty instead of mask", "paper, literal epsilon", "paper, MLP"):
        found[name] = run("noise", landscape, name, replace(ABLATIONS[name], episodes=12), 0)
    assert len({(each.regrets, each.steps) for each in found.values()}) == 4
    unchanged = SearchSettings(mode="paper", state="paper", episodes=12)
    product = run("noise", landscape, "paper", unchanged, 0)
    assert (product.regrets, product.steps) == (found["paper"].regrets, found["paper"].steps)


def test_a_benchmark_that_is_stopped_leaves_what_it_has_not_begun(tmp_path, monkeypatch):
    begun = []

    def do(job):
        begun.append(job.seed)
        time.sleep(0.05)
        raise KeyboardInterrupt

    class Threads(ThreadPoolExecutor):
        def __exit__(self, *error):
            self.shutdown(cancel_futures=True)

    monkeypatch.setattr(Job, "do", do)
    monkeypatch.setattr("controller.studies.methods.runs.WorkerPool", Threads)
    with pytest.raises(KeyboardInterrupt):
        run_all([Job("smooth", None, "random", SHORT, seed) for seed in range(40)], tmp_path / "runs.jsonl", 1)
    assert len(begun) < 20


@pytest.mark.parametrize("line", ["{", "[]", '{"key": "k"}', '{"key": "k", "regrets": [], "steps": []}'])
def test_a_damaged_line_of_finished_runs_is_named(tmp_path, line):
    (tmp_path / "runs.jsonl").write_text(line + "\n")
    with pytest.raises(UserError, match="runs.jsonl: line 1 is damaged"):
        run_all([], tmp_path / "runs.jsonl", 1)


def test_command_compares_methods_on_a_given_table(tmp_path, capsys, monkeypatch):
    landscape = synthetic("smooth", 0)
    files = {"table": landscape.quality, "shared": landscape.shared}
    for name, qualities in files.items():
        write(tmp_path / f"{name}.csv", qualities, landscape)
    monkeypatch.setattr("controller.studies.methods.command.SEARCHES", {"random": SHORT})
    alone = QualityTable.load(tmp_path / "table.csv")
    monkeypatch.setattr(QualityTable, "bundled", staticmethod(lambda name, seed=None: alone))
    options = [f"--{name}={tmp_path / name}.csv" for name in files]
    assert main(["benchmark", *options, "--on", "finetuned", "--seeds", "2", "--output", str(tmp_path / "out")]) == 0
    assert "| random | 2 |" in re.sub(" +", " ", capsys.readouterr().out)
    assert (tmp_path / "out" / "methods.png").stat().st_size > 1000
    # the bundled subnets trained alone say nothing of those of another table
    assert "trained alone" not in (tmp_path / "out" / "methods.md").read_text()
    assert main(["benchmark", "--on", "finetuned", "--seeds", "2", "--output", str(tmp_path / "out")]) == 0
    assert "trained alone" in (tmp_path / "out" / "methods.md").read_text()


def test_a_table_of_too_few_subnets_is_named(tmp_path, capsys):
    landscape = synthetic("smooth", 0)
    some = dict(list(landscape.quality.items())[:40])
    for name in ("table", "shared"):
        write(tmp_path / f"{name}.csv", some, landscape)
    options = [f"--{name}={tmp_path / name}.csv" for name in ("table", "shared")]
    assert main(["benchmark", *options, "--on", "finetuned"]) == 2
    assert "table.csv: holds 40 subnets" in capsys.readouterr().err


def write(path: Path, qualities: dict, landscape: Landscape) -> None:
    rows = [
        QualityRow(s, parameters(s, landscape.width), macs(s, landscape.width), quality, 0.1)
        for s, quality in qualities.items()
    ]
    QualityTable(QualityHeader("finetuned", 60, landscape.width, False, "global"), rows).save(path)


def test_two_benchmarks_do_not_write_into_one_folder(tmp_path, capsys):
    with held(tmp_path, "output"):
        assert main(["benchmark", "--on", "smooth", "--seeds", "1", "--output", str(tmp_path)]) == 2
    assert "is in use by another process" in capsys.readouterr().err
