"""Records on disk: JSON objects that hold their own hash, and are read strictly into the type that they are to be.

The hash, under the key `sha256`, is that of the canonical JSON of all other keys, so that one flipped bit is noticed.
A record without it, as former versions wrote them, is read as it is; so is one from which a user has deleted it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any, TypeVar

import msgspec

from supernet.errors import UserError

HASH = "sha256"
T = TypeVar("T")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


def digest(content: Any) -> str:
    """sha256 of canonical JSON: equal values, with their keys in whatever order, have equal hashes."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its hash."""
    return {**record, HASH: digest(record)}


def unsealed(record: dict[str, Any]) -> dict[str, Any]:
    """The record without its hash. Raises ValueError where that is another's."""
    rest = {key: value for key, value in record.items() if key != HASH}
    if HASH in record and record[HASH] != digest(rest):
        raise ValueError(f"it was changed since it was written; if on purpose, delete its {HASH}")
    return rest


def decode(text: str | bytes, kind: type[T], where: str, remedy: str) -> T:
    """The record that JSON text holds, as `kind`: a dataclass, a msgspec.Struct or a dict of some type.

    Raises UserError for anything else, for a wrong hash and, but in a dict, for keys that `kind` does not know; it
    says `where` that is, which key is wrong, and the remedy.
    """
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        return convert(unsealed(content), kind)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} ({' '.join(str(error).split())[:200]}); {remedy}") from error


def convert(content: Any, kind: type[T]) -> T:
    """JSON values as `kind`, strictly. Raises ValueError that names the key that is missing, wrong or unknown, and for
    numbers that JSON does not have."""
    _check_finite(content, "")
    try:
        made = msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_in_words(str(error), content)) from error
    _check_known(content, msgspec.to_builtins(made), "")
    return made


def _check_finite(content: Any, key: str) -> None:
    for _, place, value in _entries(content, key):
        _check_finite(value, place)
    if isinstance(content, float) and not math.isfinite(content):
        raise ValueError(f"{key} must be a number, not {json.dumps(content)}")


def _check_known(content: Any, made: Any, key: str) -> None:
    """Refuse keys that `made`, the same in JSON values again, has not taken over."""
    for name, place, value in _entries(content, key):
        if isinstance(made, dict) and name not in made:
            raise ValueError(f"{place} is no known key")
        _check_known(value, made[name], place)


def _entries(content: Any, key: str) -> list[tuple[Any, str, Any]]:
    """Name or index, place and value of what an object or a list holds."""
    if isinstance(content, dict):
        return [(name, f"{key}.{name}".removeprefix("."), value) for name, value in content.items()]
    return [(i, f"{key}[{i}]", value) for i, value in enumerate(content)] if isinstance(content, list) else []


def _in_words(message: str, content: Any) -> str:
    """What msgspec says, with the value that it says it of."""
    said, _, place = message.partition(" - at `$")
    key = place.replace("[...]", ".*").strip(".`")
    if missing := re.fullmatch(r"Object missing required field `(.+)`", said):
        return f"{key} lacks {missing[1]}".strip()
    for name, index in re.findall(r"\.([^.[`]+)|\[(\d+)\]", place):
        content = content[int(index) if index else name] if "[...]" not in place else ...
    value = "" if content is ... else f", not {json.dumps(content)[:80]}"
    if expected := re.fullmatch(r"Expected `(.+?)`(.*?)(, got `.+`)?", said):
        kinds = " or ".join(_WORDS.get(kind, kind) for kind in expected[1].split(" | "))
        return f"{key or 'it'} must be {kinds}{expected[2]}{value}"
    return f"{key or 'it'} is wrong: {said}"
