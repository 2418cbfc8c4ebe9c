"""SI-SNRi by clip of the subnets of a table, in a file beside it: what paired differences, and so ties, are made of.
Free of torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import Struct
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from eval.table.rows import QualityHeader, QualityRow
from supernet.errors import UserError
from supernet.space import Subnet
from supernet.storage.files import write_atomically
from supernet.storage.records import decode, sealed

SUFFIX = ".clips.safetensors"
NO_WORSE = 2.0  # paired standard errors by which a subnet may fall short and still count as no worse
CLOSE = 1e-3  # dB between a row and the mean of its clips
AGAIN = "delete it, and make it again by `ofa-avse score`"


class _Header(Struct, frozen=True):
    subnets: list[str]
    tensor: str  # sha256 of the values
    data_hash: str
    weights_hash: str


@dataclass(frozen=True)
class ByClip:
    """SI-SNRi of each clip of a list, dB.

    Args:
        values: float32 (subnets, clips); NaN where it is undefined.
        places: the row of each subnet.
    """

    values: np.ndarray
    places: dict[Subnet, int]

    @classmethod
    def of(cls, scores: Mapping[Subnet, np.ndarray]) -> ByClip:
        values = np.stack([np.asarray(each, np.float32) for each in scores.values()])
        return cls(values, {subnet: place for place, subnet in enumerate(scores)})

    def no_worse(self, best: Subnet, others: Iterable[Subnet]) -> set[Subnet]:
        """Those of `others` whose paired difference to `best` is within `NO_WORSE` of its standard errors. A clip that
        is undefined for one of the two does not count."""
        others = list(others)
        if not others:
            return set()
        differences = (self.values[self.places[best]] - self.values[[self.places[s] for s in others]]).astype(float)
        counts = np.isfinite(differences).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.nansum(differences, 1) / counts
            errors = np.sqrt(np.nansum((differences - means[:, None]) ** 2, 1) / (counts - 1) / counts)
        within = (counts > 1) & (means <= NO_WORSE * errors)
        return {subnet for subnet, tied in zip(others, within, strict=True) if tied}


def beside(table: Path) -> Path:
    """Where the scores by clip of a table are."""
    return table.with_name(table.stem + SUFFIX)


def write(path: Path, header: QualityHeader, scores: ByClip) -> None:
    """Write the scores that a table with this header is the mean of, in one step."""
    names = [str(subnet) for subnet in scores.places]
    said = _Header(names, _digest(scores.values), header.data_hash, header.weights_hash)
    text = json.dumps(sealed({name: getattr(said, name) for name in said.__struct_fields__}))
    write_atomically(path, lambda temporary: save_file({"si_snri": scores.values}, temporary, {"header": text}))


def read(path: Path, header: QualityHeader, rows: Iterable[QualityRow]) -> ByClip:
    """The scores that these rows are means of. Raises UserError where the file is damaged, or of another table."""
    try:
        with safe_open(path, framework="numpy") as file:
            text, values = (file.metadata() or {}).get("header", ""), file.get_tensor("si_snri")
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as scores by clip ({error}); {AGAIN}") from error
    said = decode(text, _Header, f"{path}: its header is damaged", AGAIN)
    if _digest(values) != said.tensor:
        raise UserError(f"{path}: its scores are damaged (their hash is not the one in its header); {AGAIN}")
    scores = ByClip(values, {Subnet.parse(name): place for place, name in enumerate(said.subnets)})
    same = (said.data_hash, said.weights_hash) == (header.data_hash, header.weights_hash)
    if not same or values.shape != (len(said.subnets), header.clips) or not all(_fits(scores, row) for row in rows):
        raise UserError(f"{path}: belongs to another table; {AGAIN}")
    return scores


def _fits(scores: ByClip, row: QualityRow) -> bool:
    place = scores.places.get(row.subnet)
    return place is not None and abs(float(scores.values[place].mean(dtype=float)) - row.si_snri) < CLOSE


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
