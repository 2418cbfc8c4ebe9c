"""While a network trains, it is looked at seldom enough."""

from types import SimpleNamespace

import pytest

from eval.table import watch
from eval.table.scoring import Prepared, validate
from eval.table.watch import SHARE, WATCHED, Watch
from supernet import AVConvTasNet, SearchSpace, extract
from supernet.data.mixing.batches import FixedMixtures

WIDTH = 1 / 32


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("epoch", "look"), [(10, 0.1), (10, 1), (1, 1), (0.1, 5)])
def test_looks_take_a_fiftieth_of_the_time_at_most_after_the_first(epoch, look, small_corpus, monkeypatch):
    clock, looked = Clock(), []

    def slow(network, prepared, subnet):
        clock.now += look
        return SimpleNamespace(mean=1.0)

    monkeypatch.setattr(watch, "validate", slow)
    network = AVConvTasNet(SearchSpace.smallest, WIDTH)
    eye = Watch(network, FixedMixtures(small_corpus, "val"), clock=clock)
    for number in range(1, 300):
        clock.now += epoch
        if eye(number):
            looked.append(number)
            assert look * (len(looked) - 1) <= SHARE * clock.now
    assert looked[0] == 1
    assert (len(looked) == 299) == (epoch == 10 and look == 0.1)
    assert (len(looked) == 1) == (epoch == 0.1)


def test_a_look_is_the_score_of_each_corner_on_the_first_clips(small_corpus):
    network = AVConvTasNet(SearchSpace.largest, WIDTH).eval()
    few = FixedMixtures(small_corpus, FixedMixtures(small_corpus, "val").specs[: watch.CLIPS])
    found = Watch(network, FixedMixtures(small_corpus, "val"), WATCHED)(1)
    expected = {name: validate(extract(network, subnet), Prepared(few)).mean for name, subnet in WATCHED.items()}
    assert found == {f"validation/{name}": value for name, value in expected.items()}
    assert set(few.conditions) == set(FixedMixtures(small_corpus, "val").conditions)
