import re

import numpy as np

from supernet.data.synthetic.sentences import passage, sentence


def test_sentences_vary():
    rng = np.random.default_rng(0)
    sentences = [sentence(rng) for _ in range(2000)]
    words = {word for text in sentences for word in re.findall(r"[a-z]+", text.lower())}
    assert len(set(sentences)) > 1980
    assert len(words) > 1400


def test_the_same_generator_gives_the_same_passage():
    assert passage(np.random.default_rng(3), 20) == passage(np.random.default_rng(3), 20)
    assert passage(np.random.default_rng(3), 20) != passage(np.random.default_rng(4), 20)


def test_a_passage_is_long_enough_and_well_formed():
    for seed in range(50):
        text = passage(np.random.default_rng(seed), 20)
        assert len(text.split()) >= 20
        assert re.fullmatch(r"([A-Z][A-Za-z ,]+[.?] ?)+", text)
        assert not re.search(r"\b[Aa] [aeiou]|  ", text)
