"""Texts as vectors: the mean over a text's own tokens, whatever it is batched with."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.data import WordPieceTokenizer
from tinygrad_gpt.models import (
    GPT,
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    GPTConfig,
    sentence_embeddings,
)
from tinygrad_gpt.models.embeddings import masked_mean

pytest.importorskip("tokenizers")

TEXTS = ["the cat", "a cat sat on the mat, and the dog sat on the cat", "", "the dog sat", "the cat"]


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer.train(TEXTS * 9, 60)


@pytest.fixture(scope="module")
def model(tokenizer):
    tg.manual_seed(0)
    shape = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    return BertModel(BertConfig(tokenizer.vocab_size, **shape, max_position_embeddings=20, initializer_range=0.3))


def mean_alone(model, tokenizer, text: str) -> np.ndarray:
    ids, _ = tokenizer.pair(tokenizer.encode(text))
    with tg.no_grad(), model.evaluating():
        return model(ids[np.newaxis]).last_hidden_state.data[0].mean(axis=0)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 99])
def test_each_text_has_the_mean_of_its_own_tokens_in_any_batch(model, tokenizer, batch_size):
    x = sentence_embeddings(model, tokenizer, TEXTS, batch_size=batch_size)
    assert x.shape == (5, 8) and x.dtype == np.float32
    for row, text in zip(x, TEXTS, strict=True):
        np.testing.assert_allclose(row, mean_alone(model, tokenizer, text), atol=1e-6)


def test_the_mean_over_padding_too_would_be_another(model, tokenizer):
    """The mistake that the mask avoids is large enough for the tests above to see."""
    ids, attention_mask = tokenizer.pad_batch([tokenizer.pair(tokenizer.encode(text))[0] for text in TEXTS])
    with tg.no_grad(), model.evaluating():
        x = model.features(ids, attention_mask)
    right = masked_mean(x, attention_mask).data
    wrong = x.data.mean(axis=1)
    assert np.abs(wrong - right)[1].max() < 1e-6  # the longest has no padding
    assert np.abs(wrong - right)[0].max() > 0.05


def test_what_stands_at_padding_does_not_enter(model, tokenizer):
    x = tg.randn(2, 3, 8)
    attention_mask = np.array([[1, 1, 0], [1, 1, 1]])
    before = masked_mean(x, attention_mask).data.copy()
    np.testing.assert_allclose(before[0], x.data[0, :2].mean(axis=0), atol=1e-6)
    x.data[0, 2] = 1e6
    np.testing.assert_array_equal(masked_mean(x, attention_mask).data, before)


def test_the_mean_has_a_gradient_at_the_text_alone():
    x = tg.randn(2, 3, 4, dtype="float64", requires_grad=True)
    masked_mean(x, [[1, 1, 0], [1, 1, 1]]).sum().backward()
    expected = np.array([[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]])[:, :, np.newaxis] * np.ones(4)
    np.testing.assert_allclose(x.grad, expected)


def test_normalised_vectors_give_cosines(model, tokenizer):
    x = sentence_embeddings(model, tokenizer, TEXTS)
    unit = sentence_embeddings(model, tokenizer, TEXTS, normalize=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    cosine = tg.cosine_similarity(tg.tensor(x[0]), tg.tensor(x[1]), dim=0)
    np.testing.assert_allclose(unit[0] @ unit[1], cosine.item(), rtol=1e-5)
    np.testing.assert_allclose(unit[0] @ unit[4], 1, rtol=1e-5)  # the same text


def test_dropout_is_off_and_comes_back(model, tokenizer):
    assert model.training
    once, again = (sentence_embeddings(model, tokenizer, TEXTS) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert model.training and model.blocks[0].training


@pytest.mark.parametrize("kind", [BertForPreTraining, lambda config: BertForSequenceClassification(config, 2)])
def test_any_head_may_be_there(model, tokenizer, kind):
    headed = kind(model.config)
    headed.bert.load_state_dict(model.state_dict())
    ours = sentence_embeddings(headed, tokenizer, TEXTS)
    np.testing.assert_allclose(ours, sentence_embeddings(model, tokenizer, TEXTS), atol=1e-6)


def test_a_long_text_is_read_to_the_models_last_position(model, tokenizer):
    text = "the cat sat " * 9
    cut = " ".join(text.split()[:18])
    [x] = sentence_embeddings(model, tokenizer, [text])
    np.testing.assert_allclose(x, mean_alone(model, tokenizer, cut), atol=1e-6)
    [x] = sentence_embeddings(model, tokenizer, [text], max_length=5)
    np.testing.assert_allclose(x, mean_alone(model, tokenizer, "the cat sat"), atol=1e-6)


def test_they_are_computed_on_arrays_that_are_not_numpys(model, tokenizer):
    """On a GPU's arrays, which refuse silent conversions; see strict_array.py."""
    expected = sentence_embeddings(model, tokenizer, TEXTS)
    on_gpu = BertModel(model.config)
    on_gpu.load_state_dict(model.state_dict())
    for p in on_gpu.parameters():
        p.data = StrictArray(p.data)
    with tg.using("reference"):
        x = sentence_embeddings(on_gpu, tokenizer, TEXTS)
    assert type(x) is np.ndarray
    np.testing.assert_allclose(x, expected, atol=1e-6)


def test_no_texts(model, tokenizer):
    assert sentence_embeddings(model, tokenizer, []).shape == (0, 8)
    assert sentence_embeddings(model, tokenizer, [], normalize=True).shape == (0, 8)


def test_other_arguments(model, tokenizer):
    gpt = GPT(GPTConfig(9, 4, n_layer=1, n_head=1, n_embd=4))
    with pytest.raises(TypeError, match=r"^sentence_embeddings: expected a BERT, got GPT"):
        sentence_embeddings(gpt, tokenizer, TEXTS)
    with pytest.raises(TypeError, match=r"expected a list of texts, got 'the cat': write \[text\]$"):
        sentence_embeddings(model, tokenizer, "the cat")
    with pytest.raises(ValueError, match=r"^sentence_embeddings: expected batch_size >= 1, got 0$"):
        sentence_embeddings(model, tokenizer, TEXTS, batch_size=0)
    with pytest.raises(ValueError, match=r"^sentence_embeddings: expected 2 <= max_length < 21 or None, got 21$"):
        sentence_embeddings(model, tokenizer, TEXTS, max_length=21)
