import numpy as np
import pytest
import torch

from eval.table.scoring import Prepared, Scores, score_all, standard_error, validate
from supernet import AVConvTasNet, SearchSpace, extract
from supernet.data.corpus import Corpus
from supernet.data.mixing.batches import FixedMixtures

WIDTH = 1 / 32


@pytest.fixture(scope="module")
def supernet() -> AVConvTasNet:
    torch.manual_seed(0)
    network = AVConvTasNet(SearchSpace.largest, WIDTH)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return network


@pytest.fixture(scope="module")
def prepared(small_corpus: Corpus) -> Prepared:
    return Prepared(FixedMixtures(small_corpus, "val"))


@pytest.fixture(scope="module")
def together(supernet, prepared) -> dict:
    return dict(score_all(supernet, prepared, SearchSpace(WIDTH)))


def test_scoring_all_subnets_gives_each_its_own_score(supernet, prepared, together):
    """Shared prefixes must not change a score: every subnet, extracted and scored alone."""
    assert list(together) == list(SearchSpace(WIDTH))
    for subnet, scores in together.items():
        alone = validate(extract(supernet, subnet), prepared)
        assert np.abs(alone.si_snri - scores.si_snri).max() < 1e-4, str(subnet)


def test_a_killed_scoring_goes_on_where_it_stopped(supernet, prepared, together, tmp_path, monkeypatch):
    partial = tmp_path / "scores.partial"
    passes = []
    estimates = supernet.estimates

    def counted(mixture, features, subnet, exits, present=None):
        passes.append(subnet)
        if len(passes) == 40 * len(prepared.batches):
            raise KeyboardInterrupt
        return estimates(mixture, features, subnet, exits, present)

    monkeypatch.setattr(supernet, "estimates", counted)
    with pytest.raises(KeyboardInterrupt):
        list(score_all(supernet, prepared, SearchSpace(WIDTH), partial))
    with partial.open("ab") as file:
        file.write(b'\x00\xff\n7\n{"identity": "cut sh')  # what a crash, and a kill in the middle of a write, leave
    again = dict(score_all(supernet, prepared, SearchSpace(WIDTH), partial))
    assert len(passes) <= 109 * len(prepared.batches)  # the pass that was killed is done again
    assert dict(score_all(supernet, prepared, SearchSpace(WIDTH), partial)).keys() == again.keys()
    assert len(passes) <= 109 * len(prepared.batches)  # and nothing a third time
    assert all(np.array_equal(again[subnet].si_snri, together[subnet].si_snri) for subnet in together)


def test_scores_in_bf16_are_close_and_kept_apart(supernet, prepared, together, tmp_path):
    partial = tmp_path / "scores.partial"
    list(score_all(supernet, prepared, SearchSpace(WIDTH), partial))
    scores = dict(score_all(supernet, prepared, SearchSpace(WIDTH), partial, bf16=True))
    differences = [np.abs(scores[subnet].si_snri - together[subnet].si_snri).max() for subnet in together]
    assert 0 < min(differences)  # nothing is taken over from fp32
    assert max(differences) < 0.1


def test_scores_of_other_weights_are_not_taken_over(supernet, prepared, together, tmp_path):
    partial = tmp_path / "scores.partial"
    list(score_all(supernet, prepared, SearchSpace(WIDTH), partial))
    torch.manual_seed(1)
    other = AVConvTasNet(SearchSpace.largest, WIDTH)
    scores = dict(score_all(other, prepared, SearchSpace(WIDTH), partial))
    assert not np.array_equal(scores[SearchSpace.largest].si_snri, together[SearchSpace.largest].si_snri)


def test_means_by_condition_add_up_to_the_mean():
    scores = Scores(np.array([1.0, 3.0, 5.0, 7.0]), ("babble", "talker", "babble", "talker"))
    assert scores.by_condition() == {"babble": 3.0, "talker": 5.0}
    assert scores.mean == 4.0


def test_the_standard_error_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(size=400)
    assert standard_error(values) == pytest.approx(1 / 20, rel=0.1)
    assert standard_error(values[:1]) == 0.0
