"""Every corpus goes all the way, as a miniature in its own layout: corpus, lists, two training steps, an evaluation."""

import json
from collections import Counter
from concurrent.futures import Future
from fractions import Fraction
from functools import cache

import layouts
import numpy as np
import pytest

from eval.evaluation import evaluate
from supernet import AVConvTasNet, SearchSpace
from supernet.checkpoint import weights_hash
from supernet.data.build import build
from supernet.data.corpus import Corpus
from supernet.data.lips.arrays import read_lip_array
from supernet.data.mixing.batches import FixedMixtures, TrainingMixtures
from supernet.data.mixing.draw import CONDITIONS
from supernet.data.recordings import indexing
from supernet.data.settings import DataSettings
from supernet.errors import UserError
from supernet.recipe import NetworkObjective
from supernet.settings import TrainingSettings
from supernet.training import train

WIDTH = 1 / 32
SHORT = dict(list_seconds=0.4, val_items=6, test_items=6, workers=2)
TRAINING = TrainingSettings(steps=2, batch_size=2, clip_seconds=0.2, batches_per_epoch=1, checkpoint_every=2)


class Here:
    """Stands for the pool of processes, whose start would take most of a test's time; test_indexing.py has the pool."""

    def __init__(self, workers):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, function, *args, time_limit):
        future = Future()
        try:
            future.set_result(function(*args))
        except UserError as error:
            future.set_exception(error)
        return future


@pytest.fixture(scope="module", autouse=True)
def no_processes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "WorkerPool", Here)
        yield


def made(folder, media, corpus, noise_corpus=None, **changes):
    """The corpus of a miniature, and its settings."""
    getattr(layouts, corpus)(folder / corpus, media)
    places = dict(root=str(folder / corpus))
    if corpus == "folders":
        places = {key: str(folder / corpus / name) for key, name in (("root", "videos"), ("speech", "speech"))}
        places["noise"] = str(folder / corpus / "noise")
    if noise_corpus:
        getattr(layouts, noise_corpus)(folder / noise_corpus, media)
        places |= dict(noise=str(folder / noise_corpus), noise_corpus=noise_corpus)
    settings = DataSettings(corpus=corpus, **places, **SHORT, **changes)
    return build(settings, folder / "corpus"), settings


CORPORA = {
    "folders": dict(corpus="folders"),
    "lrs3_wham": dict(corpus="lrs3", noise_corpus="wham", conditions=["noise"]),
    "lrs3_cec2": dict(corpus="lrs3", noise_corpus="cec2", conditions=["noise", "music", "talker"]),
    "avsec3": dict(corpus="avsec3"),
    "avsec4": dict(corpus="avsec4"),
    "ntcd_timit": dict(corpus="ntcd_timit"),
}


@pytest.fixture(scope="module")
def miniature(media, tmp_path_factory):
    """A corpus and its settings by name, each made once."""
    return cache(lambda name: made(tmp_path_factory.mktemp(name), media, **CORPORA[name]))


@pytest.fixture
def avsec4(miniature):
    return miniature("avsec4")[0]


@pytest.fixture
def ntcd(miniature):
    return miniature("ntcd_timit")[0]


@pytest.mark.parametrize("name", CORPORA)
def test_a_miniature_goes_all_the_way(name, miniature):
    corpus, settings = miniature(name)
    assert (corpus.folder / "rejected.tsv").read_text() == "file\treason\n"
    for split in ("val", "test"):
        fixed = FixedMixtures(corpus, split)
        assert {corpus.clip(spec.target).split for spec in fixed.specs} == {split}
        assert set(fixed.conditions) == set(settings.conditions or CONDITIONS[settings.corpus])
        assert fixed.batch(range(6)).lips.flatten(1).any(dim=1).all()

    network = AVConvTasNet(SearchSpace.smallest, WIDTH)
    before = weights_hash(network)
    mixtures = TrainingMixtures(corpus, settings, 2, TRAINING.clip_seconds, 0.0, seed=0)
    train(network, mixtures, NetworkObjective(), TRAINING)
    assert weights_hash(network) != before
    report = evaluate(network, FixedMixtures(corpus, "test"), perceptual=False, lips=("true",))
    assert len(report.scores) == 12 and all(np.isfinite(score.si_snri) for score in report.scores)


def test_recorded_mixtures_are_as_long_as_their_talkers_and_aligned_with_them(avsec4):
    for row in map(json.loads, (avsec4.folder / "scenes.jsonl").read_text().splitlines()):
        target, mixture = avsec4.clip(row["target"]), avsec4.clip(row["mixture"])
        assert (target.samples, target.frames, target.split) == (mixture.samples, mixture.frames, mixture.split)
        scene = row["target"].removeprefix("talker-")
        if masker := avsec4._by_id.get(f"noise-{scene}") or avsec4._by_id.get(f"speech-{scene}"):
            residue = avsec4.audio(mixture) - avsec4.audio(target) - avsec4.audio(masker, 0, target.samples)
            assert np.abs(residue).max() < 1e-3


