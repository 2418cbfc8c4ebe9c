"""Search methods that the controller is compared with, each behind the same interface and ledger."""

from collections.abc import Sequence
from importlib.util import find_spec

from controller.search.oracle import Oracle
from controller.search.settings import SearchSettings
from supernet.errors import UserError
from supernet.space import Subnet


def eligible(oracle: Oracle, settings: SearchSettings) -> list[Subnet]:
    """The subnets that may win, in the order of the space."""
    return [subnet for subnet in oracle.space if settings.may_win(subnet)]


def look_at(oracle: Oracle, subnets: Sequence[Subnet], settings: SearchSettings) -> None:
    """Look at `subnets` in their order, in rounds of one a worker."""
    for first in range(0, len(subnets), settings.workers):
        oracle.look(subnets[first : first + settings.workers])


def require(package: str, method: str) -> None:
    """Raise UserError where the package of a method is not installed."""
    if find_spec(package) is None:
        raise UserError(f"search.method: '{method}' needs {package}; install it with pip install 'ofa-avse[rivals]'")
