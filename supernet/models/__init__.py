"""Trained networks that ship with the package, as `supernet.load` reads them: what `enhance` uses when no other is given.

What they learned from, what they can do and what not: README.md beside this file.
"""

from importlib import resources
from pathlib import Path

SMALL = Path(str(resources.files(__name__) / "small.safetensors"))
