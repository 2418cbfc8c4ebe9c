"""The quality table survives the disk, and its answers equal those of brute force."""

import math
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from eval.machine import fingerprint
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from supernet.errors import UserError
from supernet.space import PAPER_WINNER, SearchSpace, Subnet

BUDGETS = {"params": "max_params", "macs": "max_macs", "rtf": "max_rtf", "latency_ms": "max_latency_ms"}
BUDGETS["memory_mb"] = "max_memory_mb"


def synthetic(seed: int = 0, **changes) -> QualityTable:
    """All 324 subnets; costs and quality grow with size, with some noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for subnet in SearchSpace():
        params = int(2 * subnet.depth * subnet.expansion * subnet.bottleneck**2 + 1000 * subnet.visual)
        rtf = params / 3e7 * rng.uniform(0.8, 1.2)
        rows.append(
            QualityRow(
                subnet=subnet,
                params=params,
                macs=params * 900.0 + subnet.encoder,
                si_snri=round(3 * math.log10(params) - 10 + rng.normal(0, 0.2), 2),  # rounded: exact ties occur
                si_snri_se=0.1,
                rtf=rtf,
                latency_ms=1000 * rtf,
                memory_mb=params * 4e-6 + rng.uniform(1, 5),
                pesq=rng.uniform(1, 3) if rng.random() < 0.1 else math.nan,
                by_condition={"babble": rng.uniform(1, 5), "talker": rng.uniform(0, 4)},
            )
        )
    header = QualityHeader("shared", clips=64, width=0.125, causal=False, norm="global", machine=fingerprint(1))
    return QualityTable(replace(header, **changes), rows)


@pytest.fixture(scope="module")
def table() -> QualityTable:
    return synthetic()


def random_budgets(table: QualityTable, count: int):
    rng = np.random.default_rng(1)
    for _ in range(count):
        costs = rng.choice(list(BUDGETS), size=rng.integers(0, 4), replace=False)
        yield {cost: float(rng.choice([getattr(row, cost) for row in table.rows])) for cost in costs}


def fits(row: QualityRow, budgets: dict[str, float]) -> bool:
    return all(getattr(row, cost) <= limit for cost, limit in budgets.items())


def ask(table: QualityTable, budgets: dict[str, float]):
    return table.best(**{BUDGETS[cost]: limit for cost, limit in budgets.items()})


def test_best_equals_brute_force_over_random_budgets(table):
    answered = 0
    for budgets in random_budgets(table, 300):
        fitting = [row for row in table.rows if fits(row, budgets)]
        if not fitting:
            with pytest.raises(UserError, match="no subnet fits"):
                ask(table, budgets)
            continue
        answer = ask(table, budgets)
        quality = max(row.si_snri for row in fitting)
        assert answer.row in fitting
        assert answer.row.si_snri == quality
        assert answer.row.macs == min(row.macs for row in fitting if row.si_snri == quality)
        answered += 1
    assert answered > 200


def test_next_better_exceeds_the_budgets_least_of_all_better_rows(table):
    for budgets in random_budgets(table, 300):
        if not any(fits(row, budgets) for row in table.rows):
            continue
        answer = ask(table, budgets)
        better = [row for row in table.rows if row.si_snri > answer.row.si_snri]
        if not better:
            assert answer.next_better is None
            continue
        found = answer.next_better
        worst = {row.subnet: max(getattr(row, c) / limit for c, limit in budgets.items()) for row in better}
        assert worst[found.row.subnet] == min(worst.values()) == max(found.excess.values()) > 1
        assert found.excess == {
            c: getattr(found.row, c) / limit for c, limit in budgets.items() if getattr(found.row, c) > limit
        }


def test_best_without_budgets_is_the_best_of_all(table):
    answer = table.best()
    assert answer.row.si_snri == max(row.si_snri for row in table.rows)
    assert answer.next_better is None
    assert "best subnet of the table" in answer.text()


def test_a_budget_is_inclusive(table):
    cheapest = min(table.rows, key=lambda row: (row.params, -row.si_snri))
    assert table.best(max_params=cheapest.params).row == cheapest


def test_answer_states_fidelity_clips_error_and_the_price_of_the_next_better(table):
    answer = table.best(max_params=2.9e6, max_rtf=0.1)
    text = answer.text()
    assert str(answer.row.subnet) in text
    assert "shared, 64 clips" in text
    assert "+- 0.10" in text
    assert str(answer.next_better.row.subnet) in text
    assert "x the budget" in text


def test_a_budget_under_the_cheapest_names_it(table):
    cheapest = min(table.rows, key=lambda row: row.params)
    with pytest.raises(UserError, match=f"--max_params 10 .* of {cheapest.subnet}"):
        table.best(max_params=10, max_rtf=1.0)


def test_budgets_that_exclude_each_other_name_the_closest(table):
    lightest, fastest = (min(table.rows, key=lambda row: getattr(row, cost)) for cost in ("memory_mb", "rtf"))
    assert lightest != fastest
    with pytest.raises(UserError, match="not all at once; closest is E"):
        table.best(max_memory_mb=lightest.memory_mb, max_rtf=fastest.rtf)


@pytest.mark.parametrize("limit", [0, -1.0, math.nan, math.inf, "3", True])
def test_a_budget_that_is_no_positive_number_is_refused_by_name(table, limit):
    with pytest.raises(UserError, match="--max_macs: must be a positive"):
        table.best(max_macs=limit)


def test_measured_budgets_do_not_hold_on_another_machine():
    elsewhere = synthetic(machine="a faster machine")
    with pytest.raises(UserError, match="run `ofa-avse score` again here"):
        elsewhere.best(max_latency_ms=100)
    assert elsewhere.best(max_params=1e6).row.params <= 1e6


def test_a_measured_budget_needs_measurements(table):
    unmeasured = QualityTable(table.header, [replace(row, rtf=math.nan) for row in table.rows])
    with pytest.raises(UserError, match="RTF was not measured"):
        unmeasured.best(max_rtf=0.1)
    with pytest.raises(UserError, match="no RTF"):
        unmeasured.pareto("rtf")


@pytest.mark.parametrize("cost", ["params", "macs", "rtf"])
def test_pareto_front_is_what_no_row_dominates(table, cost):
    def dominated(row):
        return any(
            (getattr(o, cost) <= getattr(row, cost) and o.si_snri > row.si_snri)
            or (getattr(o, cost) < getattr(row, cost) and o.si_snri >= row.si_snri)
            for o in table.rows
        )

    front = table.pareto(cost)
    assert {row.subnet for row in front} == {row.subnet for row in table.rows if not dominated(row)}
    assert [getattr(row, cost) for row in front] == sorted(getattr(row, cost) for row in front)


def test_pareto_refuses_an_unknown_cost(table):
    with pytest.raises(UserError, match="cost 'weight': must be one of params"):
        table.pareto("weight")


def test_table_survives_the_disk(table, tmp_path):
    path = tmp_path / "table.csv"
    table.save(path)
    loaded = QualityTable.load(path)
    assert loaded.header == table.header
    assert [repr(row) for row in loaded.rows] == [repr(row) for row in table.rows]  # NaN is not equal to itself
    assert loaded[PAPER_WINNER].params == table[PAPER_WINNER].params
    assert list(tmp_path.iterdir()) == [path]


def test_missing_table_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match="nowhere.csv: no quality table there; `ofa-avse score`"):
        QualityTable.load(tmp_path / "nowhere.csv")


def test_row_of_an_unknown_subnet_is_an_error(table):
    partial = QualityTable(table.header, table.rows[:3])
    with pytest.raises(UserError, match=str(PAPER_WINNER)):
        partial[PAPER_WINNER]


def edit(old: str, new: str):
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: text[: text.rindex(",") - 20], "damaged in row .*cells are missing"),
        (lambda text: "\n".join(text.splitlines()[:-5]), "319 rows where its header says 324"),
        (lambda text: "", "damaged header"),
        (edit("# fidelity", "# fid"), "damaged header"),
        (edit("# clips: 64", '# clips: "64"'), "damaged header .clips must be a whole number, not .64"),
        (edit("# width: 0.125", "# width: NaN"), "width must be a number, not NaN"),
        (edit("# width: 0.125", "# width: [1]"), "width must be a number"),
        (edit("# causal: false", "# causal: 0"), "causal must be true or false"),
        (edit("# norm: ", "# norm: 1\n# list: "), "norm must be a text"),
        (edit("# training: {}", "# training: null"), "training must be an object"),
        (edit("# rows: 324", '# rows: "324"'), "rows must be a whole number"),
        (edit("si_snri_se", "error"), "lacks si_snri_se; has error"),
        (edit("E128-B128", "E100-B128"), "damaged in row 1 .*encoder must be one of"),
        (lambda text: text.replace(",0.1,", ",,"), "has no finite si_snri_se"),
        (lambda text: text.replace("-V256", "-V128"), "comes twice"),
        (edit(",0.1,", ",zero,"), "damaged in row 1"),
        (edit(",0.1,", ",0.1,7,7,"), "damaged in row 1 .*too many cells"),
        (edit(",0,,", ",0,7.5 nan,"), "has a curve that is not finite"),
    ],
)
def test_damaged_table_is_refused_with_its_name(table, tmp_path, damage, message):
    path = tmp_path / "table.csv"
    table.save(path)
    path.write_text(damage(path.read_text().partition("\n")[2]))  # without its hash, as of a former version
    with pytest.raises(UserError, match=message) as error:
        QualityTable.load(path)
    assert str(path) in str(error.value)


def cell(column: str, value: object):
    """Puts the value into the third row."""

    def put(text: str) -> str:
        lines = text.splitlines()
        first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
        cells = lines[first + 3].split(",")
        cells[lines[first].split(",").index(column)] = str(value)
        lines[first + 3] = ",".join(cells)
        return "\n".join(lines) + "\n"

    return put


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("params", value) for value in (-1000, 0, 1000.5, 1e30, "inf", "nan")),
        *(("macs", value) for value in (-1, 0, 1e30)),
        *(("si_snri", value) for value in (1e9, -1e9, "-inf")),
        *(("si_snri_se", value) for value in (-0.1, 1e9)),
        *(("rtf", value) for value in (-0.1, "inf")),
        *(("failures", value) for value in (-1, 0.5)),
        ("latency_ms", -1),
        ("memory_mb", -1),
        ("pesq", 40),
        ("stoi", 2),
        ("curve", "7.5 1e9"),
    ],
)
def test_a_row_that_can_not_be_true_is_refused_by_its_number(table, tmp_path, column, value):
    path = tmp_path / "table.csv"
    table.save(path)
    path.write_text(cell(column, value)(path.read_text().partition("\n")[2]))
    with pytest.raises(UserError, match=rf"table.csv: damaged in row 3 \({column} must .*\)"):
        QualityTable.load(path)


@pytest.mark.parametrize(
    "line", ["# width: 64.0", "# width: -0.125", "# clips: 0", '# norm: "batch"', '# fidelity: "good"', "# seconds: 0"]
)
def test_a_header_that_can_not_be_true_is_refused_by_its_key(table, tmp_path, line):
    path, key = tmp_path / "table.csv", line[2:].split(":")[0]
    table.save(path)
    text = path.read_text().partition("\n")[2]
    path.write_text("\n".join(line if old.startswith(f"# {key}:") else old for old in text.splitlines()))
    with pytest.raises(UserError, match=rf"table.csv: damaged header \({key} "):
        QualityTable.load(path)


def test_a_column_that_comes_twice_is_refused(table, tmp_path):
    path = tmp_path / "table.csv"
    table.save(path)
    lines = path.read_text().splitlines()[1:]
    first = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    lines[first] += ",si_snri"
    path.write_text("\n".join([*lines[: first + 1], *(f"{line},1.0" for line in lines[first + 1 :])]))
    with pytest.raises(UserError, match="table.csv: wrong columns .has twice si_snri.;"):
        QualityTable.load(path)


def test_a_table_of_a_million_rows_is_refused_at_once(table, tmp_path):
    path = tmp_path / "table.csv"
    table.save(path)
    lines = path.read_text().splitlines(keepends=True)[1:]
    for count in (1000, 1_000_000):
        path.write_text("".join([*lines, *lines[-1:] * count]))
        began = time.monotonic()
        with pytest.raises(UserError, match="table.csv: .* 324 "):
            QualityTable.load(path)
        assert time.monotonic() - began < 1


def test_a_bit_that_flips_anywhere_in_a_table_is_noticed(table, tmp_path):
    path = tmp_path / "table.csv"
    table.save(path)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    known = [repr(row) for row in table.rows]
    for place in [*range(90), *rng.integers(len(content), size=200)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            loaded = QualityTable.load(path)
        except UserError as error:
            assert str(path) in str(error)
        else:
            assert loaded.header == table.header and [repr(row) for row in loaded.rows] == known


def test_a_table_that_was_changed_on_purpose_is_read_without_its_hash(table, tmp_path):
    path = tmp_path / "table.csv"
    table.save(path)
    path.write_text(cell("si_snri", 1.5)(path.read_text()))
    with pytest.raises(UserError, match="table.csv: damaged, or changed since .* delete its first line"):
        QualityTable.load(path)
    path.write_text(path.read_text().partition("\n")[2])
    assert QualityTable.load(path).rows[2].si_snri == 1.5


def test_binary_file_is_refused(tmp_path):
    path = tmp_path / "winner.safetensors"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="no quality table"):
        QualityTable.load(path)


def test_a_query_does_not_import_torch():
    script = "import sys, eval.table.quality_table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_subnets_come_back_as_subnets(table):
    assert isinstance(table.best().row.subnet, Subnet)
