"""The house stands: floors, rooms of a size that one can take in, no import in a circle, and the names that scripts of
others rely on.

The imports are read from the sources, those inside functions and under TYPE_CHECKING included.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("supernet", "eval", "controller")  # from the ground up
MOST_FILES = 18  # of Python in a folder, besides __init__.py
PUBLIC = {
    "supernet": ("SearchSpace", "Subnet", "AVConvTasNet", "extract", "load", "save"),
    "eval.costs": ("parameters", "macs"),
    "eval.metrics": ("si_snr", "si_snr_improvement", "pesq_wb", "stoi", "estoi"),
    "eval.quality_table": ("QualityTable",),
    "controller.mdp": ("ArchitectureEnv",),
}


def sources() -> dict[str, str]:
    """Module -> its text, of the three packages."""
    files = (path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
    return {module_of(path.relative_to(ROOT)): path.read_text() for path in files}


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(module: str, text: str, modules: Iterable[str]) -> set[str]:
    """Those of `modules` that a module imports, wherever in its text, by absolute names as this project writes them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: name the module in full"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & set(modules)
            if not inner <= set(modules):  # a name that is no module lies in the package itself
                found.add(node.module)
    return (found & set(modules)) - {module}


def graph(texts: Mapping[str, str]) -> dict[str, set[str]]:
    return {module: imports(module, text, texts) for module, text in texts.items()}


def circle(texts: Mapping[str, str]) -> list[str]:
    """Modules that import each other in a circle; empty where none do."""
    try:
        TopologicalSorter(graph(texts)).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def climbing(texts: Mapping[str, str]) -> list[str]:
    """Imports of a floor above one's own."""
    floor = {module: FLOORS.index(module.split(".")[0]) for module in texts}
    return [f"{a} -> {b}" for a, others in graph(texts).items() for b in others if floor[b] > floor[a]]


def test_no_module_imports_another_in_a_circle():
    assert circle(sources()) == []


@pytest.mark.parametrize(
    "text",
    [
        "from eval.b import thing",
        "import eval.b",
        "from eval import b",
        "def late():\n    from eval.b import thing",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from eval.b import Thing",
    ],
)
def test_a_circle_is_found_however_it_is_written(text):
    texts = {"eval": "", "eval.a": text, "eval.b": "from eval.c import x", "eval.c": "from eval.a import y"}
    assert set(circle(texts)) == {"eval.a", "eval.b", "eval.c"}
    assert circle(texts | {"eval.c": ""}) == []


def test_imports_go_down_only():
    assert climbing(sources()) == []


def test_an_import_of_a_floor_above_is_found():
    texts = {"supernet.a": "def late():\n    from eval.b import x", "eval.b": "import supernet.a"}
    assert climbing(texts) == ["supernet.a -> eval.b"]


def test_no_folder_outgrows_one_room():
    folders = {path.parent for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    files = {folder: [path.name for path in folder.glob("*.py") if path.name != "__init__.py"] for folder in folders}
    assert {str(folder): len(names) for folder, names in files.items() if len(names) > MOST_FILES} == {}


def test_packages_are_found_and_not_listed():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {path.parent for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []  # else no package
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert {package for package in packages if not any(fnmatchcase(package, pattern) for pattern in patterns)} == set()
    assert not any(fnmatchcase("tests", pattern) for pattern in patterns)


@pytest.mark.parametrize("module, name", [(module, name) for module, names in PUBLIC.items() for name in names])
def test_public_names_stay_where_they_are(module, name):
    assert getattr(import_module(module), name).__name__ == name
