"""The report page: complete in itself, complete in its sections, safe with strange text, open about what is missing."""

import base64
import io
import json
import math
import re
from dataclasses import replace
from html import unescape
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from jinja2 import UndefinedError
from PIL import Image

from eval.machine import fingerprint
from eval.mean import Mean
from eval.report.content import (
    EvaluationRow,
    ExampleClip,
    FidelityRow,
    Missing,
    ReportContent,
    SearchRow,
    Winner,
)
from eval.report.format import count, duration, score
from eval.report.media import lips_sprite_url, spectrogram_db
from eval.report.page import environment, write_page
from eval.table import clips
from eval.table.clips import ByClip
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from supernet.errors import UserError
from supernet.space import PAPER_WINNER, SearchSpace

SECTIONS = ("listen", "conditions", "budget", "search", "fidelities", "made", "table")


def example_content() -> ReportContent:
    """A whole run, made up: every subnet, one example, one condition."""
    rows = [
        QualityRow(subnet, 1000 + 7 * index, 1e6 + index, 3 + math.log1p(index), 0.2, rtf=0.01 + 1e-5 * index,
                   by_condition={"babble": 2.0})
        for index, subnet in enumerate(SearchSpace())
    ]  # fmt: skip
    header = QualityHeader("shared", clips=48, width=0.125, causal=False, norm="global")
    winner = str(PAPER_WINNER)
    metric = Mean(0.8, 0.01, 12)
    samples = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    return ReportContent(
        title="A run",
        winner=Winner(winner, 61_000, 5.2e7, 0.011, Mean(5.43, 0.21, 60), "retrained from scratch"),
        corpus="Synthetic talkers.",
        settings={"seed": "0"},
        stage_seconds={"corpus": 80.0, "supernet": 260.0},
        machine="two cores",
        table=QualityTable(header, rows),
        search=[SearchRow(1, step, winner, 61_000, 4.2, 0.9 + step / 100) for step in (1, 2)],
        search_method="PPO",
        search_fidelity="finetuned",
        search_clips=48,
        fidelities=[
            FidelityRow("winner", winner, 61_000, {"shared": Mean(4.1, 0.2, 48), "retrained": Mean(5.4, 0.2, 48)}),
            FidelityRow("largest", str(SearchSpace.largest), 190_000,
                        {"shared": Mean(4.6, 0.2, 48), "retrained": Missing("ofa-avse retrain --subnet L")}),
        ],
        evaluation=[
            EvaluationRow("noisy", "babble", Mean(0.0, 0.0, 12), metric, metric, metric, failures=0),
            EvaluationRow("with lips", "babble", Mean(5.1, 0.3, 12), Mean(math.nan, math.nan, 0), metric, metric, 12),
        ],
        examples=[ExampleClip("babble", "clip-1", -2.0, 5.2, samples, samples, samples,
                              np.zeros((25, 88, 88), np.uint8))],
        notes=["A demonstration."],
    )  # fmt: skip


def page_of(content: ReportContent, folder: Path) -> str:
    write_page(folder / "report.html", content)
    return (folder / "report.html").read_text(encoding="utf-8")


def body_of(page: str) -> str:
    """The page without its scripts and style."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(example_content(), tmp_path_factory.mktemp("page"))


def test_page_loads_nothing_from_elsewhere(page: str) -> None:
    sources = re.findall(r"""\b(?:src|href)\s*=\s*["']?([^"'\s>]+)""", body_of(page))
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)

    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    assert len(styles) == 1 and "url(" not in styles[0] and "@import" not in styles[0]
    assert not re.search(r"<script[^>]*\bsrc", page) and '<link rel="stylesheet' not in page
    assert len(page) < 12e6


def test_every_section_is_there_and_has_content(page: str) -> None:
    for name in SECTIONS:
        assert page.count(f'<section id="{name}">') == 1
    assert 'class="empty"' not in body_of(page)
    assert "5.43 ± 0.21 dB" in page and str(PAPER_WINNER) in page
    assert body_of(page).count("<tr") > 324


def test_figures_have_a_place_and_all_subnets_are_in_the_data(page: str) -> None:
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])

    assert set(data["figures"]) == {"plot-params", "plot-rtf", "plot-search", "plot-conditions"}
    assert all(f'id="{name}"' in page for name in data["figures"])
    assert len({row["subnet"] for row in data["rows"]}) == 324
    names = [trace["name"] for trace in data["figures"]["plot-params"]["data"]]
    assert names == ["all 324 subnets", "Pareto front", "evaluated by the search", "winner", "best within the budget"]


def test_the_sliders_show_what_query_answers(tmp_path: Path) -> None:
    """To every pair of budgets that they offer, with ties where scores by clip lie beside the table."""
    content, rng = example_content(), np.random.default_rng(0)
    clean = rng.normal(5, 4, content.table.header.clips)
    by_clip = {row.subnet: clean + rng.normal(0, 1, len(clean)) for row in content.table.rows}
    rows = [replace(row, si_snri=float(by_clip[row.subnet].mean())) for row in content.table.rows]
    path = tmp_path / "quality.csv"
    header = replace(content.table.header, machine=fingerprint(1))
    clips.write(clips.beside(path), header, ByClip.of(by_clip))
    table = QualityTable(header, rows, path)

    page = page_of(replace(content, table=table), tmp_path)

    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert set(data["limits"]) == {"params", "rtf"}
    budgets = list(product(data["limits"]["params"], data["limits"]["rtf"]))
    assert len(budgets) == len(data["answers"]) > 2000
    names, tied = [row["subnet"] for row in data["rows"]], 0
    for (params, rtf), answer in zip(budgets, data["answers"], strict=True):
        if answer is None:
            with pytest.raises(UserError, match="no subnet fits"):
                table.best(max_params=params, max_rtf=rtf)
            continue
        asked = table.best(max_params=params, max_rtf=rtf)
        after = asked.next_better and str(asked.next_better.row.subnet)
        assert [names[answer[0]], answer[1] if answer[1] is None else names[answer[1]]] == [
            str(asked.row.subnet),
            after,
        ]
        assert answer[2] == len(asked.ties)
        tied += bool(asked.ties)
    assert tied


