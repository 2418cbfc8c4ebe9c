"""What is known of a subnet, who finds it out, and the ledger in between."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite, nan
from typing import Any, Literal, Protocol

from msgspec import Struct

from controller.ladder.ledger import Ledger
from supernet.space import Subnet
from supernet.storage.records import convert

Fidelity = Literal["shared", "finetuned", "extrapolated", "retrained"]


@dataclass(frozen=True)
class Evaluation:
    """The quality of one subnet at one fidelity, on validation data.

    Args:
        subnet: which one.
        fidelity: how its weights were trained.
        si_snri: mean SI-SNR improvement over the mixture in dB; NaN when its training failed.
        standard_error: of that mean over the clips, in dB.
        clips: how many validation clips it is the mean of.
        curve: SI-SNRi in dB after each epoch; empty where nothing was trained.
        seconds: what it took.
        by_condition: SI-SNRi in dB of each condition of the list.
    """

    subnet: Subnet
    fidelity: Fidelity
    si_snri: float
    standard_error: float
    clips: int
    curve: tuple[float, ...]
    seconds: float
    by_condition: dict[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As the ledger stores it, in JSON, where null stands for NaN; `Evaluation.read` gives it back."""
        return {
            **asdict(self),
            "subnet": str(self.subnet),
            "si_snri": _or_null(self.si_snri),
            "standard_error": _or_null(self.standard_error),
            "curve": [_or_null(value) for value in self.curve],
            "by_condition": {name: _or_null(value) for name, value in self.by_condition.items()},
        }

    @classmethod
    def read(cls, record: dict[str, Any]) -> Evaluation:
        """Raises ValueError, or UserError for its subnet, where the record is damaged."""
        said = convert(record, Record)
        return cls(
            Subnet.parse(said.subnet),
            said.fidelity,
            _or_nan(said.si_snri),
            _or_nan(said.standard_error),
            said.clips,
            tuple(map(_or_nan, said.curve)),
            said.seconds,
            {name: _or_nan(value) for name, value in said.by_condition.items()},
        )


class Record(Struct, frozen=True):
    """An Evaluation in JSON values, null for NaN."""

    subnet: str
    fidelity: Fidelity
    si_snri: float | None
    standard_error: float | None
    clips: int
    curve: list[float | None]
    seconds: float
    by_condition: dict[str, float | None] = {}


def _or_null(value: float) -> float | None:
    return value if isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return nan if value is None else value


class Evaluator(Protocol):
    """Finds out what a subnet is worth. With several workers it is pickled and sent to each of them."""

    def evaluate(self, subnet: Subnet) -> Evaluation:
        """Train and validate, or look up: a pure function of the subnet and of `identities()`."""
        ...

    def identities(self) -> list[dict[str, Any]]:
        """All that an evaluation depends on besides the subnet, as JSON: fidelity, width, causal, norm, training
        settings, seed, hashes of data, validation list and initial weights, metric version. Evaluations that are made
        are of the first; of the others are those that count as well."""
        ...


class LedgeredEvaluator:
    """An evaluator that asks the ledger first, so that nothing is evaluated twice."""

    def __init__(self, evaluator: Evaluator, ledger: Ledger) -> None:
        self.evaluator, self.ledger = evaluator, ledger
        self._identities = evaluator.identities()

    def known(self, subnet: Subnet) -> Evaluation | None:
        """The evaluation in the ledger, or None. Raises UserError when its record is damaged."""
        for identity in self._identities_of(subnet):
            if (record := self.ledger.get(identity)) is not None:
                try:
                    evaluation = Evaluation.read(record)
                    if evaluation.subnet != subnet:
                        raise ValueError(f"it is of {evaluation.subnet}")
                    return evaluation
                except ValueError as error:
                    raise self.ledger.damaged(identity, error) from error
        return None

    def store(self, evaluation: Evaluation) -> None:
        """Under a key that is the hash of all that the evaluation depends on."""
        self.ledger.put(self._identities_of(evaluation.subnet)[0], evaluation.record())

    def evaluate(self, subnet: Subnet) -> Evaluation:
        """From the ledger, or computed here and stored."""
        evaluation = self.known(subnet)
        if evaluation is None:
            evaluation = self.evaluator.evaluate(subnet)
            self.store(evaluation)
        return evaluation

    def _identities_of(self, subnet: Subnet) -> list[dict[str, Any]]:
        return [{**identity, "subnet": str(subnet)} for identity in self._identities]
