"""Degraded lips are what their names say, the same whenever they are asked for, and off unless they are wanted."""

from typing import get_args

import numpy as np
import pytest
import torch

from supernet.data.mixing.batches import LIPS, FixedMixtures, TrainingMixtures
from supernet.data.mixing.degradations import IN_PICTURE, IN_TIME, degrade
from supernet.data.mixing.draw import Drawing
from supernet.data.settings import DataSettings, Degradation
from supernet.errors import UserError

KINDS = get_args(Degradation)
CLIP = np.random.default_rng(0).integers(0, 256, (50, 96, 96), dtype=np.uint8)
CLIP[:, 0, 0] = np.arange(50)  # the number of each frame
START, FRAMES = 20, 25


def seen(kind, seed):
    return degrade(CLIP, START, FRAMES, kind, np.random.default_rng(seed))


def shown(kind, seed):
    """Which frame of the clip is on the screen, (frames,)."""
    pictures = seen(kind, seed)
    numbers = pictures[:, 0, 0].astype(int)
    assert np.array_equal(pictures, CLIP[numbers])
    return numbers - START


def test_each_kind_is_implemented_once():
    assert {*IN_TIME, *IN_PICTURE} == set(KINDS) and not IN_TIME.keys() & IN_PICTURE.keys()
    assert LIPS == ("true", "none", "other", *KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_degradation_is_a_pure_function_that_leaves_the_clip_alone(kind):
    before = CLIP.copy()
    once, again, other = seen(kind, 1), seen(kind, 1), seen(kind, 7)
    assert once.shape == (FRAMES, 96, 96) and once.dtype == np.uint8
    assert np.array_equal(once, again) and np.array_equal(CLIP, before)
    assert not np.array_equal(once, CLIP[START : START + FRAMES])
    assert kind == "black" or not np.array_equal(once, other)


def test_black_shows_nothing():
    assert not seen("black", 0).any()


def test_frozen_stands_still_from_the_first_half_on():
    for seed in range(50):
        numbers = shown("frozen", seed)
        last = int(np.argmax(numbers))
        assert list(numbers[: last + 1]) == list(range(last + 1))
        assert last <= FRAMES // 2 and set(numbers[last:]) == {last}


def test_delays_are_up_to_200_ms_either_way_and_show_what_the_clip_has():
    delays = set()
    for seed in range(200):
        numbers = shown("delayed", seed)
        assert set(np.diff(numbers)) == {1} or numbers[-1] == 49 - START  # the clip's end stands
        delays.add(int(numbers[0]))
    assert delays == {*range(-5, 0), *range(1, 6)}


def test_dropped_frames_leave_the_last_one_on_the_screen():
    lost = []
    for seed in range(200):
        numbers = shown("dropped", seed)
        assert numbers[0] == 0 and all(n == i or n == numbers[i - 1] for i, n in enumerate(numbers))
        lost.append(np.mean(numbers != np.arange(FRAMES)))
    assert 0.3 < np.mean(lost) < 0.5


def test_an_occluding_patch_hides_the_middle_and_leaves_the_rest():
    for seed in range(50):
        covered = seen("occluded", seed)
        hidden = (covered == covered[0, 48, 48]).all(axis=0) & (covered != CLIP[START : START + FRAMES]).any(axis=0)
        assert hidden[48, 48] and 0.05 < hidden.mean() < 0.5
        assert np.array_equal(covered[:, ~hidden], CLIP[START : START + FRAMES][:, ~hidden])


def test_low_resolution_keeps_the_mean_and_loses_the_detail():
    blurred = seen("low_resolution", 3)
    assert blurred.mean() == pytest.approx(CLIP[START : START + FRAMES].mean(), abs=2)
    detail = [np.abs(np.diff(p.astype(float), axis=2)).mean() for p in (blurred, CLIP[START : START + FRAMES])]
    assert detail[0] < 0.1 * detail[1]


def fixed(corpus):
    return FixedMixtures(corpus, Drawing(corpus, DataSettings(), "test", 25).specs(10, (0,)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_shows_the_same_degraded_lips_every_time(synthetic_corpus, kind):
    mixtures = fixed(synthetic_corpus)
    true, whole, part = mixtures.batch(range(10)), mixtures.batch(range(10), kind), mixtures.batch([4, 7], kind)
    assert torch.equal(whole.lips[[4, 7]], part.lips) and torch.equal(whole.mixture, true.mixture)
    assert whole.lips_present.all() and all(not torch.equal(a, b) for a, b in zip(whole.lips, true.lips, strict=True))


def test_an_unknown_name_of_lips_is_refused(synthetic_corpus):
    with pytest.raises(UserError, match="lips: 'blurred' is none of true, none, other, black"):
        fixed(synthetic_corpus).batch([0], "blurred")


def training(corpus, **settings):
    return TrainingMixtures(corpus, DataSettings(**settings), 40, 1.0, 0.3, 3)


def test_training_degrades_the_share_asked_for_and_changes_nothing_else(synthetic_corpus):
    black = training(synthetic_corpus, lip_degradation=0.5, lip_degradations=["black"])
    first, second = training(synthetic_corpus).batch(2), black.batch(2)
    for name in ("mixture", "clean", "lips_present"):
        assert torch.equal(getattr(first, name), getattr(second, name))
    degraded = torch.tensor([not torch.equal(a, b) for a, b in zip(first.lips, second.lips, strict=True)])
    assert not degraded[~first.lips_present].any() and 0.25 < degraded[first.lips_present].float().mean() < 0.75
    assert not second.lips[degraded].any()
    assert torch.equal(black.batch(2).lips, second.lips)


def test_all_kinds_come_in_training(synthetic_corpus):
    lips = {k: training(synthetic_corpus, lip_degradation=1.0, lip_degradations=[k]).batch(0).lips for k in KINDS}
    mixed = training(synthetic_corpus, lip_degradation=1.0).batch(0)
    black = [i for i in range(40) if mixed.lips_present[i] and not mixed.lips[i].any()]
    assert 0 < len(black) < 20
    assert len({bytes(value.numpy()) for value in lips.values()}) == len(KINDS)
