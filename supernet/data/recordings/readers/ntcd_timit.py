"""NTCD-TIMIT: the volunteers of TCD-TIMIT from straight ahead, with noise added to their sound.

    Clean/volunteers/<speaker>/straightcam/<utterance>.wav
    <Noise>/<SNR>/volunteers/<speaker>/straightcam/<utterance>.wav     Babble, Cafe, Car, LR, Street, White; dB

Pictures lie anywhere below the same folder, in one of two forms: `<speaker>/…/<utterance>Raw.npy`, 67 x 67 lip pictures
as the corpus's own features hold them, or the videos of TCD-TIMIT, `<speaker>/…/straightcam/<utterance>.mp4`. Both
have 29.97 frames a second. The layout is that which github.com users of the corpus read ("straightcam", "Raw.npy").

The nine test speakers are the corpus's own; validation is a seeded share of the others, or the corpus's own where its
folders `matlab_raw/{train,dev,test}/` are there. The noisy files are recorded mixtures; they bring no noise of their
own, so for mixing anew name a folder of noise.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from supernet.data.corpus import Split
from supernet.data.recordings.readers import Recording, count, draft, found_below
from supernet.errors import UserError

SPEAKER = re.compile(r"\d{2}[MF]")  # "09F"
SNR = re.compile(r"[+-]?\d+")  # "-5", dB
NOISES = ("Babble", "Cafe", "Car", "LR", "Street", "White")
TEST = ("09F", "24M", "26M", "27M", "33F", "40F", "47M", "49F", "56M")
RATE = Fraction(30_000, 1001)
RAW = "Raw.npy"
OFFICIAL: dict[str, Split] = {"train": "train", "dev": "val", "test": "test"}
LAYOUT = "NTCD-TIMIT unpacks to Clean/volunteers/<speaker>/straightcam/ (https://zenodo.org/record/260228)"
Utterance = tuple[str, str]  # speaker, name


def read(root: Path, key: str) -> list[Recording]:
    wavs = [(_utterance(path), path) for path in found_below(root, (".wav",)) if _utterance(path)]
    clean = {utterance: path for utterance, path in wavs if path.parts[0] == "Clean"}
    noisy = [(utterance, path) for utterance, path in wavs if path.parts[0] in NOISES and SNR.fullmatch(path.parts[1])]
    pictures = _pictures(root)
    if not clean:
        raise UserError(f"{key}: {root} has no sound in Clean/volunteers/<speaker>/straightcam/; {LAYOUT}")
    if not clean.keys() & pictures.keys():
        raise UserError(
            f"{key}: {root} has no lip pictures (<speaker>/…/<utterance>{RAW}) and no videos "
            "(<speaker>/…/straightcam/<utterance>.mp4) of what is in Clean/; copy or link one of them into it"
        )
    seen = {utterance: path for utterance, path in sorted(clean.items()) if utterance in pictures}
    official = _official(root)
    recordings = [_talker(root, utterance, path, pictures[utterance], official) for utterance, path in seen.items()]
    recordings += [_mixture(root, utterance, path, official) for utterance, path in noisy if utterance in seen]
    counts = {
        "clean files have no pictures": len(clean) - len(seen),
        "pictures have no clean file": len(pictures.keys() - clean.keys()),
        "noisy files lie in no folder of an SNR": sum(path.parts[0] in NOISES for _, path in wavs) - len(noisy),
        "noisy files have no clean file with pictures": sum(utterance not in seen for utterance, _ in noisy),
    }
    count(root, counts)
    return recordings


def _utterance(path: Path) -> Utterance | None:
    """Speaker and utterance of a file, None for one of another camera or of nobody."""
    speaker = next((part for part in path.parts[:-1] if SPEAKER.fullmatch(part)), None)
    other_camera = any("degcam" in part.lower() for part in path.parts)
    name = path.name.removesuffix(RAW) if path.name.endswith(RAW) else path.stem
    return None if speaker is None or other_camera else (speaker, name.lower())


def _pictures(root: Path) -> dict[Utterance, Path]:
    """Lip pictures of each utterance, or else its video; paths below `root`."""
    videos = found_below(root, (".mp4",))
    arrays = [path for path in found_below(root, (".npy",)) if path.name.endswith(RAW)]
    return {utterance: path for path in videos + arrays if (utterance := _utterance(path))}


def _official(root: Path) -> dict[str, Split]:
    """Splits of speakers, as the folders of the corpus's own features divide them; empty without these folders."""
    found = [(part, path) for part in OFFICIAL for path in (root / "matlab_raw" / part).rglob("*") if path.is_dir()]
    return {path.name: OFFICIAL[part] for part, path in found if SPEAKER.fullmatch(path.name)}


def _splits(speaker: str, official: dict[str, Split]) -> tuple[Split, ...]:
    if speaker in official:
        return (official[speaker],)
    return ("test",) if speaker in TEST else ("train", "val")


def _talker(root: Path, utterance: Utterance, path: Path, pictures: Path, official: dict[str, Split]) -> Recording:
    clip = draft("talker", "-".join(("talker", *utterance)), path, utterance[0])
    array = pictures.suffix == ".npy"
    return Recording(
        clip,
        root / path,
        video=None if array else root / pictures,
        lips=root / pictures if array else None,
        lip_rate=RATE,
        splits=_splits(utterance[0], official),
    )


def _mixture(root: Path, utterance: Utterance, path: Path, official: dict[str, Split]) -> Recording:
    noise, snr_db = path.parts[:2]
    clip = draft("mixture", "-".join(("mixture", noise, snr_db, *utterance)), path, utterance[0], noise.lower())
    return Recording(
        clip,
        root / path,
        splits=_splits(utterance[0], official),
        mixture_of="-".join(("talker", *utterance)),
        snr_db=float(snr_db),
        kind="noise",
    )
