"""What a prepared corpus looks like, on one picture: counts, lists, and single clips with their lips and sound."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from tqdm import tqdm

from supernet.data.corpus import LISTS, Clip, Corpus, Role
from supernet.data.lips.find import FACE_TRACK_HALF, Mouth, find_mouths
from supernet.data.mixing.batches import read_list
from supernet.data.recordings.preparing import TALKERS
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.media.names import AUDIO_SUFFIXES
from supernet.media.pictures import read_frames
from supernet.space import PIXELS, REGION
from supernet.storage.files import write_atomically
from supernet.timing import FRAME_RATE, SAMPLE_RATE

CROPS = 5  # of a clip, evenly over its length; the middle one belongs to the source's picture
ACROSS = 2  # clips beside each other
FACE, MOUTH = "#4db6e5", "#ff5a36"
BINS = 20  # of the signal-to-noise ratios


@dataclass(frozen=True)
class Source:
    """The picture of a source video in the middle of its clip, and what was found there.

    Args:
        picture: grey, uint8 (height, width).
        face: left, top and width of the face's box, pixels; None for a face track.
        mouth: the square that became the lip region.
        share: of the video's pictures, in which the face was found.
    """

    picture: np.ndarray
    face: tuple[float, float, float] | None
    mouth: Mouth
    share: float


def contact_sheet(corpus: Corpus, settings: DataSettings, output: Path, clips: int = 12) -> list[Clip]:
    """Write a PNG of the corpus, with `clips` talker clips of as many speakers as there are; return these clips.

    Their source videos are shown where they can still be read below `settings.root`.

    Raises UserError when the corpus has no talker, or `clips` is below 1.
    """
    if clips < 1:
        raise UserError(f"clips: must be at least 1, but is {clips}")
    chosen = choose(corpus, clips)
    if not chosen:
        raise UserError(f"{corpus.folder}: holds no talker to show; prepare the corpus again")
    rows = -(-len(chosen) // ACROSS)
    figure = Figure(figsize=(18, 3.4 + 1.7 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    top, below = cast(Any, figure.subfigures(2, 1, height_ratios=[3.4, 1.7 * rows]))
    table, histogram = top.subplots(1, 2, width_ratios=[1.25, 1])
    _counts(table, corpus)
    _ratios(histogram, corpus)
    grid = below.subplots(rows, 3 * ACROSS, squeeze=False, width_ratios=[1.3, 4, 1.8] * ACROSS)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, clip in enumerate(tqdm(chosen, desc="inspect", unit="clip", mininterval=1)):
        row, column = divmod(number, ACROSS)
        picture, crops, wave = grid[row, 3 * column : 3 * column + 3]
        _source(picture, clip, settings)
        _crops(crops, corpus, clip)
        _wave(wave, corpus, clip)
    top.suptitle(f"{corpus.folder}", fontsize=13, fontweight="bold", x=0.01, ha="left")
    write_atomically(output, lambda temporary: figure.savefig(temporary, format="png", dpi=90))
    return chosen


def choose(corpus: Corpus, clips: int) -> list[Clip]:
    """Talker clips: the first of each speaker, then the second of each, until there are `clips`; by split and name."""
    by_speaker = defaultdict(list)
    for clip in corpus.select("talker"):
        by_speaker[clip.split, clip.speaker].append(clip)
    splits = [[name for name in sorted(by_speaker) if name[0] == split] for split in ("train", "val", "test")]
    speakers = [name for name in chain(*zip_longest(*splits)) if name]  # so that few clips show all splits
    order = [clip for clip in chain(*zip_longest(*(by_speaker[name] for name in speakers))) if clip]
    return sorted(order[:clips], key=lambda clip: (clip.speaker, clip.id))


def find_source(clip: Clip, settings: DataSettings) -> Source:
    """Raises UserError when the source video is not there any more, or cannot be read."""
    if settings.corpus == "synthetic":
        raise UserError("drawn, without a source")
    path = Path(settings.root or ".") / clip.source
    if not path.is_file():
        raise UserError(f"{path}: not found; name its folder with --data.root")
    if path.suffix.lower() in AUDIO_SUFFIXES:  # with its pictures elsewhere, where the corpus's reader knows
        video = _videos(settings.corpus, settings.root or ".").get(clip.id)
        if video is None:
            raise UserError("lip pictures came with the corpus, and no video")
        path = video
    middle = clip.frames // 2
    picture = next((frame for index, frame in enumerate(read_frames(path)) if index == middle), None)
    if picture is None:
        raise UserError(f"{path}: is shorter than the clip that was made of it; prepare the corpus again")
    if settings.lip_region == "face_track":
        height, width = picture.shape
        return Source(picture, None, Mouth(width / 2, height / 2, FACE_TRACK_HALF * width), 1.0)
    mouths = find_mouths(path, settings.lip_region, settings.landmark_model)
    width = mouths.face_width[middle]
    face = mouths.face_x[middle] - width / 2, mouths.face_y[middle] - width / 2, width
    return Source(picture, face, mouths[middle], float(mouths.seen.mean()))


@lru_cache(maxsize=1)
def _videos(corpus: str, root: str) -> dict[str, Path]:
    """The video of each talker's clip, by its id."""
    found = TALKERS[corpus].read(Path(root), "--data.root")
    return {recording.clip.id: recording.video for recording in found if recording.video}


