"""Fixtures that more than one floor needs."""

from pathlib import Path

import pytest

from supernet.data.corpora import build
from supernet.data.manifest import Corpus
from supernet.data.settings import DataSettings
from supernet.data.synthetic import SyntheticSettings

SMALL = SyntheticSettings(
    train_clips=20,
    val_clips=10,
    test_clips=10,
    train_voices=4,
    val_voices=3,
    test_voices=3,
    clip_seconds=1.0,
    workers=1,
)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A synthetic corpus of second-long clips with lists of ten, made as a user's is."""
    folder: Path = tmp_path_factory.mktemp("small_corpus")
    settings = DataSettings(synthetic=SMALL, list_seconds=0.4, val_items=10, test_items=10)
    return build(settings, folder)
