"""BERT fills gaps: which tokens, how probable, and what cannot be filled."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray
from tinygrad_gpt.data import WordPieceTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, BertConfig, BertForMaskedLM, BertForPreTraining, BertModel, GPTConfig, fill_mask

pytest.importorskip("tokenizers")

TEXT = "The cat sat on the mat. The dog sat on the rug.\n" * 9
SHAPE = dict(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer.train([TEXT], 60)


@pytest.fixture(scope="module", params=[BertForMaskedLM, BertForPreTraining])
def model(request, tokenizer):
    tg.manual_seed(0)
    return request.param(BertConfig(tokenizer.vocab_size, **SHAPE, max_position_embeddings=16, initializer_range=0.5))


def scores(model, ids) -> np.ndarray:
    """(1, T, V): what a call of the model gives."""
    with tg.no_grad(), model.evaluating():
        out = model(ids)
    return (out.logits if isinstance(model, BertForMaskedLM) else out.prediction_logits).data


def test_the_likeliest_tokens_of_each_gap(model, tokenizer):
    text = "the [MASK] sat on [MASK]."
    gaps = fill_mask(model, tokenizer, text, top=3)
    assert [len(gap) for gap in gaps] == [3, 3]
    ids = np.array([[2, *tokenizer.encode(text), 3]])
    logits = scores(model, ids)[0, ids[0] == tokenizer.mask_id].astype(np.float64)  # (2, V)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for gap, right in zip(gaps, p, strict=True):
        best = 5 + np.argsort(-right[5:])[:3]  # the first five are special
        assert [c.id for c in gap] == best.tolist()
        np.testing.assert_allclose([c.probability for c in gap], right[best], rtol=1e-4)
        assert [c.token for c in gap] == [tokenizer.id_to_token(c.id) for c in gap]


def test_the_whole_vocabulary_but_special_tokens_are_candidates(model, tokenizer):
    [gap] = fill_mask(model, tokenizer, "[MASK]", top=10**6)
    assert sorted(c.id for c in gap) == list(range(5, tokenizer.vocab_size))
    logits = scores(model, np.array([[2, 4, 3]]))[0, 1].astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum()
    assert sum(c.probability for c in gap) == pytest.approx(1 - p[:5].sum(), rel=1e-5)


def test_what_follows_a_gap_tells_too(model, tokenizer):
    """What a GPT cannot do."""
    cat, dog = (fill_mask(model, tokenizer, f"the [MASK] {word}") for word in ("sat", "rug"))
    assert cat[0][0].probability != dog[0][0].probability


def test_it_is_computed_on_arrays_that_are_not_numpys(model, tokenizer):
    """On a GPU's arrays, which refuse silent conversions; see strict_array.py."""
    on_gpu = type(model)(model.config)
    on_gpu.load_state_dict(model.state_dict())
    for p in on_gpu.parameters():
        p.data = StrictArray(p.data)
    with tg.using("reference"):
        [gap] = fill_mask(on_gpu, tokenizer, "the [MASK] sat")
    [expected] = fill_mask(model, tokenizer, "the [MASK] sat")
    assert [c.token for c in gap] == [c.token for c in expected]
    np.testing.assert_allclose([c.probability for c in gap], [c.probability for c in expected], rtol=1e-4)


def test_ids_without_a_token_are_never_proposed(tokenizer):
    tg.manual_seed(0)
    model = BertForMaskedLM(BertConfig(tokenizer.vocab_size + 40, **SHAPE, max_position_embeddings=16))
    model.masked_lm.decoder.bias.data[tokenizer.vocab_size :] = 100
    [gap] = fill_mask(model, tokenizer, "the [MASK]")
    assert max(c.id for c in gap) < tokenizer.vocab_size and gap[0].probability > 0.001


def test_a_text_without_a_gap_and_one_that_is_too_long(model, tokenizer):
    with pytest.raises(UserError, match=r"^the text has no \[MASK\] to fill: .*, got 'the cat'$"):
        fill_mask(model, tokenizer, "the cat")
    with pytest.raises(UserError, match=r"^the text is 17 tokens with \[CLS\] and \[SEP\], but the model reads 16"):
        fill_mask(model, tokenizer, "[MASK] " * 15)
    assert len(fill_mask(model, tokenizer, "[MASK] " * 14)) == 14


def test_models_that_cannot_fill_gaps(tokenizer):
    bare = BertModel(BertConfig(tokenizer.vocab_size, **SHAPE))
    with pytest.raises(UserError, match=r"^this BERT has no masked-LM head, .* random"):
        fill_mask(bare, tokenizer, "[MASK]")
    gpt = GPT(GPTConfig(9, 4, n_layer=1, n_head=1, n_embd=4))
    with pytest.raises(UserError, match=r"^a GPT cannot fill gaps, which takes a BERT"):
        fill_mask(gpt, tokenizer, "[MASK]")


def test_other_arguments(model, tokenizer):
    with pytest.raises(TypeError, match=r"^fill_mask: expected a str as the text, got .*: give one text at a time$"):
        fill_mask(model, tokenizer, ["[MASK]"])
    with pytest.raises(ValueError, match=r"^fill_mask: expected top >= 1, got 0$"):
        fill_mask(model, tokenizer, "[MASK]", top=0)
