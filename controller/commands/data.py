"""The commands `ofa-avse data …`: recordings are indexed, prepared, made a corpus, looked at and packed.

Each goes on where it was stopped or killed, and does nothing twice.
"""

from __future__ import annotations

from pathlib import Path

from controller.run.config import Settings
from controller.run.run import Run, held
from supernet.data import build as corpora
from supernet.data import shards
from supernet.data.corpus import MANIFEST, SHARDS, Corpus
from supernet.data.inspection import contact_sheet
from supernet.data.recordings import indexing, preparing
from supernet.data.recordings.readers import Recording
from supernet.errors import UserError


def data(settings: Settings) -> None:
    """Make the corpus: for recordings, `data index`, `data prepare`, then splits and lists."""
    with Run(settings).working() as run:
        if settings.data.corpus != "synthetic" and not (run.paths.corpus / MANIFEST).is_file():
            _index(run)
        print(f"{run.corpus.folder}: {run.corpus.describe()}")


def index(settings: Settings) -> None:
    """List what the recordings' headers say."""
    with Run(settings).working() as run:
        _index(run)


def prepare(settings: Settings) -> None:
    """Convert the recordings, whatever splits and lists will be made of them: `data` makes those from what is there."""
    with Run(settings).working() as run:
        folder, recordings = run.paths.corpus, _recordings(settings)
        if (folder / SHARDS).is_file():
            raise UserError(f"{folder}: is packed, so nothing is left to prepare; name another --data.folder")
        with held(folder, "data.folder"):
            corpora.claim(folder, settings.data)
            clips, rejected = preparing.convert(recordings, folder, settings.data)
    print(f"{folder}: {len(clips)} recordings are prepared, {len(rejected)} cannot be used")


def pack(settings: Settings, output: str, shard_mb: float = 1000.0) -> None:
    """Pack the run's corpus.

    Args:
        output: folder for the shards; from then on the `data.folder` of whoever trains.
        shard_mb: size of a shard, MB.
    """
    with Run(settings).working() as run:
        packed = shards.pack(Corpus.open(run.paths.corpus), Path(output), shard_mb)
    print(f"{packed.folder}: {packed.describe()}; train with --data.folder {packed.folder}")


def inspect(settings: Settings, output: str | None = None, clips: int = 12) -> None:
    """Draw a prepared corpus.

    Args:
        output: PNG to write; corpus.png in the corpus's folder when not given.
        clips: how many talker clips are shown.
    """
    corpus = Corpus.open(Run(settings).paths.corpus)
    path = Path(output) if output else corpus.folder / "corpus.png"
    if path.suffix.lower() != ".png":
        raise UserError(f"--output: {path} must end in .png")
    shown = contact_sheet(corpus, settings.data, path, clips)
    print(f"{path}: {len(shown)} of {len(corpus.select('talker'))} talking clips; {corpus.describe()}")


def _index(run: Run) -> None:
    folder, recordings = run.paths.corpus, _recordings(run.settings)
    with held(folder, "data.folder"):
        rows = indexing.index(recordings, folder, run.settings.data.workers)
    print(indexing.summary(rows))
    for row in rows:
        if row.problem:
            print(f"  {row.file}  {row.problem}")
    print(f"{folder / indexing.INDEX}: {len(rows)} files")


def _recordings(settings: Settings) -> list[Recording]:
    if settings.data.corpus == "synthetic":
        raise UserError("data.corpus: synthetic talkers are made, not found; run `ofa-avse data`, or name recordings")
    return preparing.recordings(settings.data)
