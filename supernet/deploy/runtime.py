"""Exported networks, ready to run without PyTorch: by onnxruntime, or by OpenVINO where it is installed and wanted."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from supernet.deploy.chunks import LipWindow, enhance_stream
from supernet.errors import UserError
from supernet.media.opening import check_file
from supernet.space import PIXELS, Channels, Subnet, channels
from supernet.storage.records import decode
from supernet.timing import FRAME_RATE, SAMPLES_PER_FRAME

Runtime = Literal["onnxruntime", "openvino"]
Session = Callable[[np.ndarray, np.ndarray], np.ndarray]  # what the graph computes, a batch at a time

KEY = "ofa-avse"  # of the metadata
AGAIN = "export it again"
MOST_THREADS = 1024
LARGEST_HEADER = 100_000_000  # bytes, as the format has it
NAMES = {"onnxruntime": "onnxruntime", "openvino": "OpenVINO"}


class About(Struct, frozen=True):
    """What an exported file says of itself, as JSON under the key `ofa-avse` of its metadata.

    Args:
        subnet, width, causal, norm: of the network.
        sample_rate: of the sound, Hz.
        lip_region: by which rule mouths were found for its training.
        form: the runtime for which it is laid out; both can read it.
        precision: of the weights in the file; they are computed with in fp32.
        quality: what is known of it, as the caller of `export` said.
        licence: of the weights.
        source: hash of the weights in the safetensors file that it was made of; empty where there is none.
        version: of the program that made it.
        size, content: of the file up to here: its bytes, and their sha256.
    """

    kind: Literal["exported network"]
    subnet: str
    width: float
    causal: bool
    norm: Literal["global", "frame"]
    sample_rate: Literal[16000]
    lip_region: str
    form: Runtime
    precision: Literal["fp32", "fp16", "bf16"]
    quality: dict[str, Any]
    licence: str
    source: str
    version: str
    size: int
    content: str


class Enhancer:
    """An exported network on this machine's processor.

    `enhancer(mixture, lips)` enhances sound of any length; `estimate` is one pass of the graph.
    """

    def __init__(self, path: Path, about: About, runtime: Runtime, threads: int, session: Session) -> None:
        self.path, self.about, self.runtime, self.threads = path, about, runtime, threads
        self.run = session

    @classmethod
    def open(cls, path: Path | str, runtime: Runtime = "onnxruntime", threads: int = 1) -> Enhancer:
        """Raises UserError when the file is none that `export` wrote, was damaged since, or the runtime is missing."""
        path = Path(path)
        if not 1 <= threads <= MOST_THREADS:
            raise UserError(f"threads: must be from 1 to {MOST_THREADS}, but is {threads}")
        if runtime not in SESSIONS:
            raise UserError(f"runtime: must be one of {', '.join(SESSIONS)}, but is {runtime}")
        check_file(path)
        content = path.read_bytes()
        session, text = SESSIONS[runtime](path, content, threads)
        if text is None:
            raise UserError(f"{path}: was not exported by this program (its metadata has no {KEY}); {AGAIN}")
        about = decode(text, About, f"{path}: its metadata is damaged", AGAIN)
        if hashlib.sha256(content[: about.size]).hexdigest() != about.content:
            raise UserError(f"{path}: is damaged (its hash is not the one in its metadata); {AGAIN}")
        return cls(path, about, runtime, threads, session)

    @property
    def channels(self) -> Channels:
        return channels(Subnet.parse(self.about.subnet), self.about.width)

    @property
    def origin(self) -> str:
        return str(self.path)

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        return f"the CPU by {NAMES[self.runtime]}, {self.threads} thread{'s' * (self.threads > 1)}"

    def __call__(self, mixture: np.ndarray, lips: np.ndarray | None = None, chunk_seconds: float = 8.0) -> np.ndarray:
        """Sound of any length, float32 (samples,), with lips uint8 (frames, 88, 88), 25 a second from its start on, to
        the estimate (samples,); see `supernet.deploy.chunks`. Raises UserError for other shapes."""
        if mixture.ndim != 1 or mixture.dtype != np.float32:
            raise UserError(f"mixture: must be float32 (samples,), but is {mixture.dtype} {mixture.shape}")
        if lips is not None and (lips.ndim != 3 or lips.shape[1:] != (PIXELS, PIXELS) or lips.dtype != np.uint8):
            raise UserError(f"lips: must be uint8 (frames, {PIXELS}, {PIXELS}), but is {lips.dtype} {lips.shape}")
        window = None if lips is None else LipWindow(iter(lips))
        parts = enhance_stream(self, iter([mixture[:, None]]), [window], round(chunk_seconds * FRAME_RATE))
        return np.concatenate(list(parts))[:, 0]

    def estimate(self, mixture: np.ndarray, lips: np.ndarray | None) -> np.ndarray:
        """One pass: whole video frames of sound, (samples,), and as many lips (frames, 88, 88) -> (samples,)."""
        assert len(mixture) % SAMPLES_PER_FRAME == 0
        shown = np.zeros((0, PIXELS, PIXELS), np.uint8) if lips is None else lips
        return self.run(mixture[None], shown[None])[0]


def stated_hash(path: Path) -> str:
    """What a safetensors file of this program says that the hash of its weights is, read without PyTorch; empty where
    it says nothing."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        text = file.read(min(length, LARGEST_HEADER))
    try:
        return json.loads(json.loads(text)["__metadata__"]["header"])["tensors"]
    except (ValueError, KeyError, TypeError):
        return ""


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def runtimes() -> Iterator[Runtime]:
    """Those that are installed."""
    for name in SESSIONS:
        if find_spec(name):
            yield name


def _by_onnxruntime(path: Path, content: bytes, threads: int) -> tuple[Session, str | None]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads > 1 else "1")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own kinds have no common base
        raise _unreadable(path, error) from error
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    return lambda mixture, lips: session.run(["estimate"], {"mixture": mixture, "lips": lips})[0], text


def _by_openvino(path: Path, content: bytes, threads: int) -> tuple[Session, str | None]:
    try:
        import openvino
    except ImportError as error:
        raise UserError("runtime: openvino is not installed; `pip install openvino`, or use onnxruntime") from error
    core = openvino.Core()
    try:
        model = core.read_model(path)
        text = model.get_rt_info(["framework", KEY]).astype(str) if model.has_rt_info(["framework", KEY]) else None
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        request = core.compile_model(model, "CPU", options).create_infer_request()
    except RuntimeError as error:
        raise _unreadable(path, error) from error

    def run(mixture: np.ndarray, lips: np.ndarray) -> np.ndarray:
        return request.infer({"mixture": mixture, "lips": lips})["estimate"].copy()

    return run, text


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: is no readable ONNX file ({' '.join(str(error).split())[:200]}); {AGAIN}")


SESSIONS: dict[Runtime, Callable[[Path, bytes, int], tuple[Session, str | None]]] = {
    "onnxruntime": _by_onnxruntime,
    "openvino": _by_openvino,
}
