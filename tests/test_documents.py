"""What the documents say of commands, files and links is true: every command is taken by the program that it names,
those that take seconds run as printed, links lead somewhere, and lines are short.
"""

from __future__ import annotations

import argparse
import io
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from string import Template
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import soundfile
import yaml
from nbclient import NotebookClient

from controller import cli

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # for what other tests draw and configure
from tests.controller.conftest import CONFIG  # noqa: E402
from tests.supernet.data.conftest import draw_face, encode_video, voice  # noqa: E402

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "supernet/models/*.md")
    for path in ROOT.glob(pattern)
)
HISTORY = "docs/history.md"  # whose Python runs in the commit that it names
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MOST_LINES, MOST_COLUMNS = 150, 100
NOT_OURS = ("git", "cd", ".", "ray", "pre-commit")
AT_ONCE = ("query", "profile", "rank", "enhance")  # of a clone, with nothing made before
OF_A_RUN = (
    "quickstart",
    "train",
    "score",
    "search",
    "query",
    "extract",
    "retrain",
    "evaluate",
    "profile",
    "enhance",
    "export",
)
OF_A_RUN += ("report", "tables", "data", "data inspect")
LONG = (
    "runs/longer",
    "runs/control",
    "runs/synthetic",
    "--search.ray",
    "--config model",
)  # minutes, a cluster, or data


class Document:
    """Fenced blocks, and the rest line by line."""

    def __init__(self, name: str) -> None:
        self.name, self.text = name, (ROOT / name).read_text()
        self.blocks: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.M | re.S)
        self.prose = re.sub(r"^```.*?^```$", "", self.text, flags=re.M | re.S).splitlines()

    def commands(self) -> Iterator[list[str]]:
        """Words of each command, variables of the document replaced: the lines of its `sh` blocks, and what stands in
        its tables and sentences, options and all, without an ellipsis."""
        variables: dict[str, str] = {}
        for line in "".join(code for language, code in self.blocks if language == "sh").splitlines():
            line = Template(line).substitute(variables)
            if assigned := re.fullmatch(r'([A-Z]+)=(?:"(.*)"|(\S*))', line):
                variables[assigned[1]] = assigned[2] or assigned[3]
            elif words := shlex.split(line, comments=True):
                yield words
        for span in re.findall(r"`(ofa-avse \w+ [^`…<]+)`", "\n".join(self.prose)):
            yield shlex.split(span)


def commands() -> list[list[str]]:
    """All of them, each once."""
    found = [tuple(words) for name in DOCUMENTS for words in Document(name).commands()]
    return [list(words) for words in dict.fromkeys(found)]


def ours(words: list[str]) -> tuple[str, list[str]]:
    """Name and options of a command of `ofa-avse`."""
    name, *options = words[1:]
    if options and f"{name} {options[0]}" in cli.COMMANDS:
        name, options = f"{name} {options[0]}", options[1:]
    return name, options


class Parsed(Exception):
    """A script's options are understood."""


