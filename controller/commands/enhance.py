"""The `enhance` command, which an install without PyTorch has too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from supernet.data.lips.find import Rule
from supernet.deploy.choosing import By, Device, opened
from supernet.deploy.enhance import Channels, Rate, Wanted
from supernet.deploy.sources import enhance as enhance_sources
from supernet.errors import UserError
from supernet.models import SMALL


def enhance(
    sources: Sequence[str],
    model: str | None = None,
    output: str | None = None,
    lips: str | None = None,
    no_lips: bool = False,
    face: str | None = None,
    audio_track: int | None = None,
    rate: Rate = "16k",
    channels: Channels = "mono",
    video: bool = False,
    strength: float = 1.0,
    recursive: bool = False,
    lip_region: Rule | None = None,
    landmark_model: str | None = None,
    runtime: By = "auto",
    threads: int = 0,
    device: Device = "auto",
) -> None:
    """Write the enhanced sound of each source beside it, as <name>.enhanced.wav.

    Args:
        sources: sound files, videos, and folders of them; `-` is standard input.
        model: a network, as `export`, `retrain` or `extract` wrote it; that of the package when not given.
        output: file to write; for a folder or several sources, a folder.
        lips: video of the talker, for a source without one of its own; a still picture has no lips that move.
        no_lips: enhance from sound alone.
        face: of several faces the one that talks: `left`, `right`, a number from the left, a point `x,y` in pixels, or
            `all`, a result for each; the one whose mouth moves with the sound when not given.
        audio_track: of several sound tracks, from 1; the one with a voice when not given.
        rate: of the result: `16k`, or the `source`'s.
        channels: of the result: `mono`, or `keep` for two where the source has more than one.
        video: write a video, its pictures as they are.
        strength: from 0, the noisy sound, to 1, all that the network does.
        recursive: take the folders within folders too.
        lip_region: how the mouth is found, as in `data.lip_region`; as it was for the model's training when not given.
        landmark_model: file of MediaPipe's face landmarker; for `landmarks`.
        runtime: `onnxruntime`, `openvino`, `torch`, or `auto`: onnxruntime where the network was exported, its .onnx
            beside its .safetensors, else torch.
        threads: of onnxruntime or OpenVINO; 0 uses all processors.
        device: of torch: `cpu`, `cuda`, or `auto`, the GPU where there is one.
    """
    path = Path(model) if model else SMALL
    network, trained = opened(path, runtime, device, threads)
    rule = lip_region or trained
    if rule not in get_args(Rule):
        raise UserError(f"{path}: its lip_region is {rule!r}, none of {', '.join(get_args(Rule))}; give --lip_region")
    wanted = Wanted(
        lips=Path(lips) if lips else None,
        no_lips=no_lips,
        face=face,
        audio_track=audio_track,
        rate=rate,
        channels=channels,
        video=video,
        strength=strength,
        lip_region=cast(Rule, rule),
        landmark_model=landmark_model,
    )
    for written in enhance_sources(network, sources, output, wanted, recursive):
        print(written)
