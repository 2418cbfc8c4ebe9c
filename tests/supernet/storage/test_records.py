"""Records on disk are read strictly, and say what is wrong in words."""

import json
from dataclasses import dataclass, field

import pytest

from supernet.errors import UserError
from supernet.storage.files import read_json, read_lines, with_hash, without_hash, write_json, write_text
from supernet.storage.records import HASH, convert, sealed, unsealed


@dataclass(frozen=True)
class Record:
    name: str
    count: int
    share: float = 0.5
    more: dict[str, float] = field(default_factory=dict)


GIVEN = {"name": "a", "count": 3, "share": 0.25, "more": {"b": 1.5}}


def test_what_is_written_is_read(tmp_path):
    write_json(tmp_path / "record.json", GIVEN)
    assert read_json(tmp_path / "record.json", "mend it", Record) == Record("a", 3, 0.25, {"b": 1.5})
    assert read_json(tmp_path / "record.json", "mend it") == GIVEN


def test_every_bit_that_flips_in_a_record_is_noticed(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, GIVEN)
    content, known = path.read_bytes(), read_json(path, "mend it", Record)
    for place in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
            try:
                assert read_json(path, "mend it", Record) == known
            except UserError as error:
                assert "record.json: damaged (" in str(error) and str(error).endswith("; mend it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "3"}, 'count must be a whole number, not "3"'),
        ({"count": 1.5}, "count must be a whole number, not 1.5"),
        ({"count": True}, "count must be a whole number, not true"),
        ({"name": None}, "name must be a text, not null"),
        ({"more": [1]}, "more must be an object, not"),
        ({"more": {"b": "x"}}, "more"),
        ({"other": 1}, "other is no known key"),
        ({"share": float("nan")}, "share must be a number, not NaN"),
        ({"share": float("inf")}, "share must be a number, not Infinity"),
    ],
)
def test_a_value_that_is_wrong_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        convert(GIVEN | change, Record)


def test_a_key_that_is_missing_is_named():
    with pytest.raises(ValueError, match="lacks count"):
        convert({"name": "a"}, Record)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"a"', "3", "[" * 100_000, '{"a":' * 50_000, "\xff"])
def test_what_is_no_object_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "record.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"record.json: damaged \(.*\); mend it$") as error:
        read_json(tmp_path / "record.json", "mend it", Record)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_a_record_without_its_hash_is_read_as_it_is():
    assert unsealed(GIVEN) == GIVEN == unsealed(sealed(GIVEN))
    with pytest.raises(ValueError, match=f"if on purpose, delete its {HASH}"):
        unsealed(sealed(GIVEN) | {"count": 4})


def test_a_last_line_that_does_not_end_is_refused(tmp_path):
    """A list cut between two bytes anywhere but at the end of a line."""
    path = tmp_path / "list.jsonl"
    lines = "".join(json.dumps({"name": name, "count": 1}) + "\n" for name in "abc")
    for cut in range(1, len(lines)):
        path.write_text(lines[:cut])
        if lines[cut - 1] == "\n":
            assert len(read_lines(path, Record, "record", "mend it")) == lines[:cut].count("\n")
            continue
        with pytest.raises(UserError, match=r"list.jsonl: line \d is no record \(it does not end\); mend it"):
            read_lines(path, Record, "record", "mend it")


def test_a_text_knows_its_hash_and_is_read_without(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, with_hash("a,b\n1,2\n"))
    assert without_hash(path, "table") == "a,b\n1,2\n"
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            found = without_hash(path, "table")
        except UserError as error:
            assert "table.csv: damaged, or changed since it was written" in str(error)
        else:  # the mark itself is damaged: what follows is refused by whoever reads comments
            assert place < len("# sha256: ") and found == path.read_text()
    path.write_text("a,b\n1,3\n")
    assert without_hash(path, "table") == "a,b\n1,3\n"
