"""C files of this package, compiled on first use into the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

FLAGS = ("-O3", "-march=native", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


@cache
def library(source: Path) -> ctypes.CDLL | str:
    """The library of a C file, or in words why there is none: no compiler, or one that fails."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return "no C compiler"
    try:
        path = _folder() / f"{source.stem}-{_key(source, compiler)}.so"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=path.parent) as folder:  # of this process alone, since several may compile
                _compile(compiler, source, built := Path(folder) / path.name)
                built.replace(path)
        return ctypes.CDLL(str(path))
    except subprocess.CalledProcessError as error:
        return f"{compiler} fails: {' '.join(error.stderr.split())[:200] or error}"
    except OSError as error:
        return str(error)


def _compile(compiler: str, source: Path, target: Path) -> None:
    command = [compiler, *FLAGS, "-o", str(target), str(source), "-lm"]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ofa-avse"


def _key(source: Path, compiler: str) -> str:
    """Of all that the machine code follows from: source, compiler and processor, since homes are shared by machines."""
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout
    processor = Path("/proc/cpuinfo")
    lines = processor.read_text().splitlines() if processor.is_file() else []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())
    content = b"\0".join([source.read_bytes(), version.encode(), " ".join(FLAGS).encode(), features.encode()])
    return hashlib.sha256(content).hexdigest()[:16]
