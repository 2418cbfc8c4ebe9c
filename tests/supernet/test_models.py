"""The network that ships with the package: small, readable, and better than the noise it is given."""

import numpy as np
import torch
from safetensors import safe_open

from supernet import load
from supernet.checkpoint import read_notes
from supernet.losses import si_snr
from supernet.models import SMALL


def test_the_shipped_network_is_small_and_says_how_lips_were_found():
    assert SMALL.stat().st_size <= 6e6
    with safe_open(SMALL, framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.bfloat16}
    assert read_notes(SMALL)["lip_region"] == "detect"
    assert (SMALL.parent / "README.md").is_file()


def test_the_shipped_network_takes_noise_from_voices_that_it_never_heard(small_corpus):
    network, rng = load(SMALL), np.random.default_rng(0)
    clean = torch.stack([torch.from_numpy(small_corpus.audio(c)) for c in small_corpus.select("talker", "test")])
    noise = torch.from_numpy(rng.standard_normal(clean.shape).astype(np.float32))
    mixture = clean + noise * clean.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True)
    with torch.no_grad():
        gain = si_snr(network(mixture, None), clean) - si_snr(mixture, clean)
    assert gain.mean() > 4
