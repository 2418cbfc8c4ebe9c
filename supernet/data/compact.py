"""A corpus small enough to be carried about: mouths as grey video, sound as Opus, in one folder of some megabytes.

    pack.json                      what made it, the hash of the corpus that it becomes and of each file below
    clips.jsonl                    the manifest of that corpus
    settings.json, lists/, rooms/  as in that corpus
    audio/<id>.ogg, lips/<id>.mkv  Opus, and H.264 without colour

What is decoded is the corpus: its mixtures, targets and lists are made of the decoded sound, so coding adds no error to
what is learnt or measured. A clip's `source` ends with a digest of its decoded bits, so the corpus's hash tells
whether two machines hold the same; H.264 is decoded exactly everywhere, Opus wherever libsndfile's build is the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar, cast

import av
import numpy as np
import soundfile
import yaml
from tqdm import tqdm

from supernet.checkpoint import identity_hash
from supernet.data.build import NEWER, SETTINGS, claim, draw_lists, noted, notes
from supernet.data.corpus import LISTS, MANIFEST, PACK, ROOMS, Clip, Corpus, save_audio, save_lips, write_lines
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.media.opening import opened
from supernet.storage.files import read_json, write_atomically, write_text
from supernet.timing import FRAME_RATE, SAMPLE_RATE

CLIPS = "clips.jsonl"
OPTIONS = "data.yaml"  # in an unpacked corpus: the settings to train with, as a --config
FORMAT = 1  # of the pack
LOUDNESS = 0.93  # libsndfile's scale of compression, here about 24 kbit/s
PICTURES = {"preset": "slow", "crf": "18"}  # about 150 bytes a frame at 46 dB
NOTED = 700  # bytes of a clip in clips.jsonl and pack.json
ELSEWHERE = ("root", "speech", "noise")  # settings that name what is not where the pack is unpacked
DIGEST = re.compile(r" \[([0-9a-f]{16})\]$")
AGAIN = "copy the pack again, or pack the corpus again"
Result = TypeVar("Result")


class Packed(NamedTuple):
    size: int  # bytes
    kept: str  # in a line
    data_hash: str


class Unpacked(NamedTuple):
    corpus: Corpus
    other_bits: int  # clips that are decoded otherwise here than where they were packed


def pack(corpus: Corpus, settings: DataSettings, folder: Path, max_mb: float) -> Packed:
    """Write the corpus, which the settings made, into a new `folder` of at most `max_mb` MB (10^6 bytes).

    A corpus that is too large is thinned: the first clip of every speaker and kind of noise is kept, then the second,
    and so on while there is room. Lists are drawn anew from what is kept. The folder is there completely or not at all;
    started again, it goes on with the clips that it has encoded.
    Raises UserError when the folder is not empty, or the corpus too large even so, or it holds recorded mixtures.
    """
    if not max_mb > 0:
        raise UserError(f"--max_mb: must be positive, but is {max_mb:g}")
    _check_new(folder)
    if corpus.select("mixture"):
        raise UserError(f"{corpus.folder}: holds recorded mixtures, and coding would part them from their targets")
    claim(corpus.folder, settings)
    work = folder.with_name(f".{folder.name}.{corpus.hash[:8]}.packing")
    single = [_alone(corpus, clip) for clip in corpus.clips]
    sizes = dict(zip(corpus.clips, _each(partial(_encode, folder=work), single, "encoding"), strict=True))
    kept = _chosen({clip: size + NOTED for clip, size in sizes.items() if size}, max_mb * 1e6 - _further(corpus))
    if missing := sorted({_group(clip) for clip in corpus.clips} - {_group(clip) for clip in kept}):
        raise UserError(f"--max_mb: {max_mb:g} leaves no {missing[0][0]} clip for '{missing[0][1]}'; raise it")
    for clip in set(corpus.clips) - set(kept):
        for path in _files(clip):
            (work / path).unlink(missing_ok=True)
    anywhere = replace(settings, **dict.fromkeys(ELSEWHERE, cast(Any, None)))
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        becomes = Corpus(temporary, _decode(kept, work, Path(temporary)))
        if (corpus.folder / ROOMS).is_dir():
            shutil.copytree(corpus.folder / ROOMS, becomes.folder / ROOMS)
        draw_lists(becomes, anywhere)
        data_hash = Corpus.write(temporary, becomes.clips).hash
        write_text(becomes.folder / SETTINGS, json.dumps(notes(anywhere), indent=2) + "\n")
        _copy(becomes.folder, work)
        shutil.copyfile(becomes.folder / MANIFEST, work / CLIPS)
    files = sorted(path for path in work.rglob("*") if path.is_file() and path.name != PACK)
    content = {
        "format": FORMAT,
        "made_with": {name: version(name) for name in ("ofa-avse", "av", "soundfile")},
        "data_hash": data_hash,
        "files": {path.relative_to(work).as_posix(): _hash(path) for path in files},
    }
    write_text(work / PACK, json.dumps(content | {"hash": identity_hash(content)}, indent=1) + "\n")
    os.replace(work, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Packed(size, _kept(corpus.clips, kept, max_mb), data_hash)


def unpack(source: Path, folder: Path) -> Unpacked:
    """Make a new `folder` the corpus that the pack at `source` holds; one that it is already is left as it is.

    Raises UserError that names the file when the pack is damaged, or not whole, and when the folder is not empty.
    """
    content = _content(source)
    if (folder / MANIFEST).is_file() and (corpus := Corpus.open(folder)).hash == content["data_hash"]:
        return Unpacked(corpus, 0)
    _check_new(folder)
    _each(partial(_check, source), list(content["files"].items()), "checking")
    packed = [Clip(**json.loads(line)) for line in (source / CLIPS).read_text().splitlines()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        work = Path(temporary) / "corpus"
        clips = _decode(packed, source, work)
        _copy(source, work)
        settings = noted(work)
        options = (
            notes(settings) | {name: getattr(settings, name) for name in NEWER} | {"folder": str(folder.resolve())}
        )
        options = {name: value for name, value in options.items() if hasattr(settings, name)}
        write_text(work / OPTIONS, yaml.safe_dump({"data": options}, sort_keys=False))
        write_lines(work / MANIFEST, map(asdict, clips))
        os.replace(work, folder)
    return Unpacked(Corpus.open(folder), sum(a != b for a, b in zip(packed, clips, strict=True)))


def _check_new(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder}: is there already; name a new folder")


def _group(clip: Clip) -> tuple[str, str]:
    return clip.role, clip.split


def _alone(corpus: Corpus, clip: Clip) -> Corpus:
    """A corpus of this clip."""
    packed = {name: corpus.packed[name] for name in (clip.audio, clip.lips) if name in corpus.packed}
    return Corpus(corpus.folder, [clip], [], packed)


def _files(clip: Clip) -> list[Path]:
    """A clip's sound and, where it has them, its lips, below the pack's folder."""
    return [Path(clip.audio).with_suffix(".ogg"), *([Path(clip.lips).with_suffix(".mkv")] if clip.lips else [])]


def _further(corpus: Corpus) -> float:
    """Bytes of a pack besides its clips, on the safe side."""
    kept = [path for name in (LISTS, ROOMS) for path in (corpus.folder / name).rglob("*") if path.is_file()]
    return 20_000 + 1.2 * sum(path.stat().st_size for path in kept)


def _chosen(sizes: dict[Clip, int], budget: float) -> list[Clip]:
    """The clips that are kept, in their order: as many as fit, the same number of each speaker or kind of noise, while
    it has as many."""
    ranks: Counter[tuple[str, ...]] = Counter()
    order: dict[Clip, tuple[int, int]] = {}
    for clip in sorted(sizes, key=lambda clip: (zlib.crc32(clip.id.encode()), clip.id)):
        source = (*_group(clip), clip.speaker or clip.category)
        order[clip] = ranks[source], len(order)
        ranks[source] += 1
    kept = set()
    for clip in sorted(order, key=order.__getitem__):
        budget -= sizes[clip]
        if budget < 0:
            break
        kept.add(clip)
    return [clip for clip in sizes if clip in kept]


def _kept(clips: Sequence[Clip], kept: Sequence[Clip], max_mb: float) -> str:
    if len(kept) == len(clips):
        return f"all {len(clips):,} clips"
    whole, part = Counter(clip.role for clip in clips), Counter(clip.role for clip in kept)
    most = max(Counter((*_group(clip), clip.speaker or clip.category) for clip in kept).values())
    return (
        f"{len(kept):,} of {len(clips):,} clips within {max_mb:g} MB, at most {most} of a speaker or a kind of noise: "
        + ", ".join(f"{role} {part[role]} of {count}" for role, count in whole.items())
    )


def _encode(alone: Corpus, folder: Path) -> int:
    """Write the files of a corpus's only clip. Returns their size in bytes, 0 where coding leaves no sound."""
    (clip,) = alone.clips
    sound, *pictures = [folder / path for path in _files(clip)]
    if not sound.is_file():  # written last
        for path in pictures:
            write_atomically(path, partial(_write_pictures, alone.lips(clip)))
        coding = {"format": "OGG", "subtype": "OPUS", "compression_level": LOUDNESS}
        wave = alone.audio(clip)
        write_atomically(sound, lambda temporary: soundfile.write(temporary, wave, SAMPLE_RATE, **coding))
    return sum(path.stat().st_size for path in (sound, *pictures)) if _read_sound(sound).any() else 0


