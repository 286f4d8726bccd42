"""How an XLNet reads the examples of a fine-tuning, and its model with a head."""

import dataclasses

import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.xlnet import XLNetConfig
from tinygrad_gpt.models.xlnet_heads import XLNetForSequenceClassification, XLNetModel
from tinygrad_gpt.tasks.xlnet_family import XLNetFamily

A, B = "the quick fox", "a lazy dog saw it"


@pytest.fixture(scope="module")
def tokenizer():
    return XLNetTokenizer.train(["the quick brown fox jumps over the lazy dog , and a dog saw it"] * 3, 60)


@pytest.fixture
def shape(tokenizer):
    return XLNetConfig(tokenizer.vocab_size, d_model=16, n_layer=2, n_head=2, d_inner=24, initializer_range=0.2)


@pytest.fixture
def family(tokenizer, shape):
    return XLNetFamily(tokenizer, shape)


@pytest.fixture
def model(family, shape):
    random_stream.manual_seed(2)
    return family.first_model(XLNetModel(shape), "classes", 3, True, 1).eval()


def test_the_class_token_is_last_and_has_a_segment_of_its_own(family, tokenizer):
    """L-17."""
    a, b = tokenizer.encode(A), tokenizer.encode(B)
    ids, segments = family.text(A)
    assert ids.tolist() == [*a, tokenizer.sep_id, tokenizer.cls_id]
    assert segments.tolist() == [0] * (len(a) + 1) + [2]
    ids, segments = family.text(A, B)
    assert ids.tolist() == [*a, tokenizer.sep_id, *b, tokenizer.sep_id, tokenizer.cls_id]
    assert segments.tolist() == [0] * (len(a) + 1) + [1] * (len(b) + 1) + [2]


def test_padding_is_on_the_left_and_changes_nothing(family, model, tokenizer):
    """L-2, L-17: the mask has 1 for a token, and the last token of each row is the class token."""
    short, long = family.text(A), family.text(A, B)
    ids, mask, segments = family.pad([short, long])
    pad = len(long[0]) - len(short[0])
    assert (ids[:, -1] == tokenizer.cls_id).all() and (ids[0, :pad] == tokenizer.pad_id).all()
    assert mask[0].tolist() == [0] * pad + [1] * len(short[0]) and mask[1].all()
    assert segments[0, pad:].tolist() == short[1].tolist()
    together = family.scores(model, ids, mask, segments).numpy()
    for row, one in zip(together, (short, long), strict=True):
        np.testing.assert_allclose(family.scores(model, *family.pad([one])).numpy()[0], row, rtol=1e-4, atol=1e-5)
    other = np.where(mask == 0, 7, ids)
    np.testing.assert_array_equal(family.scores(model, other, mask, segments).numpy(), together)
    with pytest.raises(ValueError, match="hides the last token of row 0, which the classifier reads: pad on the left"):
        family.scores(model, ids, 1 - mask, segments)  # the mask the other way round


def test_segments_reach_the_model(family, model):
    ids, mask, segments = family.pad([family.text(A, B)])
    same = family.scores(model, ids, mask, np.zeros_like(segments)).numpy()
    assert not np.allclose(same, family.scores(model, ids, mask, segments).numpy(), atol=1e-4)


def test_the_score_is_read_at_the_class_token(family, model):
    ids, mask, segments = family.pad([family.text(A, B)])
    x = model.transformer(ids, mask, token_type_ids=segments).last_hidden_state
    np.testing.assert_array_equal(
        model.classifier(model.summarised(x)).numpy(), family.scores(model, ids, mask, segments).numpy()
    )
    assert model.config.summary_type == "last"


def test_long_texts_are_cut_and_said_to_be(tokenizer, shape):
    family = XLNetFamily(tokenizer, shape, max_length=9)
    whole = len(tokenizer.encode(A)) + len(tokenizer.encode(B)) + 3
    cut = family.text(A, B)
    assert whole > 9 == family.length(cut) and cut[0][-1] == tokenizer.cls_id and family.is_cut(cut, A, B)
    fits = XLNetFamily(tokenizer, shape, max_length=whole)
    assert not fits.is_cut(fits.text(A, B), A, B) and XLNetFamily(tokenizer, shape).longest == 512


def test_it_begins_with_the_trained_weights_or_with_random_ones(family, shape):
    random_stream.manual_seed(7)
    body = XLNetModel(shape)
    trained, new = (family.first_model(body, "classes", 2, pretrained, 1) for pretrained in (True, False))
    assert isinstance(trained, XLNetForSequenceClassification) and trained.num_labels == 2
    for name, p in body.named_parameters():
        same = dict(trained.transformer.named_parameters())[name].data, dict(new.transformer.named_parameters())[name]
        np.testing.assert_array_equal(same[0], p.data)
        assert p.data.std() == 0 or not np.array_equal(same[1].data, p.data)
    np.testing.assert_array_equal(trained.classifier.weight.data, new.classifier.weight.data)
    trained.transformer.token_embedding.weight.data[...] = 0
    assert body.token_embedding.weight.data.any(), "the body stays as it is"


def test_the_loss_of_classes_and_of_numbers(family, model, shape):
    inputs = family.pad([family.text(A), family.text(B)])
    logits = model(inputs[0], inputs[1], token_type_ids=inputs[2]).logits.numpy().astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = family.loss(model, inputs, (np.array([2, 0]),), 0.0).total.item()
    assert loss == pytest.approx(-np.log([p[0, 2], p[1, 0]]).mean(), rel=1e-5)
    number = family.first_model(XLNetModel(shape), "similarity", 1, False, 1).eval()
    found = family.scores(number, *inputs).numpy()[:, 0]
    loss = family.loss(number, inputs, (np.array([1.5, 3.0], np.float32),), 0.0).total.item()
    assert loss == pytest.approx(np.mean((found - [1.5, 3.0]) ** 2), rel=1e-5)


@pytest.mark.parametrize("kind", ["tokens", "spans"])
def test_kinds_that_it_does_not_learn(family, kind):
    with pytest.raises(UserError, match="no XLNet here learns to label words or mark spans: fine-tune a BERT"):
        family.model_for(kind, 2)
    with pytest.raises(UserError, match="fine-tune a BERT"):
        family.words(["a"]) if kind == "tokens" else family.passage("a", "b")


def test_another_tokenizer_is_refused(shape):
    with pytest.raises(UserError, match="an XLNet reads texts with a tokenizer of its kind, not with a CharTokenizer"):
        XLNetFamily(CharTokenizer("abc"), shape)


def test_what_config_json_holds_makes_the_family_again(tokenizer, shape):
    family = XLNetFamily(tokenizer, shape, head_dropout=0.3, max_length=20)
    written = dataclasses.asdict(family.shape)
    size = written.pop("vocab_size")
    again = XLNetFamily.saved(tokenizer, written, size, family.head_dropout, 20)
    assert (again.shape, again.longest, again.head_dropout) == (family.shape, 20, 0.3)
