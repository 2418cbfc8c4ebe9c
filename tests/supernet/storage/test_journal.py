"""A journal keeps what was appended before a kill, and says what is wrong with it."""

import json
from dataclasses import dataclass

import pytest

from supernet.errors import UserError
from supernet.storage.journal import Journal
from supernet.storage.records import sealed


@dataclass
class Line:
    clip: str
    dB: list[float]


DONE = [{"clip": "a", "dB": [1.5, -0.25]}, {"clip": "b", "dB": []}]


@pytest.fixture
def path(tmp_path):
    """Of a journal of two lines."""
    for record in DONE:
        Journal(tmp_path / "made" / "done.jsonl").append(record)
    return tmp_path / "made" / "done.jsonl"


def test_what_is_appended_is_read_in_order(path):
    assert list(Journal(path).read(dict)) == DONE
    assert [json.loads(line) for line in path.read_text().splitlines()] == [sealed(record) for record in DONE]
    assert path.read_text().startswith('{"clip": "a", "dB": [1.5, -0.25], "sha256": ') and path.read_text()[-1] == "\n"


def test_a_journal_that_is_not_there_is_empty_and_not_made(tmp_path):
    assert not list(Journal(tmp_path / "none.jsonl", "delete it").read(dict))
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("cut", range(1, 99))
def test_a_last_line_cut_anywhere_is_left_out_and_cut_off(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    journal = Journal(path, "delete it")
    assert list(journal.read(dict)) == DONE[:1]
    journal.append(DONE[1])
    assert path.read_bytes() == whole


def test_a_journal_of_nothing_but_a_cut_line_begins_anew(tmp_path):
    path = tmp_path / "done.jsonl"
    path.write_bytes(b'{"cli')
    Journal(path).append(DONE[0])
    assert list(Journal(path).read(dict)) == DONE[:1]


@pytest.mark.parametrize("line", [b"{", b"7", b"[]", b"", b"\x00\xff", b'{"clip": "a"}'])
def test_a_damaged_line_is_named_where_there_is_a_remedy_and_else_left_out(path, line):
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, line, second]) + b"\n")
    with pytest.raises(UserError, match=r"done.jsonl: line 2 is damaged \(.*\); delete the line$"):
        list(Journal(path, "delete the line").read(Line))
    assert [line.dB for line in Journal(path).read(Line)] == [[1.5, -0.25], []]


def test_a_bit_that_flips_in_a_line_is_noticed(path):
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            assert all(line in [Line(**record) for record in DONE] for line in Journal(path).read(Line))


def test_journals_that_began_each_line_anew_are_read(tmp_path):
    """So they were written up to ee8efb0: with empty lines, and what kills left in between."""
    path = tmp_path / "scores.partial"
    path.write_text('\n{"clip": "a"}\n\n{"clip": "b"}\n\n{"clip": "c\n{"clip": "d"}\n\n{"cli')
    journal = Journal(path)
    assert [record["clip"] for record in journal.read(dict)] == ["a", "b", "d"]
    journal.append({"clip": "e"})
    assert [record["clip"] for record in journal.read(dict)] == ["a", "b", "d", "e"]