def _write_pictures(lips: np.ndarray, path: Path) -> None:
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE, options=PICTURES)
        stream.height, stream.width = lips.shape[1:]
        stream.pix_fmt, stream.codec_context.thread_count = "gray", 1
        for index, picture in enumerate(lips):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _read_sound(path: Path) -> np.ndarray:
    """int16 (samples,)"""
    try:
        wave, rate = soundfile.read(path, dtype="float32")
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: cannot be decoded ({error.error_string}); {AGAIN}") from error
    if rate != SAMPLE_RATE or wave.ndim != 1:
        raise UserError(f"{path}: holds {wave.ndim} channels at {rate} Hz; {AGAIN}")
    return (wave * 32768).round().clip(-32768, 32767).astype(np.int16)


def _read_pictures(path: Path) -> np.ndarray:
    """uint8 (frames, 96, 96)"""
    with opened(path) as container:
        # Brightness is the first plane of what is decoded; to ask for grey would stretch its range.
        return np.stack([frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)])


def _decode(clips: Sequence[Clip], source: Path, folder: Path) -> list[Clip]:
    """Write sound and lips of the clips of a pack into a corpus's folder; returns them with the digests found."""

    def decode(clip: Clip) -> Clip:
        path, *pictures = [source / path for path in _files(clip)]
        sound = _read_sound(path)
        digest = hashlib.sha256(sound.tobytes())
        if len(sound) != clip.samples:
            raise UserError(f"{path}: holds {len(sound)} samples instead of {clip.samples}; {AGAIN}")
        save_audio(folder / clip.audio, sound)
        for path in pictures:
            lips = _read_pictures(path)
            if len(lips) != clip.frames:
                raise UserError(f"{path}: holds {len(lips)} pictures instead of {clip.frames}; {AGAIN}")
            save_lips(folder / clip.lips, lips)
            digest.update(lips.tobytes())
        return replace(clip, source=f"{DIGEST.sub('', clip.source)} [{digest.hexdigest()[:16]}]")

    return _each(decode, clips, "decoding")


