"""The `rank` command on made-up tables, whole and with some missing, as a user meets it."""

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controller.cli import main
from eval.ranking.study import Study
from eval.ranking.tau import Resamples
from eval.table.quality_table import QualityTable
from eval.table.shipped import Tables
from supernet.space import PAPER_WINNER, SearchSpace


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """The bootstrap is tested by itself."""
    monkeypatch.setattr("eval.ranking.study.Resamples", partial(Resamples, draws=200))


@pytest.fixture(scope="module")
def study(truth_tables: Path) -> Study:
    return Study(Tables.of(truth_tables))


@pytest.fixture
def folder(truth_tables: Path, tmp_path: Path) -> Path:
    """A copy to take tables from."""
    return Path(shutil.copytree(truth_tables, tmp_path / "tables"))


def rank(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    assert main(["rank", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The one line of a command that must fail as bad input does."""
    assert main(["rank", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    return line


def raise_all(path: Path, decibels: float, rows: int | None = None) -> None:
    """Raise the quality of all subnets of a table, and keep only its first `rows`."""
    table = QualityTable.load(path)
    QualityTable(table.header, [replace(r, si_snri=r.si_snri + decibels) for r in table.rows[:rows]]).save(path)


def cells(report: str, first: str) -> list[str]:
    """The first row of a table that begins with `first`."""
    row = next(line for line in report.splitlines() if line.startswith(f"| {first} "))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_report_holds_every_part(truth_tables, capsys):
    report = rank(capsys, "--folder", truth_tables)
    assert cells(report, "standalone_seed1") == [
        "standalone_seed1",
        "retrained",
        "test",
        "160",
        "600",
        "1",
        "48 of 324",
    ]
    assert cells(report, "shared")[1] == "48"
    assert cells(report, "69.2 k, 1 x winner")[1] == "29"
    assert cells(report, "power law, read at 60 epochs")[1] == "44"
    assert len(cells(report, str(PAPER_WINNER))) == 6
    assert len(cells(report, "visual 128 -> 256")) == 4
    assert "Inherited minus the truth, 48 subnets: mean -0." in report
    assert "no clip in common" in report
    assert "Left out" not in report
    assert "nan" not in report


def test_longer_trainings_can_be_the_truth(truth_tables, capsys):
    report = rank(capsys, "--folder", truth_tables, "--truth", "standalone_longer")
    assert cells(report, "shared")[1] == "8"
    assert "From scratch minus the truth, 8 subnets: mean -0." in report
    assert "truth 'longest': must be" in refused(capsys, "--folder", truth_tables, "--truth", "longest")


def test_the_report_can_be_kept_as_markdown(truth_tables, tmp_path, capsys):
    assert (
        rank(capsys, "--folder", truth_tables, "--output", tmp_path / "rank.md") == (tmp_path / "rank.md").read_text()
    )


def test_the_plot_is_a_picture(truth_tables, tmp_path, capsys):
    rank(capsys, "--folder", truth_tables, "--plot", tmp_path / "rank.png")
    assert Image.open(tmp_path / "rank.png").size[0] > 800


@pytest.mark.parametrize("missing", ["standalone", "shared", "finetuned", "standalone_longer", "standalone_seed1"])
def test_a_missing_table_is_named_and_the_rest_goes_on(missing, folder, capsys):
    for path in folder.glob(f"{missing}*.csv"):
        path.unlink()
    report = rank(capsys, "--folder", folder)
    if missing == "standalone_seed1":
        assert cells(report, "ceiling: seed against seed")[2:] == ["n/a", "n/a"]
    else:
        assert f"Left out: no table `{missing}" in report or f", `{missing}" in report
    assert "## The paper's claims" in report
    assert "nan" not in report


def test_a_study_that_is_still_running_is_reported(folder, capsys):
    """Some rows of the second seed and of the fine-tuned scores are there."""
    for name, rows in (("standalone_seed1", 20), ("finetuned_seed0", 12)):
        table = QualityTable.load(folder / f"{name}.csv")
        QualityTable(table.header, table.rows[:rows]).save(folder / f"{name}.csv")
    report = rank(capsys, "--folder", folder)
    assert cells(report, "ceiling: seed against seed")[1] == "20"
    assert "Left out: 'fine-tuned' has not all of the truth's subnets yet" in report
    assert "Left out: 'fine-tuned' does not have all 324 yet" in report


def test_intervals_of_a_few_subnets_a_band_are_called_too_narrow(folder, study, capsys):
    assert "too narrow" not in rank(capsys, "--folder", folder)
    few = {subnet for band in study.bands() for subnet in band[:2]}
    for seed in (0, 1):
        table = QualityTable.load(folder / f"standalone_seed{seed}.csv")
        QualityTable(table.header, [row for row in table.rows if row.subnet in few]).save(table.path)
    assert f"Most of the {len(few)} subnets are in bands of fewer than 4" in rank(capsys, "--folder", folder)


def test_scores_on_the_clips_of_the_truth_are_called_so(folder, capsys):
    shutil.copy(folder / "shared_test.csv", folder / "shared_val.csv")
    assert "the SAME clips" in rank(capsys, "--folder", folder)


def test_a_single_subnet_is_no_study_but_no_error(folder, capsys):
    for path in folder.glob("*.csv"):
        if path.stem != "standalone_seed0":
            path.unlink()
    table = QualityTable.load(folder / "standalone_seed0.csv")
    QualityTable(table.header, table.rows[:1]).save(table.path)
    assert cells(rank(capsys, "--folder", folder), "MACs alone")[2:] == ["n/a", "n/a"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    assert "nowhere: no such folder" in refused(capsys, "--folder", tmp_path / "nowhere")


def test_a_folder_without_tables_is_one_line(tmp_path, capsys):
    assert "holds no table" in refused(capsys, "--folder", tmp_path)


def test_tables_of_two_studies_are_refused(folder, capsys):
    table = QualityTable.load(folder / "shared_val.csv")
    QualityTable(replace(table.header, width=1.0), table.rows).save(table.path)
    assert "width" in refused(capsys, "--folder", folder)


def test_tables_of_other_clips_are_refused(folder, capsys):
    table = QualityTable.load(folder / "shared_test.csv")
    QualityTable(replace(table.header, data_hash="another corpus"), table.rows).save(table.path)
    assert "data_hash" in refused(capsys, "--folder", folder)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("standalone_seed1", {"training": {"steps": 2400}}, "standalone_seed1.csv: has training"),
        ("standalone_seed1", {"seed": 0}, "standalone_seed1.csv: is of seed 0"),
        ("standalone_seed1", {"fidelity": "shared"}, "standalone_seed1.csv: holds shared scores"),
        ("shared_val", {"weights_hash": "of another supernet"}, "shared_val.csv: has weights_hash"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_tables_that_were_not_made_together_are_refused(name, change, said, folder, capsys):
    """The truth is no mean over trainings of two lengths, and fine-tuning began at the scored weights."""
    table = QualityTable.load(folder / f"{name}.csv")
    QualityTable(replace(table.header, **change), table.rows).save(table.path)
    assert said in refused(capsys, "--folder", folder)


def test_training_settings_that_are_no_counts_are_one_line(folder, capsys):
    for seed in range(2):
        path = folder / f"standalone_seed{seed}.csv"
        text = path.read_text().partition("\n")[2]  # without its hash
        path.write_text(text.replace('"steps": 600', '"steps": "600"'))
    assert "standalone_seed0.csv: damaged header (training.steps" in refused(capsys, "--folder", folder)


@pytest.mark.filterwarnings("error")
def test_tables_without_any_spread_are_no_error(folder, capsys):
    for path in folder.glob("*.csv"):
        table = QualityTable.load(path)
        QualityTable(table.header, [replace(row, si_snri=5.0) for row in table.rows]).save(path)
    assert cells(rank(capsys, "--folder", folder), "shared")[2:] == ["n/a", "n/a"]


@pytest.mark.parametrize("place", [".", "/", "", "tables"])
def test_a_place_that_cannot_be_written_is_one_line(place, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for option in ("--output", "--plot"):
        line = refused(capsys, "--folder", folder, option, place)
        assert line.endswith("choose another path or make room") and ".partial" not in line
    assert [path.name for path in folder.parent.iterdir()] == ["tables"]


def test_an_empty_folder_option_is_not_the_shipped_tables(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "holds no table" in refused(capsys, "--folder", "")


def test_a_damaged_table_is_one_line(folder, capsys):
    (folder / "shared_val.csv").write_text("broken")
    assert "shared_val.csv: damaged" in refused(capsys, "--folder", folder)


def test_a_plot_without_its_tables_is_one_line(folder, tmp_path, capsys):
    (folder / "shared_val.csv").unlink()
    assert "--plot: needs table shared_val" in refused(capsys, "--folder", folder, "--plot", tmp_path / "rank.png")


def test_other_files_in_the_folder_do_not_matter(folder, capsys):
    (folder / "notes.csv").write_text("broken")
    rank(capsys, "--folder", folder)


def test_it_answers_without_torch():
    script = "import sys, controller.studies.rank; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_good_scores_rank_better_than_macs_and_near_the_ceiling(study):
    ranking = study.ranking()
    assert ranking["shared"].ahead.low > 0
    assert ranking["shared"].in_bands.low > 0
    assert ranking["shared"].of_ceiling_one_seed.value == pytest.approx(1, abs=0.1)
    assert ranking["MACs alone"].ahead.value == 0


def test_the_truth_is_the_mean_of_its_seeds(study):
    first, second = (study.values[f"standalone_seed{seed}"] for seed in (0, 1))
    assert study.truth[PAPER_WINNER] == pytest.approx((first[PAPER_WINNER] + second[PAPER_WINNER]) / 2)
    sample = Resamples(study.bands(), draws=0)
    assert study.ceiling()[1].value == pytest.approx(sample.tau(first, second)[0])


def test_a_seed_that_lacks_subnets_does_not_move_those_that_it_has(folder, study):
    raise_all(folder / "standalone_seed1.csv", 1.0, rows=20)
    unfinished = Study(Tables.of(folder))
    finished = [subnet for subnet in study.truth if subnet in unfinished.seeds[1]]
    lifts = [unfinished.truth[subnet] - study.truth[subnet] for subnet in study.truth]
    assert len(finished) == 20
    assert np.ptp([unfinished.truth[subnet] - study.truth[subnet] for subnet in finished]) == pytest.approx(0, abs=1e-9)
    assert np.ptp(lifts) < 0.3  # seed noise, and not the half of a decibel


def test_the_plot_of_an_unfinished_study_has_its_bars(folder, tmp_path, capsys):
    """Some subnets have the first seed only, some the second, far above it."""
    raise_all(folder / "standalone_seed1.csv", 1.0, rows=20)
    table = QualityTable.load(folder / "standalone_seed0.csv")
    QualityTable(table.header, table.rows[10:]).save(table.path)
    rank(capsys, "--folder", folder, "--plot", tmp_path / "rank.png")
    assert (tmp_path / "rank.png").is_file()


def test_noise_is_what_was_put_in(study):
    noise = study.noise()
    assert noise.seeds == pytest.approx(0.05, rel=0.25)
    assert noise.seeds < noise.in_bands < noise.overall
    assert noise.signal_in_bands == pytest.approx(1 - noise.seeds**2 / 2 / noise.in_bands**2)
    assert noise.signal > noise.signal_in_bands
    assert study.difference_error() == pytest.approx(noise.seeds)  # of two means of two


def test_a_seed_that_lifts_all_subnets_alike_is_no_noise(folder, study):
    """Its batches are luckier for every subnet: that orders nothing, and is in no spread between subnets."""
    raise_all(folder / "standalone_seed1.csv", 1.0)
    lifted = Study(Tables.of(folder)).noise()
    assert lifted.seeds == pytest.approx(study.noise().seeds)
    assert lifted.signal_in_bands == pytest.approx(study.noise().signal_in_bands)


def test_a_score_that_knows_the_truth_has_no_regret(study):
    knowing = Study(Tables.of(study.tables["shared_val"].path.parent))
    knowing.values["shared_val"] = {**knowing.values["shared_val"], **knowing.truth}
    assert knowing.mean_regret()["shared"] == 0
    assert study.mean_regret()["shared"] >= 0
    assert [budget.of_winner for budget in study.regret()] == [0.5, 0.75, 1.0, 1.5, 2.0]


def test_anchors_are_left_out_of_the_error_and_reduce_it(study):
    anchors, ways = study.extrapolations()
    assert {SearchSpace.smallest, SearchSpace.largest} <= set(anchors)
    errors = [way.error for way in ways.values()]
    assert errors[2] < min(errors[:2])
    assert all(way.subnets == len(study.truth) - len(anchors) for way in ways.values())


def test_inherited_weights_are_compared_on_the_list_of_the_truth(study):
    difference = study.against_truth(study.values["shared_test"])
    assert difference.subnets == 48
    assert difference.mean == pytest.approx(-0.3, abs=0.05)
    assert difference.standard_deviation == pytest.approx(0.1, rel=0.3)
    assert study.looked_at()[:3] == [PAPER_WINNER, SearchSpace.smallest, SearchSpace.largest]
