"""The commands `ofa-avse data …`: recordings are indexed, prepared, made a corpus, looked at and packed.

Each goes on where it was stopped or killed, and does nothing twice.
"""

from __future__ import annotations

from pathlib import Path

from controller.run.config import Settings
from controller.run.run import Run, held
from supernet.data import build as corpora
from supernet.data import compact as compact_packs
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


def pack(
    settings: Settings,
    output: str | None = None,
    shard_mb: float = 1000.0,
    compact: str | None = None,
    max_mb: float = 50.0,
) -> None:
    """Pack the run's corpus.

    Args:
        output: folder for the shards; from then on the `data.folder` of whoever trains.
        shard_mb: size of a shard, MB.
        compact: in place of shards, new folder for a small pack: mouths as video, sound as Opus, for `data unpack`.
        max_mb: size of the small pack at most, MB; of a larger corpus, as many clips of each speaker as fit.
    """
    with Run(settings).working() as run:
        corpus = Corpus.open(run.paths.corpus)
        if output and not compact:
            packed = shards.pack(corpus, Path(output), shard_mb)
            print(f"{packed.folder}: {packed.describe()}; train with --data.folder {packed.folder}")
        elif compact and not output:
            small = compact_packs.pack(corpus, settings.data, Path(compact), max_mb)
            print(f"{compact}: {small.size / 1e6:.1f} MB, {small.kept}; data hash {small.data_hash[:16]}")
        else:
            raise UserError("--output, --compact: give one of the two, a folder for shards or for a small pack")


def unpack(pack: str, output: str) -> None:
    """Make a corpus of a small pack.

    Args:
        pack: folder that `data pack --compact` wrote.
        output: new folder for the corpus.
    """
    corpus, other_bits = compact_packs.unpack(Path(pack), Path(output))
    if other_bits:
        print(f"{other_bits} clips are decoded to other bits here than where they were packed: another data hash")
    options = corpus.folder / compact_packs.OPTIONS
    print(f"{output}: {corpus.describe()}; data hash {corpus.hash[:16]}; train with --config NAME --config {options}")


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
