"""Several sources in one go: files, folders of them, and what comes through a pipe."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from supernet.deploy.chunks import runnable
from supernet.deploy.enhance import MARK, Wanted, enhance_file, say
from supernet.errors import UserError
from supernet.media.names import AUDIO_SUFFIXES, VIDEO_SUFFIXES

SUFFIXES = (*AUDIO_SUFFIXES, *VIDEO_SUFFIXES)
PIPE = "-"  # standard input


def enhance(
    network: Any,
    sources: Sequence[Path | str] | Path | str,
    output: Path | str | None = None,
    wanted: Wanted | None = None,
    recursive: bool = False,
) -> list[Path]:
    """Enhance files, and all media files of folders; see `enhance_file`.

    Args:
        network: as `supernet.load` or `runtime.Enhancer.open` gives it.
        sources: files and folders; `-` is standard input.
        output: of a single file, the file to write or a folder for it; of a folder or several sources, a folder, in
            which a folder's own folders are kept. By default results lie beside their sources.
        wanted: how it is done.
        recursive: also the folders within folders.

    Raises UserError, with several files at the end, naming each one that failed and why; the others are written all the
    same.
    """
    network = runnable(network)
    named = [sources] if isinstance(sources, Path | str) else list(sources)
    if len(named) == 1 and not Path(named[0]).is_dir():
        with _kept(named[0], output) as (path, name):
            return enhance_file(network, path, output, wanted, name)
    if wanted and wanted.lips:
        raise UserError(f"lips: one video cannot serve {len(named)} sources or a folder; enhance them one by one")
    target = Path(output) if output else None
    if target and target.exists() and not target.is_dir():
        raise UserError(f"output {target}: is a file; give a folder for the results of several sources")
    written: dict[Path, Path] = {}
    failures: list[str] = []
    found = [(path, base) for source in named for path, base in _found(Path(source), recursive)]
    suffix = ".wav" if not (wanted and wanted.video) else ""
    for path, base in found:
        folder = (target / path.parent.relative_to(base)) if target else path.parent
        try:
            goal = folder / f"{path.stem}{MARK}{suffix or path.suffix}"
            if goal in written:
                raise UserError(f"{path}: would overwrite what {written[goal].name} gave; enhance it by itself")
            folder.mkdir(parents=True, exist_ok=True)
            for result in enhance_file(network, path, goal if suffix else folder, wanted):
                written[result] = path
        except UserError as error:
            say(str(error))
            failures.append(str(error))
    if failures:
        raise UserError(f"{len(failures)} of {len(found)} files failed: " + "; ".join(failures))
    return list(written)


def _found(source: Path, recursive: bool) -> list[tuple[Path, Path]]:
    """The media files of a source, each with the folder that it was looked for in; a file stands for itself."""
    if not source.is_dir():
        return [(source, source.parent)]
    walked = sorted(source.rglob("*") if recursive else source.iterdir())
    hidden = [path for path in walked if any(part.startswith(".") for part in path.relative_to(source).parts)]
    files = [p for p in walked if p not in hidden and f"{MARK}." not in p.name and not p.is_dir()]
    media = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not media:
        folders = any(path.is_dir() for path in walked)
        more = "; add --recursive for its folders" if folders and not recursive else ""
        raise UserError(f"{source}: holds no sound or video file ({' '.join(SUFFIXES)}){more}")
    if others := [path.name for path in files if path not in media]:
        say(f"{source}: left out, neither sound nor video by name: {', '.join(others)}")
    return [(path, source) for path in media]


@contextmanager
def _kept(source: Path | str, output: Path | str | None) -> Iterator[tuple[Path, str]]:
    """A source as a file that can be read twice, and what it is called: what comes through a pipe is kept until the
    end."""
    piped = str(source) == PIPE
    if not piped and not (os.path.exists(source) and stat.S_ISFIFO(os.stat(source).st_mode)):
        yield Path(source), ""
        return
    if output is None or Path(output).is_dir():
        raise UserError("output: must name a file, since what comes through a pipe has no name; give --output FILE.wav")
    name = "standard input" if piped else str(source)
    with tempfile.NamedTemporaryFile() as kept:
        with nullcontext(sys.stdin.buffer) if piped else open(source, "rb") as pipe:
            shutil.copyfileobj(pipe, kept)
        kept.flush()
        try:
            yield Path(kept.name), name
        except UserError as error:
            raise UserError(str(error).replace(kept.name, name)) from error
