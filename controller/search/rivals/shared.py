"""No search at all: look where the shared-weight scores promise most."""

from __future__ import annotations

from controller.search.oracle import Oracle
from controller.search.rivals import look_at
from controller.search.settings import SearchSettings
from supernet.errors import UserError


def descending_shared_score(oracle: Oracle, settings: SearchSettings) -> None:
    """Look at episodes x steps subnets in descending order of the reward that their shared-weight scores would earn."""
    if oracle.shared is None:
        raise UserError("search.method: 'shared' needs the shared-weight scores; run `ofa-avse score` first")
    promised = {s: oracle.reward_at(s, oracle.shared[s]) for s in oracle.space if settings.may_win(s)}
    order = sorted(promised, key=promised.__getitem__, reverse=True)[: settings.looks]
    look_at(oracle, order, settings)