def test_two_channels_are_heard_as_one(avsec4):
    clip = avsec4.clip("mixture-train-S00001")
    assert clip.source.endswith("_mix.wav")
    assert avsec4.audio(clip).shape == (clip.samples,) and avsec4.audio(clip).any()


def test_scenes_name_their_snr_and_kind(ntcd):
    rows = [json.loads(line) for line in (ntcd.folder / "scenes.jsonl").read_text().splitlines()]
    assert Counter((row["snr_db"], row["kind"]) for row in rows) == {(-5.0, "noise"): 24, (20.0, "noise"): 24}
    assert Corpus.open(ntcd.folder).clips == ntcd.clips


def test_lip_pictures_at_29_97_frames_a_second_become_25(ntcd, tmp_path):
    assert ntcd.clip("talker-02M-sa1").frames == 25 == len(ntcd.lips(ntcd.clip("talker-02M-sa1")))
    pictures = np.repeat(np.arange(90, dtype=np.uint8), 67 * 67).reshape(90, 67, 67)  # each shows its number
    np.save(tmp_path / "aRaw.npy", pictures)
    shown = read_lip_array(tmp_path / "aRaw.npy", Fraction(30_000, 1001))
    assert shown.shape == (75, 96, 96) and shown.dtype == np.uint8
    assert [int(picture[0, 0]) for picture in shown] == [int((n + 0.5) / 25 * 30_000 / 1001) for n in range(75)]


def test_lip_pictures_in_lines_are_read_column_after_column(tmp_path):
    picture = np.zeros((67, 67), np.uint8)
    picture[40:, :] = 200  # the lower part is light
    for number, array in enumerate(
        (picture[None], picture[..., None], picture.T.reshape(1, -1), picture.T.reshape(-1, 1))
    ):
        np.save(tmp_path / f"{number}Raw.npy", array)
        region = read_lip_array(tmp_path / f"{number}Raw.npy", Fraction(25))[0]
        assert region[-1].min() == 200 and region[0].max() == 0


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 60, 60)),
        np.full((5, 67, 67), -1.0),
        np.full((5, 67, 67), np.nan),
        np.zeros((0, 67, 67)),
        np.zeros(4),
    ],
)
def test_an_array_that_holds_no_lip_pictures_is_named(array, tmp_path):
    np.save(tmp_path / "aRaw.npy", array)
    with pytest.raises(UserError, match="aRaw.npy: must hold 67 x 67 pictures"):
        read_lip_array(tmp_path / "aRaw.npy", Fraction(25))


def test_files_that_do_not_fit_their_talker_are_listed(media, tmp_path):
    layouts.ntcd_timit(tmp_path / "ntcd", media)
    media.lips(tmp_path / "ntcd/Raw/02M/sa1Raw.npy", frames=60)
    media.sound(tmp_path / "ntcd/Car/-5/volunteers/01M/straightcam/sa1.wav", np.full(8_000, 0.1))
    (tmp_path / "ntcd/Raw/04M/sa1Raw.npy").write_bytes(b"no array")
    corpus = build(DataSettings(corpus="ntcd_timit", root=str(tmp_path / "ntcd"), **SHORT), tmp_path / "corpus")
    rows = (corpus.folder / "rejected.tsv").read_text().splitlines()[1:]
    reasons = Counter(row.split("\t")[1].split(";")[0].split(", talker")[0].split("Raw.npy: ")[-1] for row in rows)
    assert sum(reasons.values()) == 11
    assert reasons["its pictures last 2.0 s and the sound 1.0 s"] == 1 and reasons["is shorter than its target"] == 1
    assert reasons["its target"] == 8 and any("cannot be read as an array" in reason for reason in reasons)
    assert {clip.id for clip in corpus.clips}.isdisjoint({"talker-02M-sa1", "mixture-Car--5-01M-sa1"})


def test_too_few_speakers_are_named(media, tmp_path):
    for speaker in ("ann", "bob"):
        media.video(tmp_path / f"videos/{speaker}/0.mp4")
    media.sound(tmp_path / "noise/rain_0.wav")
    places = dict(root=str(tmp_path / "videos"), noise=str(tmp_path / "noise"))
    settings = DataSettings(corpus="folders", conditions=["noise"], **places, **SHORT)
    with pytest.raises(UserError, match="--data.root: the clips of 2 speakers leave none for 'val'"):
        build(settings, tmp_path / "corpus")
