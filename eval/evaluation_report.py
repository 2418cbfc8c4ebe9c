"""Scores of a model on a list of mixtures, one a clip, and their tables: made by `eval.evaluation`, read by the
`evaluate` command and the report page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from msgspec import Struct

from eval.mean import Mean
from supernet.errors import UserError
from supernet.storage.files import read_json, write_json
from supernet.storage.records import convert

METRICS = {"si_snri": "SI-SNRi dB", "si_snr": "SI-SNR dB", "pesq": "PESQ", "stoi": "STOI", "estoi": "ESTOI"}
NOISY = "noisy"
SIGNALS = {  # degraded lips, of which there are several kinds, go by the names of `supernet.data.mixing.degradations`
    NOISY: "noisy",
    "true": "true lips",
    "none": "no lips",
    "other": "other lips",
    "low_resolution": "low-res lips",
}
SNR_BIN = 2.5  # dB


@dataclass(frozen=True)
class ClipScore:
    """One signal of one mixture. A metric is NaN where undefined (a failure), None where it was not asked for."""

    clip: str  # id of the target
    condition: str
    snr_db: float
    signal: str  # the lips that the model was given, one of `mixing.batches.LIPS`; or "noisy": the mixture
    si_snr_in: float  # dB, of the mixture
    si_snr: float  # dB
    si_snri: float  # dB
    pesq: float | None = None
    stoi: float | None = None
    estoi: float | None = None

    @property
    def failed(self) -> bool:
        """Whether a metric that was asked for is undefined."""
        values = (getattr(self, name) for name in METRICS)
        return any(value is not None and math.isnan(value) for value in values)

    @property
    def snr_bin(self) -> str:
        """The bin of input SNR, lower edge included: `-2.5 to 0 dB`."""
        low = SNR_BIN * math.floor(self.snr_db / SNR_BIN)
        return f"{low:g} to {low + SNR_BIN:g} dB"


class _Saved(Struct):
    """An EvaluationReport on disk."""

    model: str
    data_hash: str
    scores: list[dict[str, Any]]
    metric_version: int = 1  # of files of former versions


def _score(saved: dict[str, Any]) -> ClipScore:
    """A ClipScore from disk. Raises ValueError for what is none."""
    undefined = [name for name, value in saved.items() if value == "nan" and name not in ("clip", "condition")]
    nothing: dict[str, Any] = dict.fromkeys(undefined, math.nan)
    return replace(convert(saved | dict.fromkeys(undefined, 0.0), ClipScore), **nothing)


@dataclass(frozen=True)
class Group:
    """One line of a table: the clips of one condition or SNR bin, as one signal."""

    name: str
    signal: str
    clips: int
    failures: int  # clips with an undefined metric; counted in `clips`, left out of that metric's mean
    means: dict[str, Mean]  # of the metrics that were asked for


@dataclass(frozen=True)
class EvaluationReport:
    """All scores of one model on one list of mixtures."""

    model: str  # what was evaluated: a subnet's name, a peer's
    data_hash: str
    scores: tuple[ClipScore, ...]
    metric_version: int = 1  # see eval.version

    @property
    def clips(self) -> int:
        """Mixtures evaluated."""
        return sum(score.signal == NOISY for score in self.scores)

    @property
    def signals(self) -> list[str]:
        """Signals in the order of evaluation, the noisy mixture first."""
        return list(dict.fromkeys(score.signal for score in self.scores))

    @property
    def conditions(self) -> list[str]:
        """Conditions in the order of the list."""
        return list(dict.fromkeys(score.condition for score in self.scores))

    @property
    def failures(self) -> int:
        """Scored signals, the noisy ones included, with an undefined metric."""
        return sum(score.failed for score in self.scores)

    def only(self, signals: Iterable[str]) -> EvaluationReport:
        """The report of these signals, in this order; those that were not evaluated are left out."""
        scores = (score for signal in signals for score in self.scores if score.signal == signal)
        return replace(self, scores=tuple(scores))

    def joined(self, other: EvaluationReport) -> EvaluationReport:
        """This report with those signals of another, of the same mixtures and metrics, that it lacks."""
        lacking = other.only(signal for signal in other.signals if signal not in self.signals)
        return replace(self, scores=self.scores + lacking.scores)

    def overall(self, signal: str = "true") -> Group:
        """All clips as one signal. Raises ValueError when that signal was not evaluated."""
        chosen = [score for score in self.scores if score.signal == signal]
        if not chosen:
            raise ValueError(f"signal '{signal}' was not evaluated")
        return _group("all", chosen)

    def by_condition(self) -> list[Group]:
        """One group a condition and signal."""
        return self._groups(self.conditions, "condition")

    def by_snr(self) -> list[Group]:
        """One group a bin of input SNR and signal, lowest first."""
        ordered = sorted(self.scores, key=lambda score: score.snr_db)
        return self._groups(list(dict.fromkeys(score.snr_bin for score in ordered)), "snr_bin")

    def difference(self, signal: str, other: str, metric: str = "si_snri", condition: str | None = None) -> Mean:
        """Mean of `signal` minus `other` clip by clip, e.g. true lips minus none: surer than two means apart."""
        first, second = (
            [getattr(s, metric) for s in self.scores if s.signal == name and condition in (None, s.condition)]
            for name in (signal, other)
        )
        return Mean.of(a - b for a, b in zip(first, second, strict=True))

    def text(self) -> str:
        """Readable tables: overall, by condition, by SNR; the noisy figures beside the enhanced ones."""
        title = f"{self.model}: {self.clips} mixtures, {self.failures} failures (undefined metrics, left out of means)"
        tables = [[self.overall(signal) for signal in self.signals], self.by_condition(), self.by_snr()]
        return "\n\n".join([title, *(_table(groups) for groups in tables)])

    def save(self, path: str | Path) -> None:
        """Write the report in one step, as JSON: undefined metrics as "nan", those not asked for as null."""
        content = asdict(self)
        for score in content["scores"]:
            score.update({name: "nan" for name, value in score.items() if value != value})
        write_json(Path(path), content)

    @classmethod
    def load(cls, path: str | Path) -> EvaluationReport:
        """Read what `save` wrote. Raises UserError when the file is missing or damaged."""
        if not Path(path).is_file():
            raise UserError(f"{path}: no evaluation there; `ofa-avse evaluate` writes one")
        again = "delete it and run `ofa-avse evaluate` again"
        saved = read_json(Path(path), again, _Saved)
        try:
            return cls(saved.model, saved.data_hash, tuple(map(_score, saved.scores)), saved.metric_version)
        except ValueError as error:
            raise UserError(f"{path}: damaged ({error}); {again}") from error

    def _groups(self, names: list[str], key: str) -> list[Group]:
        groups = []
        for name in names:
            for signal in self.signals:
                groups.append(_group(name, [s for s in self.scores if getattr(s, key) == name and s.signal == signal]))
        return groups


def _group(name: str, scores: Sequence[ClipScore]) -> Group:
    asked = [metric for metric in METRICS if getattr(scores[0], metric) is not None]
    return Group(
        name=name,
        signal=scores[0].signal,
        clips=len(scores),
        failures=sum(score.failed for score in scores),
        means={metric: Mean.of(getattr(score, metric) for score in scores) for metric in asked},
    )


def _table(groups: Sequence[Group]) -> str:
    metrics = list(groups[0].means)
    header = f"{'':18}{'signal':14}{'clips':>6}{'failed':>8}" + "".join(f"{METRICS[m]:>16}" for m in metrics)
    lines = [header]
    for index, group in enumerate(groups):
        name = "" if index and groups[index - 1].name == group.name else group.name
        figures = "".join(f"{group.means[m]!s:>16}" for m in metrics)
        lines.append(f"{name:18}{_label(group.signal):14}{group.clips:>6}{group.failures:>8}{figures}")
    return "\n".join(lines)


def _label(signal: str) -> str:
    return SIGNALS.get(signal, f"{signal} lips")