def check_script(module, options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a script parse its options, and nothing else."""
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self, *args, **kwargs):
        parse(self, *args, **kwargs)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    monkeypatch.setattr(sys, "argv", ["script", *options])
    with pytest.raises(Parsed):
        module.main()


def check(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises unless the program that is named takes these words."""
    while "=" in words[0]:  # of the environment
        words = words[1:]
    program, *options = words
    match program:
        case "ofa-avse" if options[1:] == ["--help"]:
            assert options[0] in cli.COMMANDS
        case "ofa-avse" | ".venv-light/bin/ofa-avse":
            cli.parsed(options[0], options[1:])
        case "torchrun":
            module = options.index("-m")
            assert options[module + 1] == "controller"
            check(["ofa-avse", *(word for word in options[module + 2 :] if word != "--")], monkeypatch)
        case "python" if options[0] == "-m":
            check_script(import_module(options[1]), options[2:], monkeypatch)
        case "python":
            spec = spec_from_file_location(Path(options[0]).stem, ROOT / options[0])
            module = module_from_spec(spec)
            monkeypatch.setitem(sys.modules, spec.name, module)
            spec.loader.exec_module(module)
            check_script(module, options[1:], monkeypatch)
        case "pytest":
            paths = [word for word in options if word.startswith("tests")]
            assert paths and all((ROOT / path).exists() for path in paths)
        case "make":
            targets = re.findall(r"^(\S+):", (ROOT / "Makefile").read_text(), re.M)
            assert set(options) <= set(targets)
        case "pip":
            assert options[0] == "install"
            if extras := re.search(r"^ofa-avse\[(.*)\]$", options[-1]):
                assert set(extras[1].split(",")) <= set(PROJECT["optional-dependencies"])
            else:
                assert options[1:] == ["pebble"], "which benchmarks/training_step.py names"
        case _:
            assert program in NOT_OURS, f"{program}: what program is this?"


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_that_is_printed_is_taken(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    check(words, monkeypatch)


@pytest.mark.parametrize(
    "words",
    [["ofa-avse", "query", "--tabel", "x"], ["python", "benchmarks/speed.py", "--widht", "1"], ["make", "dmeo"]],
)
def test_a_command_that_is_not_taken_is_found(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises((Exception, SystemExit)) as refused:
        check(words, monkeypatch)
    assert refused.type is not Parsed


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """A working folder with the tables of a clone, and the recordings that the documents speak of."""
    (tmp_path / "eval").symlink_to(ROOT / "eval")
    generator = np.random.default_rng(0)
    for name in ("clip", "talk"):
        sound = voice(generator, 16_000)
        soundfile.write(tmp_path / f"{name}.wav", sound, 16_000)
        encode_video(tmp_path / f"{name}.mp4", sound=sound, draw=draw_face)
    for path in ("interview.wav", "talks/first.wav", "talks/deeper/second.wav"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tmp_path / "clip.wav", tmp_path / path)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO((tmp_path / "clip.wav").read_bytes())))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_needs_a_clone_alone_runs_as_printed(clone, capsys):
    chosen = [words for words in commands() if words[0] == "ofa-avse" and ours(words)[0] in AT_ONCE]
    chosen = [words for words in chosen if not re.search(r"runs/|small\.safetensors|--help", " ".join(words))]
    assert {ours(words)[0] for words in chosen} == {*AT_ONCE}
    for words in chosen:
        assert cli.main(words[1:]) == 0, f"{' '.join(words)}\n{capsys.readouterr().err}"
    assert (clone / "clip.enhanced.wav").is_file()


def in_a_run(name: str) -> list[list[str]]:
    """Commands of a document that take seconds in the folder of a small run, in their order."""
    foreign = rf"{'|'.join(map(re.escape, LONG))}|--help|--data\.root|\bgpu\b"
    chosen = [words for words in Document(name).commands() if words[0] == "ofa-avse" and ours(words)[0] in OF_A_RUN]
    return [words for words in chosen if not re.search(foreign, " ".join(words))]


WITH_A_RUN = [name for name in DOCUMENTS if name != HISTORY and any("quick" in words for words in in_a_run(name))]


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """A folder with `runs/quick`, a small demo, and the configuration `quick.yaml` that made it."""
    folder = tmp_path_factory.mktemp("demo")
    small = CONFIG.replace("scoring: {seconds: 0.04", "scoring: {seconds: 1.0")  # for an RTF as of longer clips
    small = small.replace("clip_seconds: 1.0", "clip_seconds: 2.0")
    (folder / "quick.yaml").write_text(f"run: runs/quick\n{small}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.main(["quickstart", "--config", "quick.yaml"]) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_A_RUN)
def test_what_needs_a_run_runs_as_printed_on_a_small_one(name, demo, clone, monkeypatch, capsys):
    shutil.copytree(demo, clone, dirs_exist_ok=True)
    find = cli.find_config
    monkeypatch.setattr(cli, "find_config", lambda name: clone / "quick.yaml" if name == "quick" else find(name))
    for words in in_a_run(name):
        assert cli.main(words[1:]) == 0, f"{' '.join(words)}\n{capsys.readouterr().err}"
    run_python(name)  # some of it works in the run


def run_python(name: str) -> None:
    for language, code in Document(name).blocks:
        if language == "python" and name != HISTORY:
            exec(compile(code, name, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize(
    "name", ["README.md", "docs/results/ranking.md", "docs/runtime.md", "supernet/models/README.md"]
)
def test_python_of_a_document_runs(name, clone):
    run_python(name)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)]+)\)", "\n".join(Document(name).prose)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), f"{name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_lines_are_short_outside_tables_and_code(name):
    long = [line for line in Document(name).prose if len(line) > MOST_COLUMNS and not line.startswith("|")]
    assert not long


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES


def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0 and not built.stderr, built.stderr
    fetched = r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?(?:https?:)?//|<link[^>]*\shref=[\"']?(?:https?:)?//"
    fetched += r"|url\([\"']?(?:https?:)?//|@import"
    for page in (tmp_path / "site").rglob("*"):
        if page.suffix in (".html", ".css"):
            assert not re.search(fetched, page.read_text()), page
    public = (tmp_path / "site" / "api" / "supernet.html").read_text()
    assert all(name in public for name in ("SearchSpace", "AVConvTasNet", "within_bound"))


def test_changelog_and_citation_are_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["title"] == PROJECT["name"]
    assert citation["version"] == PROJECT["version"]
    assert all({"type", "title", "authors"} <= reference.keys() for reference in citation["references"])
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def notebook() -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "docs/tutorial.ipynb", as_version=4)


def test_the_tutorial_is_stored_without_outputs():
    cells = [cell for cell in notebook().cells if cell.cell_type == "code"]
    assert cells and not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = NotebookClient(notebook(), timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [kind for cell in done.cells for output in cell.get("outputs", []) for kind in output.get("data", {})]
    assert shown.count("text/html") == 3, "three sounds to listen to"
    assert "image/png" in shown, "the front is plotted"