def counts(corpus: Corpus) -> list[tuple[str, str, int, int, float]]:
    """Role, split, clips, speakers (of noise: kinds) and hours, of each that there is."""
    rows = []
    for role in get_args(Role):
        for split in ("train", "val", "test"):
            clips = corpus.select(role, split)
            if clips:
                groups = {clip.speaker or clip.category for clip in clips}
                hours = sum(clip.samples for clip in clips) / SAMPLE_RATE / 3600
                rows.append((role, split, len(clips), len(groups), hours))
    return rows


def _counts(axes: Axes, corpus: Corpus) -> None:
    axes.set_axis_off()
    rows = [(*row[:2], f"{row[2]:,}", f"{row[3]:,}", f"{row[4]:.3f}") for row in counts(corpus)]
    labels = ("role", "split", "clips", "speakers or kinds", "hours")
    table = axes.table(rows, colLabels=labels, loc="upper left", edges="horizontal", bbox=Bbox.unit())
    table.auto_set_font_size(False)
    table.set_fontsize(10)
    for (row, column), cell in table.get_celld().items():
        cell.set_edgecolor("0.8")
        cell.set_text_props(ha="left" if column < 2 else "right")
        if row == 0:
            cell.set_text_props(fontweight="bold")


def _ratios(axes: Axes, corpus: Corpus) -> None:
    names = sorted(path.stem for path in (corpus.folder / LISTS).glob("*.jsonl"))
    ratios = {name: [spec.snr_db for spec in read_list(corpus, name)] for name in names}
    labels = [f"{name}: {len(values)} mixtures" for name, values in ratios.items()]
    if any(ratios.values()):
        axes.hist(list(ratios.values()), bins=BINS, label=labels, stacked=True)
        axes.legend(frameon=False, fontsize=9)
    else:
        axes.text(0.5, 0.5, "no lists", ha="center", va="center", transform=axes.transAxes)
    axes.set(xlabel="signal-to-noise ratio of the fixed lists (dB)", ylabel="mixtures")
    axes.spines[["top", "right"]].set_visible(False)


def _source(axes: Axes, clip: Clip, settings: DataSettings) -> None:
    """The picture of the source with face and mouth, or the reason why there is none."""
    try:
        source = find_source(clip, settings)
    except UserError as error:
        axes.text(0.5, 0.5, str(error), ha="center", va="center", fontsize=7, wrap=True, transform=axes.transAxes)
        return
    axes.imshow(source.picture, cmap="gray", vmin=0, vmax=255)
    if source.face:
        left, top, width = source.face
        axes.add_patch(Rectangle((left, top), width, width, fill=False, color=FACE, linewidth=1.2))
    mouth, side = source.mouth, 2 * source.mouth.half_side
    corner = mouth.x - mouth.half_side, mouth.y - mouth.half_side
    axes.add_patch(Rectangle(corner, side, side, fill=False, color=MOUTH, linewidth=1.2))
    axes.set_title(f"face in {100 * source.share:.0f} % of pictures", fontsize=8, pad=3)


def _crops(axes: Axes, corpus: Corpus, clip: Clip) -> None:
    margin = (REGION - PIXELS) // 2
    spread = [clip.frames // 2 + round((n - CROPS // 2) * (clip.frames - 1) / CROPS) for n in range(CROPS)]
    picks = np.clip(spread, 0, clip.frames - 1)
    inner = slice(margin, margin + PIXELS)
    strip = np.full((PIXELS, CROPS * (PIXELS + 2) - 2), 255, np.uint8)
    for number, pick in enumerate(picks):
        left = number * (PIXELS + 2)
        strip[:, left : left + PIXELS] = corpus.lips(clip)[pick, inner, inner]
    axes.imshow(strip, cmap="gray", vmin=0, vmax=255)
    seconds = ", ".join(f"{pick / FRAME_RATE:.1f}" for pick in picks)
    axes.set_title(f"{clip.id}  ({clip.speaker}, {clip.split}), at {seconds} s", fontsize=8, pad=3)


def _wave(axes: Axes, corpus: Corpus, clip: Clip) -> None:
    wave = corpus.audio(clip)
    pieces = np.array_split(wave, min(len(wave), 600))
    seconds = np.linspace(0, len(wave) / SAMPLE_RATE, len(pieces))
    axes.set_axis_on()
    axes.fill_between(seconds, [p.min() for p in pieces], [p.max() for p in pieces], linewidth=0.3, color="0.35")
    peak = max(float(np.abs(wave).max()), 1e-3)
    axes.set(xlim=(0, seconds[-1]), ylim=(-peak, peak), yticks=[])
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(f"{clip.samples / SAMPLE_RATE:.2f} s, peak {20 * np.log10(peak):.1f} dBFS", fontsize=8, pad=3)
