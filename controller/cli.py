"""The command line: `ofa-avse COMMAND --config FILE --any.field value`, and nothing else.

A command is a typed function of `controller.commands.run`; its parameters, and the fields of `Settings` where it takes
them, are its options. What a user can mend ends as one line on the error stream and exit code 2.
"""

from __future__ import annotations

import inspect
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module, resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, set_parsing_settings

from supernet.errors import UserError
from supernet.settings import without_deleted
from supernet.storage.files import without_hash
from supernet.storage.signals import Terminated, raise_signals

PROGRAM = "ofa-avse"
DEFAULT_CONFIG = "quick"
SWITCHES = {  # options that take no value
    "no_lips": "enhance from the sound alone",
    "video": "write a video: the pictures as they are, the sound enhanced",
    "json": "print one JSON object",
    "causal": "a network that looks ahead nowhere",
    "recursive": "take the folders within folders too",
}
MANY = {"sources": "sound files, videos, and folders of them; - is standard input"}  # what comes without a name


GOES_ON = "the same command goes on from here"
STOPPED = {"enhance": "what was not finished is not there"}


class Command(NamedTuple):
    module: str  # of `controller`, imported when the command is asked for: a query does not wait for torch
    help: str


COMMANDS = {
    "quickstart": Command(
        "commands.quickstart", "the whole job: corpus, train, score, search, retrain, evaluate, report"
    ),
    "data": Command("commands.data", "make the corpus: synthesise talkers, or index and prepare recordings"),
    "data index": Command("commands.data", "what recordings there are, by their headers, and which are bad"),
    "data prepare": Command("commands.data", "sound and lip regions of all recordings, ready for `data`"),
    "data pack": Command("commands.data", "a corpus in tar shards, for many machines, or as a small pack"),
    "data unpack": Command("commands.data", "a corpus again of what `data pack --compact` wrote"),
    "data inspect": Command("commands.data", "a picture of the corpus: faces, lips, sound, counts, SNRs"),
    "train": Command("commands.run", "train the supernet; goes on where it stopped"),
    "score": Command("commands.run", "quality table of all 324 subnets, with costs"),
    "query": Command("commands.query", "best subnet of a quality table for any combination of budgets"),
    "search": Command("commands.run", "find a subnet with the PPO controller or a rival"),
    "extract": Command("commands.run", "cut a subnet out of the supernet"),
    "retrain": Command("commands.run", "train a subnet from scratch"),
    "evaluate": Command("commands.run", "SI-SNRi, PESQ, STOI and ESTOI of a model, by condition and SNR"),
    "profile": Command("commands.profile", "parameters, MACs, latency, RTF and memory on this machine"),
    "export": Command("commands.export", "a network as ONNX, which runs without PyTorch"),
    "enhance": Command("commands.enhance", "enhance a sound file, a video or a folder of them"),
    "truth": Command("studies.truth", "train subnets alone and fine-tune them all, to check the scores"),
    "recipes": Command("studies.recipes", "train the supernet under every recipe at equal cost and compare"),
    "rank": Command("studies.rank", "how well the scores rank subnets as stand-alone training would"),
    "tables": Command("studies.paper_tables", "the paper's Tables 2 and 3 from a run, the paper's figures beside"),
    "benchmark": Command("studies.methods.command", "every search method on tables whose answers are known"),
    "report": Command("commands.run", "the page of a run"),
    "report --open": Command("commands.page", "show the page of a run, as it was written, in the browser"),
}


class Parser(ArgumentParser):
    """Raises what is wrong with the command line instead of printing its usage and leaving."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        raise UserError(f"{' '.join(message.split())} (see {self.prog} --help)")


class NamedConfig(ActionConfigFile):
    """`--config grid` is the shipped grid.yaml; anything that looks like a path is one."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        path = find_config(values)
        try:
            super().__call__(parser, namespace, _current(path, parser.get_defaults().as_dict()), option_string)
        except (TypeError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise UserError(f"--config {path}: {' '.join(str(error).split())}") from error


def _current(path: Path, known: dict[str, Any]) -> str:
    """The path; or, where a former version has written fields there that no longer exist, the content without them.

    Raises ValueError for what is not `known`.
    """
    from controller.run.config import DELETED

    content = yaml.safe_load(without_hash(path, "configuration"))
    if not isinstance(content, dict):
        raise ValueError("holds no settings")
    kept = without_deleted(content, DELETED)
    _check(kept, known)
    return str(path) if kept == content else yaml.safe_dump(kept)


def _check(settings: dict[str, Any], known: dict[str, Any], group: str = "") -> None:
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"{group}{key}: no such setting")
        if known[key] and isinstance(known[key], dict):
            if not isinstance(value, dict):
                raise ValueError(f"{group}{key}: must be a group of settings, not {value!r}")
            _check(value, known[key], f"{group}{key}.")


