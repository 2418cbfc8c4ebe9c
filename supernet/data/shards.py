"""A prepared corpus in a few large files: tar shards in the convention of WebDataset, read like any other corpus.

`ofa-avse data pack` writes them; `supernet.data.corpus` reads them, by memory maps into the tar files, whose members
are contiguous and not compressed. The folder:

    manifest.jsonl, lists/, …               all but sound and lips, as in the corpus packed: it has the same hash
    shards/<split>-<number>.tar             <id>.wav, <id>.npy (talkers), <id>.json (the Clip), for each clip in turn
    shards.jsonl                            where the arrays lie in the shards: a Member and its name a line

WebDataset groups members by what comes before the first dot of their names: dots of an id are written %2E there. Lips
stay plain arrays, 230 kB a second: any compression that keeps single frames within reach (a picture a frame) either
changes pixels or costs training its time to decode, and the same batches bit for bit are worth more than the space.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from tqdm import tqdm

from supernet.data.corpus import LISTS, MANIFEST, SHARDS, Clip, Corpus, map_file, write_lines
from supernet.data.sums import SUMS, write_sums
from supernet.errors import UserError
from supernet.storage.files import write_atomically

FOLDER = "shards"


def pack(corpus: Corpus, folder: Path, shard_mb: float) -> Corpus:
    """Write the corpus into `folder` as shards of about `shard_mb` MB each, and open it there.

    A shard is written in one go or not at all, the manifest last; started again, it goes on after the last whole shard.
    Raises UserError when the folder holds anything else or lies within the corpus, or the corpus is packed already.
    """
    if corpus.packed:
        raise UserError(f"{corpus.folder}: is packed already; copy the folder as it is")
    if (folder / MANIFEST).is_file() and not (folder / SHARDS).is_file():
        raise UserError(f"{folder}: holds a corpus that is not packed; name another folder for the shards")
    if shard_mb <= 0:
        raise UserError(f"shard_mb: must be positive, but is {shard_mb:g}")
    if corpus.folder.resolve() in folder.resolve().parents:
        raise UserError(f"{folder}: lies within the corpus, and would be packed with it; name a folder outside")
    if not (folder / SHARDS).is_file():
        if any(folder.glob("[!.]*")):
            raise UserError(f"{folder}: holds other files; name an empty folder for the shards")
        write_lines(folder / SHARDS, [])  # from here on the folder is ours: what is in it may be replaced
    (folder / MANIFEST).unlink(missing_ok=True)  # of an earlier corpus
    members: list[dict[str, Any]] = []
    written: set[Path] = set()
    for name, clips in tqdm(list(_plan(corpus, shard_mb * 1e6)), desc="shards", unit="shard", mininterval=1):
        path = folder / FOLDER / name
        if not _is_written(path, corpus, clips):
            write_atomically(path, partial(_write, corpus=corpus, clips=clips))
        members += _members(path, corpus, clips)
        written.add(path)
    packed = {corpus.folder / source for clip in corpus.clips for source, _ in _sources(clip)}
    for path in sorted(corpus.folder.rglob("[!.]*")):  # lists, settings and whatever else tells of the corpus
        if path.is_file() and path not in packed and path.name not in (MANIFEST, SUMS):
            written.add(folder / path.relative_to(corpus.folder))
            write_atomically(folder / path.relative_to(corpus.folder), partial(shutil.copyfile, path))
    for path in {*(folder / FOLDER).glob("*.tar"), *(folder / LISTS).glob("*.jsonl")} - written:
        path.unlink()  # of another corpus, or of another size
    write_lines(folder / SHARDS, members)
    manifest = (corpus.folder / MANIFEST).read_bytes()
    write_sums(folder, [SHARDS, *Corpus(folder, []).listed], {MANIFEST: manifest})
    write_atomically(folder / MANIFEST, partial(shutil.copyfile, corpus.folder / MANIFEST))
    return Corpus.open(folder)


def _plan(corpus: Corpus, size: float) -> Iterator[tuple[str, list[Clip]]]:
    """(name, clips) of each shard, a pure function of the manifest: the clips of a split in order, until `size`."""
    for split in ("train", "val", "test"):
        number, clips, filled = 0, [], 0
        for clip in corpus.select(split=split):
            clips.append(clip)
            filled += sum((corpus.folder / source).stat().st_size for source, _ in _sources(clip))
            if filled >= size:
                yield f"{split}-{number:05d}.tar", clips
                number, clips, filled = number + 1, [], 0
        if clips:
            yield f"{split}-{number:05d}.tar", clips


def _write(path: Path, corpus: Corpus, clips: Sequence[Clip]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for clip in clips:
            for source, _ in _sources(clip):
                corpus.check(source)
            contents = [(name, (corpus.folder / source).read_bytes()) for source, name in _sources(clip)]
            for name, content in [*contents, (f"{_key(clip)}.json", _note(clip))]:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def _is_written(path: Path, corpus: Corpus, clips: Sequence[Clip]) -> bool:
    """Whether the shard holds just these clips, and is younger than all their files."""
    if not path.is_file():
        return False
    files = {name: (corpus.folder / source).stat() for clip in clips for source, name in _sources(clip)}
    expected = {name: file.st_size for name, file in files.items()}
    notes = {f"{_key(clip)}.json": _note(clip) for clip in clips}
    with tarfile.open(path) as tar:
        held = {}
        for entry in tar:
            noted = entry.name in notes
            held[entry.name] = cast(IO[bytes], tar.extractfile(entry)).read() if noted else entry.size
    return held == expected | notes and path.stat().st_mtime_ns >= max(file.st_mtime_ns for file in files.values())


def _members(path: Path, corpus: Corpus, clips: Sequence[Clip]) -> Iterator[dict[str, Any]]:
    """The rows of shards.jsonl: where the arrays of a shard lie in it."""
    with tarfile.open(path) as tar:
        begins = {entry.name: entry.offset_data for entry in tar}
    for clip in clips:
        for source, name in _sources(clip):
            corpus.check(source)
            array = map_file(corpus.folder / source)
            yield {
                "name": source,
                "shard": f"{FOLDER}/{path.name}",
                "offset": begins[name] + array.offset,  # of the array behind its own header
                "dtype": array.dtype.str,
                "shape": array.shape,
                "content": hashlib.sha256(np.ascontiguousarray(array).data).hexdigest(),
            }


def _sources(clip: Clip) -> list[tuple[str, str]]:
    """(path in the corpus, name in a shard) of a clip's files."""
    return [(source, _key(clip) + Path(source).suffix) for source in (clip.audio, clip.lips) if source]


def _key(clip: Clip) -> str:
    return clip.id.replace("%", "%25").replace(".", "%2E")


def _note(clip: Clip) -> bytes:
    return json.dumps(asdict(clip), sort_keys=True).encode()