def test_missing_figures_show_a_dash_and_their_command(page: str, tmp_path: Path) -> None:
    assert re.search(r"<td class=\"missing\">&mdash;<code>ofa-avse retrain --subnet L</code>", page)

    bare = replace(example_content(), table=None, search=[], fidelities=[], evaluation=[], examples=[])
    body = body_of(page_of(bare, tmp_path))

    for command in ("score", "search", "retrain", "evaluate"):
        assert "&mdash; " in body and f"<code>ofa-avse {command}</code>" in body


def test_undefined_metrics_and_failures_are_shown(page: str) -> None:
    body = body_of(page)
    assert "n/a" in body
    assert "has no value (silence, or too little speech): 12," in body


def test_a_table_without_measured_speed_has_no_speed_figure(tmp_path: Path) -> None:
    content = example_content()
    rows = [replace(row, rtf=math.nan) for row in content.table.rows]

    page = page_of(replace(content, table=QualityTable(content.table.header, rows)), tmp_path)

    assert 'id="plot-params"' in page and 'id="plot-rtf"' not in page and "NaN" not in body_of(page)


def test_text_from_outside_is_escaped(tmp_path: Path) -> None:
    attack = "<script>alert('x')</script>"
    content = example_content()
    hostile = replace(
        content,
        title=attack,
        corpus=attack,
        machine=attack,
        settings={attack: attack},
        notes=[attack],
        winner=replace(content.winner, subnet=attack, weights=attack),
        search=[replace(content.search[0], subnet=attack)],
        search_method=attack,
        fidelities=[FidelityRow(attack, attack, 1, {attack: Missing(attack)})],
        evaluation=[replace(row, system=attack, condition=attack) for row in content.evaluation[:1]],
        examples=[replace(content.examples[0], condition=attack, clip=attack)],
        stage_seconds={attack: 1.0},
    )

    page = page_of(hostile, tmp_path)

    assert attack not in page
    assert page.count("</script>") == 3


def test_escaped_text_reads_as_it_was_given(tmp_path: Path) -> None:
    name = """<b>"R&D" isn't</b> &amp; <script>"""
    content = replace(example_content(), title=name, notes=[name], settings={name: "1"})

    body = body_of(page_of(replace(content, winner=replace(content.winner, weights=name)), tmp_path))

    assert name not in body and "R&D" not in body and "<script>" not in body
    shown = unescape(body)
    for given in (f"<title>{name}</title>", f"<p>{name}</p>", f"<dt>{name}</dt><dd>1</dd>", f", {name}: mean SI-SNR"):
        assert given in shown


SECTION_TEMPLATES = sorted(set(environment().list_templates(["html"])) - {"macros.html"})


@pytest.mark.parametrize("template", SECTION_TEMPLATES)
def test_a_template_without_its_content_raises(template: str) -> None:
    with pytest.raises(UndefinedError, match="is undefined"):
        environment().get_template(template).render()


def test_a_name_that_the_content_lacks_raises() -> None:
    content = example_content()

    for text in ("{{ content.titel }}", "{{ content.winner.parms }}", "{{ winer }}", "{{ content.notse|length }}"):
        with pytest.raises(UndefinedError):
            environment().from_string(text).render(content=content)


def test_a_subnet_without_one_of_the_fidelities_raises(tmp_path: Path) -> None:
    content = example_content()
    rows = [content.fidelities[0], replace(content.fidelities[1], scores={"shared": Mean(4.6, 0.2, 48)})]

    with pytest.raises(UndefinedError, match="retrained"):
        page_of(replace(content, fidelities=rows), tmp_path)

    assert not (tmp_path / "report.html").exists()


def test_example_holds_three_players_with_the_sound_itself(page: str) -> None:
    players = re.findall(r'<audio[^>]*src="data:audio/flac;base64,([^"]+)"', page)

    assert len(players) == 3
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(players[0])))
    assert rate == 16_000 and len(samples) == 16_000
    np.testing.assert_allclose(samples, example_content().examples[0].noisy, atol=1 / 32768)


def test_lip_sprite_holds_every_frame_in_reading_order() -> None:
    lips = np.repeat(np.arange(0, 200, 8, dtype=np.uint8), 88 * 88).reshape(25, 88, 88)

    url, columns, rows = lips_sprite_url(lips)

    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))))
    assert (columns, rows) == (15, 2) and sheet.shape == (2 * 88, 15 * 88)
    for index in range(25):
        tile = sheet[88 * (index // 15) :, 88 * (index % 15) :][:88, :88]
        assert abs(tile.mean() - 8 * index) < 2


def test_spectrogram_peaks_at_the_tone() -> None:
    tone = np.sin(2 * np.pi * 2000 * np.arange(16_000) / 16_000)

    decibels = spectrogram_db(tone)

    assert decibels.mean(axis=1).argmax() == 64  # 2 kHz of 8 kHz, 257 bins


def test_numbers_read_well() -> None:
    assert [count(v) for v in (512, 46_120, 2_895_000, 1.2e9)] == ["512", "46.1 k", "2.9 M", "1.2 G"]
    assert [duration(v) for v in (9.4, 75, 120, 3720)] == ["9 s", "1 min 15 s", "2 min", "1 h 2 min"]
    assert score(Mean(math.nan, math.nan, 0)) == "n/a"
