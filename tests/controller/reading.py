"""Settings as a command would have them."""

from pathlib import Path

from jsonargparse import ArgumentParser

from controller.run.config import Settings


def read(config: Path, folder: Path) -> Settings:
    """Those of a configuration, for a run in `folder`."""
    parser = ArgumentParser()
    fields = parser.add_class_arguments(Settings, as_group=False)
    parsed = parser.instantiate(parser.parse_path(config))
    return Settings(**{field: parsed[field] for field in fields} | {"run": str(folder)})
