"""What the report page shows, as typed data: filled by the command line, read by `eval.report.page`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from eval.mean import Mean
from eval.table.quality_table import QualityTable


@dataclass(frozen=True)
class Missing:
    """A figure that nothing has computed yet, and the command that computes it."""

    command: str


@dataclass(frozen=True)
class Winner:
    """The network that the search chose, with the figure the page opens with."""

    subnet: str
    params: int
    macs: float  # multiply-accumulates per second of audio
    rtf: float  # seconds of computing per second of audio, measured
    si_snri: Mean  # dB, on the test list
    weights: str  # how its weights came about, a phrase such as "retrained from scratch"


@dataclass(frozen=True)
class SearchRow:
    """One step of the search, as in `search.json`: the architecture it arrived at, and what that was worth."""

    episode: int
    step: int
    subnet: str
    params: int
    si_snri: float  # dB, at the fidelity of the search
    reward: float


@dataclass(frozen=True)
class FidelityRow:
    """What one subnet is worth on the validation list at each fidelity, a key of `scores`: columns of the table."""

    role: str  # "winner", "no. 2 of the search", "largest", "smallest"
    subnet: str
    params: int
    scores: Mapping[str, Mean | Missing]


@dataclass(frozen=True)
class EvaluationRow:
    """One system on one condition of the test list. `condition` "all" is the whole list."""

    system: str
    condition: str
    si_snri: Mean  # dB
    pesq: Mean
    stoi: Mean
    estoi: Mean
    failures: int  # files for which at least one metric is undefined


@dataclass(frozen=True)
class ExampleClip:
    """One test clip to look at and listen to. Audio is float (samples,) at 16 kHz, lips uint8 (frames, 88, 88)."""

    condition: str
    clip: str
    snr_db: float
    si_snri: float  # dB, of `enhanced` over `noisy`
    noisy: np.ndarray
    enhanced: np.ndarray
    clean: np.ndarray
    lips: np.ndarray


@dataclass(frozen=True)
class ReportContent:
    """Everything on the page. A part that is None or empty is named there with the command that makes it."""

    title: str
    winner: Winner
    corpus: str  # one or two sentences: what was heard, how many voices, what is unseen in the test
    settings: Mapping[str, str]
    stage_seconds: Mapping[str, float]
    machine: str
    table: QualityTable | None  # the 324, at one fidelity
    search: Sequence[SearchRow]
    search_method: str
    search_fidelity: str
    search_clips: int
    fidelities: Sequence[FidelityRow]
    evaluation: Sequence[EvaluationRow]
    examples: Sequence[ExampleClip]
    notes: Sequence[str] = field(default_factory=tuple)  # what a reader must know to trust the figures
