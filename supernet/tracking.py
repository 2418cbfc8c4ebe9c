"""Where figures of a running job go: wandb, offline unless asked otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from supernet.errors import UserError
from supernet.storage.files import read_json, write_json

RUNS = "tracking.json"  # {name: id of its wandb run}


@dataclass(frozen=True)
class TrackingSettings:
    """Experiment tracking.

    Args:
        mode: `offline` writes below the run folder, `online` needs a logged-in wandb, `disabled` writes nothing.
        project: wandb project.
    """

    mode: Literal["offline", "online", "disabled"] = "offline"
    project: str = "ofa-avse"


class Tracker(Protocol):
    def log(self, figures: dict[str, float]) -> None: ...


class Silent:
    """Tracks nothing: tests, and the hundreds of short fine-tunings of a search."""

    def log(self, figures: dict[str, float]) -> None:
        pass


def start_tracking(settings: TrackingSettings, folder: Path, name: str, config: dict[str, Any]) -> Tracker:
    """A wandb run in `folder`, or `Silent`. What is resumed goes on in its own run: the one that `name` has had in this
    folder before.

    Raises UserError when `online` finds no login, or the file that keeps the runs' ids is damaged.
    """
    if settings.mode == "disabled":
        return Silent()
    import wandb  # takes a second, and only commands that train need it

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RUNS
    ids = read_json(path, "delete it", dict[str, str]) if path.is_file() else {}
    try:
        run = wandb.init(
            project=settings.project,
            mode=settings.mode,
            dir=str(folder),
            name=name,
            id=ids.get(name),
            resume="allow",
            config=config,
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )
    except wandb.errors.UsageError as error:
        raise UserError(f"tracking.mode: '{settings.mode}' failed ({error}); use offline or disabled") from error
    run.define_metric("*", step_metric="step")  # of each training or search, also when some of it is done again
    write_json(path, ids | {name: run.id})
    return run
