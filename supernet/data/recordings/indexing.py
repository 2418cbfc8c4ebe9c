"""The index of a corpus's files: what their headers promise, a row each, before anything is decoded.

`ofa-avse data index` writes it beside the corpus, as `index.jsonl`; `recordings.preparing` asks `probe` what a file
promises, and refuses one that does not keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import av
from tqdm import tqdm

from supernet.data.corpus import write_lines
from supernet.data.recordings.readers import Recording
from supernet.errors import UserError
from supernet.media.opening import check_file, opened, picture_track, seconds
from supernet.media.sound import survey
from supernet.processes import WorkerDied, WorkerPool
from supernet.storage.journal import Journal
from supernet.storage.records import sealed

INDEX = "index.jsonl"
JOURNAL = ".index.jsonl.partial"  # rows as they come; a killed index goes on from it
TIME_LIMIT = 60  # s for the headers of one file
SLACK = 0.02  # share of its promised length that a file may lack
SLACK_SECONDS = 0.1  # and at least this: containers round the ends of their tracks


@dataclass(frozen=True)
class Tracks:
    """What the headers of a file promise; 0 for a track that it lacks, and for a length that it does not tell."""

    seconds: float = 0.0  # of sound
    rate: int = 0  # Hz
    channels: int = 0
    picture_seconds: float = 0.0
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0


@dataclass(frozen=True)
class Row:
    """A file of a corpus. `split` is the corpus's own, "" where `supernet.data.recordings.splits` will decide."""

    file: str
    clip: str
    role: str
    split: str
    speaker: str
    sound: bool  # what is wanted of it
    pictures: bool
    size: int = -1  # bytes; -1 for a file that is not there
    modified: int = 0  # ns since 1970
    problem: str = ""  # why it cannot be used
    tracks: Tracks = field(default_factory=Tracks)

    @property
    def signature(self) -> tuple:
        """The same as long as what a probe found still holds."""
        return self.file, self.sound, self.pictures, self.size, self.modified


class Outcome(NamedTuple):
    """What became of one file: `value`, or the `problem` in words."""

    value: Any
    problem: str


def outcomes(
    function: Callable[..., Any], tasks: Sequence[tuple], workers: int, time_limit: float, description: str
) -> Iterator[Outcome]:
    """`function(*task)` for each task, in order, in worker processes, with a progress bar. A bad file costs itself
    only, but only a UserError counts as the file's fault: any other error ends the whole."""
    with WorkerPool(workers) as pool:
        futures = [pool.submit(function, *task, time_limit=time_limit) for task in tasks]
        for future in tqdm(futures, desc=description, unit="file", mininterval=1):
            try:
                yield Outcome(future.result(), "")
            except WorkerDied:
                yield Outcome(None, "crashed the decoder; replace the file")
            except TimeoutError:
                yield Outcome(None, f"took longer than {time_limit:g} s; is the file broken?")
            except UserError as error:
                yield Outcome(None, str(error))


def index(recordings: Sequence[Recording], folder: Path, workers: int) -> list[Row]:
    """A row for each file of the recordings, in order, kept as `folder/index.jsonl`.

    Files that an earlier index knows, and that have not changed since, are not opened again; so a killed index goes on.
    """
    rows = [_draft(*file) for recording in recordings for file in _files(recording)]
    journal = Journal(folder / JOURNAL)
    earlier = [*Journal(folder / INDEX).read(Row), *journal.read(Row)]
    known = {row.signature: row for row in earlier}
    todo = [row for row in rows if row.signature not in known]
    tasks = [(Path(row.file), row.sound, row.pictures) for row in todo]
    for outcome, row in zip(outcomes(probe, tasks, workers, TIME_LIMIT, "index"), todo, strict=True):
        problem = outcome.problem.removeprefix(f"{row.file}: ")
        known[row.signature] = replace(row, tracks=outcome.value or Tracks(), problem=problem)
        journal.append(asdict(known[row.signature]))
    rows = [replace(row, tracks=known[row.signature].tracks, problem=known[row.signature].problem) for row in rows]
    write_lines(folder / INDEX, (sealed(asdict(row)) for row in rows))
    (folder / JOURNAL).unlink(missing_ok=True)
    return rows


def summary(rows: Iterable[Row]) -> str:
    """A table: how many files, speakers and hours each role has in each split, and what cannot be used."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.role, row.split or "(any)"), []).append(row)
    lines = [f"{'role':<10}{'split':<8}{'files':>8}{'speakers':>10}{'hours':>9}{'problems':>10}"]
    for (role, split), members in sorted(groups.items()):
        good = [row for row in members if not row.problem]
        speakers = len({row.speaker for row in good if row.speaker})
        hours = sum(row.tracks.seconds for row in good if row.sound) / 3600
        lines.append(f"{role:<10}{split:<8}{len(members):>8}{speakers:>10}{hours:>9.2f}{len(members) - len(good):>10}")
    return "\n".join(lines)


def probe(path: Path, sound: bool, pictures: bool) -> Tracks:
    """What a file promises by its headers, nothing decoded; where neither is wanted, whether it can be read at all.

    Raises UserError, which begins with the path, when the file cannot be what is wanted of it: absent, unreadable,
    empty, of no known format, without a track, or of an impossible length or rate.
    """
    check_file(path)
    tracks = Tracks()
    if sound:
        first = survey(path, listen=False)[0][0]
        length = first.promised or first.seconds or 0.0
        tracks = Tracks(length, first.rate, len(first.channels))
    return replace(tracks, **_pictures(path)) if pictures else tracks


def lacks(promised: float, seconds: float) -> bool:
    """Whether `seconds` fall short of what a header promised; 0 promises nothing."""
    return promised - seconds > max(SLACK_SECONDS, SLACK * promised)


def _files(recording: Recording) -> list[tuple[Recording, Path, bool, bool]]:
    """The files of a recording, with whether sound and pictures are wanted of each; of an array of lips neither."""
    further = [(recording, recording.lips, False, False)] if recording.lips else []
    if recording.video is None or recording.video == recording.sound:
        return [(recording, recording.sound, True, recording.video is not None), *further]
    return [(recording, recording.sound, True, False), (recording, recording.video, False, True), *further]


def _draft(recording: Recording, path: Path, sound: bool, pictures: bool) -> Row:
    clip = recording.clip
    row = Row(str(path), clip.id, clip.role, recording.split or "", clip.speaker, sound, pictures)
    with suppress(OSError):  # `probe` says why
        status = path.stat()
        row = replace(row, size=status.st_size, modified=status.st_mtime_ns)
    return row


def _pictures(path: Path) -> dict[str, Any]:
    """What a file promises of its pictures."""
    with opened(path) as container:
        stream = picture_track(path, container)
        length = seconds(stream.duration, stream)
        if length is None:
            length = (container.duration or 0) / av.time_base
        rate = round(float(stream.average_rate or 0), 3)
        return {"picture_seconds": length, "width": stream.width, "height": stream.height, "frame_rate": rate}