def _copy(source: Path, target: Path) -> None:
    """What a pack and its corpus have in common."""
    for path in (source / SETTINGS, *(source / LISTS).rglob("*"), *(source / ROOMS).rglob("*")):
        if path.is_file():
            write_atomically(target / path.relative_to(source), partial(shutil.copyfile, path))


def _content(source: Path) -> dict[str, Any]:
    """Raises UserError unless `source` is a pack whose pack.json is as it was written."""
    path = source / PACK
    if not path.is_file():
        raise UserError(f"{path}: not found; name a folder that `ofa-avse data pack --compact` wrote")
    content = read_json(path, AGAIN)
    if content.pop("hash", None) != identity_hash(content):
        raise UserError(f"{path}: damaged (its hash is another); {AGAIN}")
    if content["format"] != FORMAT:
        raise UserError(f"{path}: is of format {content['format']}, and this version reads {FORMAT}; update ofa-avse")
    return content


def _check(source: Path, file: tuple[str, str]) -> None:
    path = source / file[0]
    if not path.is_file():
        raise UserError(f"{path}: not found; {AGAIN}")
    if _hash(path) != file[1]:
        raise UserError(f"{path}: damaged (its hash is another); {AGAIN}")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _each(function: Callable[[Any], Result], items: Collection[Any], description: str) -> list[Result]:
    """`function` of each item, in threads: codecs leave the interpreter free."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(tqdm(pool.map(function, items), description, len(items), unit="clip", mininterval=1, delay=1))