def find_config(name: str) -> Path:
    """The file of a configuration. Raises UserError when there is neither such a file nor such a name."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = {Path(entry.name).stem: Path(str(entry)) for entry in resources.files("configs").iterdir()}
    names = sorted(stem for stem, entry in shipped.items() if entry.suffix == ".yaml")
    if name not in names:
        raise UserError(f"--config {name}: no such file, and none of the shipped ones: {', '.join(names)}")
    return shipped[name]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    if "OMP_WAIT_POLICY" not in os.environ:
        # Threads wait for each other some microseconds, not milliseconds, before they give up the core: as fast on a
        # quiet machine, and five times as fast on one that is shared.
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    arguments = sys.argv[1:] if arguments is None else arguments
    _prepare_streams()
    raise_signals()
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if arguments[0] == "--version":
        print(f"{PROGRAM} {version(PROGRAM)}")
        return 0
    try:
        return run(arguments[0], arguments[1:]) or 0
    except UserError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: stopped; {STOPPED.get(arguments[0], GOES_ON)}", file=sys.stderr)
        return 130
    except Terminated as ended:
        return 128 + ended.number
    except BrokenPipeError:  # the reader of our output has left, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("supernet", "eval", "controller"):
            raise
        print(
            f"{PROGRAM}: {arguments[0]}: needs {error.name}; `pip install ofa-avse` brings it",
            file=sys.stderr,
        )
        return 2
    except OSError as error:
        where = error.filename2 or error.filename or "a file"  # of a renaming, the place that was asked for
        print(f"{PROGRAM}: {where}: {error.strerror or error}; choose another path or make room", file=sys.stderr)
        return 2


class Forgiving(io.TextIOWrapper):
    """The error stream, which may be full or closed at its other end: then what is said is lost, and nothing else."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            super().flush()


def _prepare_streams() -> None:
    """A stream that is closed, or knows fewer characters than a file's name has, is no reason to fail."""
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if type(sys.stderr) is io.TextIOWrapper:
        sys.stderr = Forgiving(sys.stderr.buffer, sys.stderr.encoding, "replace", line_buffering=True)


def run(name: str, options: list[str]) -> int | None:
    """Call the command `name` with `options`."""
    return parsed(name, options)()


def parsed(name: str, options: list[str]) -> Callable[[], int | None]:
    """The call that a command line stands for; `data index` is a command of two words."""
    for word in options[:1] + [option for option in options if option.startswith("--")]:
        if f"{name} {word}" in COMMANDS:
            name, options = f"{name} {word}", [option for option in options if option != word]
            break
    if name not in COMMANDS:
        raise UserError(f"{name}: no such command; use one of {', '.join(COMMANDS)}")
    command = COMMANDS[name]
    function = getattr(import_module(f"controller.{command.module}"), name.split()[-1].removeprefix("--"))
    parameters = inspect.signature(function, eval_str=True).parameters
    set_parsing_settings(docstring_parse_attribute_docstrings=False)
    parser = Parser(prog=f"{PROGRAM} {name}", description=command.help, exit_on_error=True)
    switches = [key for key in parameters if key in SWITCHES]
    many = [key for key in parameters if key in MANY]
    skip: set[str | int] = {"settings", *switches, *many}
    parser.add_function_arguments(function, as_group=False, as_positional=False, skip=skip)
    for key in many:
        parser.add_argument(key, nargs="+", help=MANY[key])
    for key in switches:
        parser.add_argument(f"--{key}", action="store_true", help=SWITCHES[key])
    values = {}
    if "settings" in parameters:
        from controller.run.config import Settings

        parser.add_argument("--config", action=NamedConfig, help="a YAML file, or the name of a shipped one")
        fields = parser.add_class_arguments(Settings, as_group=False)
        if not any(option.split("=")[0] == "--config" for option in options):
            options = ["--config", DEFAULT_CONFIG, *options]
        parsed = parser.instantiate(parser.parse_args(options))
        values["settings"] = Settings(**{field: parsed[field] for field in fields})
    else:
        parsed = parser.parse_args(options)
    values |= {key: parsed[key] for key in parameters if key != "settings"}
    return partial(function, **values)


def _overview() -> str:
    lines = [f"usage: {PROGRAM} COMMAND [--config NAME_OR_FILE] [--any.field VALUE]", ""]
    lines += [f"  {name:<14}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join([*lines, "", f"{PROGRAM} COMMAND --help lists the options of a command."])


if __name__ == "__main__":
    sys.exit(main())
