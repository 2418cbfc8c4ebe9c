"""What the public docstrings show is what comes out."""

import doctest
from importlib import import_module

import pytest

MODULES = ("supernet.space", "eval.metrics", "eval.table.query", "eval.table.quality_table", "eval.report.markdown")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_come_out_as_printed(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted and not found.failed
