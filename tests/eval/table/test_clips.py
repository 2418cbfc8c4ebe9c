"""A tie is a paired difference that could be chance; it is claimed where scores by clip lie beside the table alone."""

import shutil

import numpy as np
import pytest

from eval.table import clips
from eval.table.clips import ByClip
from eval.table.quality_table import QualityHeader, QualityRow, QualityTable
from supernet.errors import UserError
from supernet.space import PAPER_WINNER, SearchSpace

BEST, ALIKE, WORSE = SearchSpace.largest, PAPER_WINNER, SearchSpace.smallest
CLIPS = 64


def values(rng: np.random.Generator) -> dict:
    """On clips that differ by 5 dB: one as good as the best on average, but another; one always 0.1 dB worse."""
    best = 8 + 5 * rng.standard_normal(CLIPS)
    alike = best + 2 * rng.standard_normal(CLIPS)
    return {BEST: best, ALIKE: alike - alike.mean() + best.mean() - 0.3, WORSE: best - 0.1 + 1e-3 * rng.random(CLIPS)}


@pytest.fixture
def path(tmp_path):
    """A table of three rows with its scores by clip."""
    scores = ByClip.of(values(np.random.default_rng(0)))
    header = QualityHeader("shared", CLIPS, 0.125, False, "global", data_hash="d", weights_hash="w")
    rows = [
        QualityRow(subnet, 10 * place + 10, 1e6, float(mean), 0.6)
        for (subnet, place), mean in zip(scores.places.items(), scores.values.mean(1, dtype=float), strict=True)
    ]
    path = tmp_path / "quality.csv"
    clips.write(clips.beside(path), header, scores)
    QualityTable(header, rows).save(path)
    return path


def test_a_subnet_that_is_worse_on_every_clip_is_no_tie_and_one_that_is_worse_by_chance_is(path):
    """Whichever of the two has the higher mean, and though both lie within one standard error of the mean."""
    answer = QualityTable.load(path).best()
    assert answer.row.subnet == BEST and all(
        row.si_snri > answer.row.si_snri - 0.6 for row in QualityTable.load(path).rows
    )
    assert [row.subnet for row in answer.ties] == [ALIKE]
    assert f"no worse, within two paired standard errors: {ALIKE}" in answer.text()


def test_without_scores_by_clip_no_tie_is_claimed(path):
    clips.beside(path).unlink()
    answer = QualityTable.load(path).best()
    assert answer.ties is None
    assert "no worse: not known, for no scores by clip lie beside the table" in answer.text()


def test_ties_keep_to_the_budget(path):
    answer = QualityTable.load(path).best(max_params=10)
    assert answer.ties == ()


def test_a_clip_that_is_undefined_for_one_of_two_does_not_count():
    scores = values(np.random.default_rng(1))
    expected = ByClip.of({subnet: value[1:] for subnet, value in scores.items()}).no_worse(BEST, [ALIKE, WORSE])
    scores[ALIKE][0] = np.nan
    assert ByClip.of(scores).no_worse(BEST, [ALIKE, WORSE]) == expected == {ALIKE}


@pytest.mark.parametrize("count", [1, 2])
def test_the_difference_to_itself_is_none(count):
    scores = ByClip.of({BEST: np.arange(count), ALIKE: np.arange(count)})
    assert scores.no_worse(BEST, [ALIKE]) == ({ALIKE} if count > 1 else set())


def test_it_is_as_brute_force_has_it():
    rng = np.random.default_rng(2)
    names = list(SearchSpace())[:50]
    by_clip = {name: rng.normal(rng.normal(0, 0.3), 1, CLIPS).astype(np.float32) for name in names}
    expected = set()
    for name in names[1:]:
        difference = by_clip[names[0]].astype(float) - by_clip[name]
        if difference.mean() <= 2 * difference.std(ddof=1) / np.sqrt(CLIPS):
            expected.add(name)
    assert 0 < len(expected) < 49
    assert ByClip.of(by_clip).no_worse(names[0], names[1:]) == expected


def test_scores_of_another_table_are_refused(path, tmp_path):
    other = tmp_path / "other.csv"
    scores = ByClip.of(values(np.random.default_rng(3)))
    clips.write(clips.beside(other), QualityTable.load(path).header, scores)
    shutil.copy(path, other)
    with pytest.raises(UserError, match="other.clips.safetensors: belongs to another table; delete it"):
        QualityTable.load(other).best()


def test_a_bit_that_flips_anywhere_is_noticed(path):
    file, expected = clips.beside(path), QualityTable.load(path).best().text()
    content, rng = file.read_bytes(), np.random.default_rng(0)
    for place in [*range(64), *rng.integers(len(content), size=150)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        try:
            assert QualityTable.load(path).best().text() == expected
        except UserError as error:
            assert str(file) in str(error)


@pytest.mark.parametrize("content", [b"", b"what else", b"\0" * 200])
def test_a_file_that_is_none_is_named(path, content):
    clips.beside(path).write_bytes(content)
    with pytest.raises(UserError, match="quality.clips.safetensors: "):
        QualityTable.load(path).best()
