"""Exhaustive search: every subnet that may win, in the order of the space."""

from __future__ import annotations

from controller.search.oracle import Oracle
from controller.search.settings import SearchSettings


def exhaustive(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at all that may win; the answer that every other method is measured by."""
    eligible = [subnet for subnet in oracle.space if settings.may_win(subnet)]
    for first in range(0, len(eligible), settings.workers):
        oracle.look(eligible[first : first + settings.workers])
