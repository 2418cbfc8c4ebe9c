"""The trained network that ships with the package, for `supernet.load`: what `enhance` uses when no other is given.

What it learned from, what it can do and what not: README.md beside this file.
"""

from importlib import resources
from pathlib import Path

SMALL = Path(str(resources.files(__name__) / "small.safetensors"))
