"""Search methods that the controller is compared with, each behind the same interface and ledger."""

from importlib.util import find_spec

from supernet.errors import UserError


def require(package: str, method: str) -> None:
    """Raise UserError where the package of a method is not installed."""
    if find_spec(package) is None:
        raise UserError(f"search.method: '{method}' needs {package}; install it with pip install 'ofa-avse[rivals]'")
