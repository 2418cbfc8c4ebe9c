"""The elastic network: what can be built, how it learns, how a subnet leaves it.

`AVConvTasNet`, `extract`, `load` and `save` bring torch with them, so they are imported when first asked for: a query
of a quality table needs the names of subnets only, and should answer at once.
"""

from importlib import import_module
from importlib.metadata import version

from supernet.space import SearchSpace, Subnet

_HOMES = {"AVConvTasNet": "model", "extract": "extraction", "load": "checkpoint", "save": "checkpoint"}
__all__ = ["SearchSpace", "Subnet", *_HOMES]


def __getattr__(name: str):
    if name == "__version__":
        return version("ofa-avse")
    if name not in _HOMES:
        raise AttributeError(f"module 'supernet' has no attribute '{name}'")
    return getattr(import_module(f"supernet.{_HOMES[name]}"), name)
