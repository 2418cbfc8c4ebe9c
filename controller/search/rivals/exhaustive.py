"""Exhaustive search: every subnet that may win, in the order of the space."""

from __future__ import annotations

from controller.search.oracle import Oracle
from controller.search.rivals import eligible, look_at
from controller.search.settings import SearchSettings


def exhaustive(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at all that may win; the answer that every other method is measured by."""
    look_at(oracle, eligible(oracle, settings), settings)
