"""What a file's name says of a recording: who speaks, what kind of noise it is, and what it is cut from."""

import re
from pathlib import Path

UNNAMED = "noise"  # kind of a file whose name and folder tell none
NONSPEECH_100 = {  # last number of each kind: http://web.cse.ohio-state.edu/pnl/corpus/HuNonspeech/HuCorpus.html
    17: "crowd",
    24: "machine",
    38: "alarm",
    44: "traffic",
    55: "animal",
    69: "water",
    78: "wind",
    82: "bell",
    100: "event",
}
DEMAND = {  # categories, three recordings each, of 16 channels: https://zenodo.org/records/1227121
    "D": "domestic",
    "N": "nature",
    "O": "office",
    "P": "public",
    "S": "street",
    "T": "transport",
}


def speech_speaker(path: Path) -> str:
    """Speaker of a file named as LibriSpeech (`103-1240-0000`), LibriTTS, cut from the same readings
    (`103_1240_000000_000001`), or VCTK (`p225_003`) do; else the file's stem."""
    if match := re.fullmatch(r"(?:[A-Za-z-]+_)?(\d+)-\d+-\d+|(\d+)_\d+_\d{6}_\d{6}", path.stem):
        return f"librispeech_{match[1] or match[2]}"
    if match := re.fullmatch(r"(p\d{3})_\d+(?:_mic\d)?", path.stem):
        return f"vctk_{match[1]}"
    return path.stem


def noise_kind(path: Path) -> tuple[str, str]:
    """Kind of noise, and the recording that a file is cut from, or a channel of: names of ESC-50, Nonspeech 100, DEMAND
    (`TBUS/ch01`) and CHiME (`BGD_150203_010_CAF.CH1`), `rain_0`, `rain_1`."""
    stem = path.stem
    if re.fullmatch(r"ch\d\d", stem) and (match := re.fullmatch(r"([DNOPST])[A-Z]{3,7}", path.parent.name)):
        return DEMAND[match[1]], f"demand_{path.parent.name}"
    stem = re.sub(r"(?<=.)\.CH\d$", "", stem)
    if match := re.fullmatch(r"(?:(.+)_)?\d-(\d+)-[A-Z](?:-\d+)?", stem):  # fold, source recording, take
        return match[1] or path.parent.name or UNNAMED, f"esc_{match[2]}"
    if match := re.fullmatch(r"n(\d{1,2}|100)", stem):
        return next(kind for last, kind in NONSPEECH_100.items() if int(match[1]) <= last), f"nonspeech_{stem}"
    recording = re.sub(r"_\d+$", "", stem)  # numbered pieces of one recording
    return re.sub(r"[\d_]+$", "", recording) or path.parent.name or UNNAMED, f"{path.parent.name}_{recording}"
