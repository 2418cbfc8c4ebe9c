"""What the readers of recordings are tested with."""

from tests.supernet.data.conftest import write_video

__all__ = ["write_video"]
