"""Texts in, texts out: order, lengths, ends, errors, and where the model looked."""

import dataclasses

import numpy as np
import pytest

from tests.generate.random_model import random_translator
from tinygrad_gpt import no_grad
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.generate.translate import alignments, translate, translate_ids

RNG = np.random.default_rng(4)
TEXTS = ["".join(RNG.choice(list("abcdefghijk"), n)) for n in RNG.integers(1, 30, 17)]


class Letters:
    """A tokenizer of the letters a to k: 2 to 12. Like that of sentences, it writes nothing for its special tokens."""

    vocab_size, pad_id, end_id = 13, 0, 1

    def encode(self, text: str) -> np.ndarray:
        return np.array([ord(letter) - ord("a") + 2 for letter in text], np.int64)

    def decode(self, ids) -> str:
        return "".join(chr(ord("a") + i - 2) for i in ids if i >= 2)


@pytest.mark.long
@pytest.mark.parametrize("beams", [1, 3])
def test_a_text_is_translated_alike_alone_in_any_batch_and_order(beams):
    model = random_translator()
    expected = [translate(model, Letters(), [text], beams=beams)[0] for text in TEXTS]
    assert len(set(map(len, expected))) >= 5 and len(set(expected)) >= 5
    for tokens in (1, 40, 100_000):
        assert translate(model, Letters(), TEXTS, beams=beams, batch_tokens=tokens) == expected
    assert translate(model, Letters(), TEXTS[::-1], beams=beams) == expected[::-1]
    assert translate(model, Letters(), [], beams=beams) == []


@pytest.mark.parametrize("beams", [1, 4])
def test_it_writes_what_generate_writes(beams):
    model = random_translator()
    how = dict(penalty="gnmt", length_penalty=0.6, early_stopping=True)
    for text in TEXTS[:5]:
        ids = np.append(Letters().encode(text), 1)
        (written,) = translate_ids(model, [ids], beams=beams, max_new_tokens=11, **how)
        expected = model.generate(ids[np.newaxis], None, 11, num_beams=beams, **how)[0]
        assert [0, *written, 1] == expected.tolist()


def test_a_translation_ends_at_last_50_tokens_after_its_source_or_where_one_says():
    model = random_translator(positions=80, seed=1)
    model.head.bias.data[1] = -1e3  # no end comes by itself
    sources = [np.append(Letters().encode(text), 1) for text in ("abc", "abcdefghij", "a" * 40)]
    # The forced end is the last of the tokens, and is not returned.
    assert [len(text) for text in translate_ids(model, sources)] == [4 + 49, 11 + 49, 79]
    assert [len(text) for text in translate_ids(model, sources, beams=1)] == [4 + 49, 11 + 49, 79]
    assert [len(text) for text in translate_ids(model, sources, max_new_tokens=7)] == [6, 6, 6]


@pytest.mark.long
def test_progress_counts_the_sources():
    seen = []
    translate(random_translator(), Letters(), TEXTS, batch_tokens=60, progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (17, 17) and len(seen) > 3 and sorted(seen) == seen


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["abc", "b" * 40], "sentence 2 has 41 tokens with its end: expected 1 to 40, the positions of the model"),
    ],
)
def test_what_cannot_be_translated_is_named_before_any_is(texts, said):
    with pytest.raises(UserError, match=said) as raised:
        translate(Unwilling(), Letters(), texts)
    assert "\n" not in str(raised.value)


class Unwilling:
    """A model that must not be asked."""

    config = random_translator().config


def test_another_models_tokenizer_is_named():
    tokenizer = Letters()
    tokenizer.end_id = 2
    with pytest.raises(UserError, match=r"not the model's: .* of 0, 1 and 13, got 0, 2 and 13"):
        translate(random_translator(), tokenizer, ["abc"])
    tokenizer = Letters()
    tokenizer.vocab_size = 12  # and so no text for a token that the model may write
    with pytest.raises(UserError, match=r"not the model's: .* of 0, 1 and 13, got 0, 1 and 12"):
        translate(random_translator(), tokenizer, ["abc"])
    for texts in (b"abc", 3, ["abc", None]):
        with pytest.raises(TypeError, match=r"translate: expected a text, or a list of texts, got "):
            translate(random_translator(), Letters(), texts)
    with pytest.raises(UserError, match="sentence 1 has 0 tokens"):
        translate_ids(random_translator(), [np.empty(0, np.int64)])


def test_a_translation_ends_though_no_end_is_forced_by_the_config():
    """Each text of a batch has its own limit."""
    model = random_translator()
    expected = translate(model, Letters(), TEXTS, max_new_tokens=3)
    model.config = dataclasses.replace(model.config, forced_eos_token_id=None)
    assert translate(model, Letters(), TEXTS, max_new_tokens=3) == expected
    assert max(map(len, translate_ids(model, [np.array([3, 1])], beams=1, max_new_tokens=1))) == 0


def test_one_text_is_one_text_and_a_blank_one_stays_blank():
    alone = translate(random_translator(), Letters(), "abc")
    assert translate(random_translator(), Letters(), ["", "abc", ""]) == ["", alone, ""]
    assert alone and translate(random_translator(), Letters(), "") == ""


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"num_beams": 3}, TypeError, r"translate: there is no setting num_beams \(did you mean beams\?\)"),
        ({"fast": True}, TypeError, "translate: there is no setting fast: the settings are beams, penalty, "),
        ({"beams": 0}, ValueError, "translate: expected beams >= 1, got 0"),
        ({"penalty": "no"}, ValueError, "translate: expected penalty length or gnmt, got 'no'"),
        ({"early_stopping": "no"}, ValueError, "translate: expected early_stopping"),
        ({"length_penalty": "no"}, TypeError, "translate: expected .* as length_penalty, got 'no'"),
    ],
)
def test_settings_that_cannot_be_are_named_as_they_were_given(how, error, said):
    with pytest.raises(error, match=said):
        translate(random_translator(), Letters(), ["abc"], **how)


@pytest.mark.parametrize("layer", [None, 0, -1])
def test_alignments_are_the_mean_of_the_heads_of_a_layer(layer):
    model = random_translator()
    sources = [np.append(Letters().encode(text), 1) for text in TEXTS]
    targets = [np.append(target, 1) for target in translate_ids(model, sources)]
    found = alignments(model, sources, targets, layer)
    path = f"decoder.{0 if layer == 0 else 1}.cross_attention"
    for source, target, weights in zip(sources, targets, found, strict=True):
        assert weights.shape == (len(target), len(source))
        np.testing.assert_allclose(weights.sum(axis=1), 1.0)
        with no_grad(), model.watching(path) as seen:
            model(source[np.newaxis], np.array([[0, *target[:-1]]]))
        np.testing.assert_allclose(weights, seen[path].weights.data[0].mean(axis=0), rtol=1e-9, atol=1e-12)


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="layer"):
        alignments(random_translator(), [np.array([3, 1])], [np.array([4, 1])], layer=2)
