"""Transformer-XL writes: what its cache keeps and forgets, and texts much longer than any segment."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.models.small_transformer_xl import VARIANTS, B, V, in_segments, some_ids, transformer_xl
from tinygrad_gpt.generate import generate
from tinygrad_gpt.models import TransformerXL, TransfoXLLMHeadModel

every_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=list(VARIANTS))
PROMPT = [3, 1, 4, 1, 5]


def written_with_memory(model, prompt: list[int], n: int, seed: int | None = None) -> list[int]:
    """Tokens one at a time, the likeliest or drawn, with the model's memory and no cache."""
    features, memory = model.read([prompt])
    written, rng = [], np.random.default_rng(seed)
    for _ in range(n):
        chances = np.exp(model.head(features[:, -1]).data[0])
        drawn = (np.cumsum(chances / chances.sum()) <= rng.random()).sum()
        written.append(int(chances.argmax() if seed is None else drawn))
        features, memory = model.read([written[-1:]], memory)
    return written


@pytest.mark.parametrize("capacity", [None, 40, 1])
@pytest.mark.parametrize("pieces", [[1] * 40, [40], [5, 1, 1, 1, 20, 1, 11]], ids=str)
@every_variant
def test_a_cache_gives_what_reading_the_same_pieces_gives(settings, pieces, capacity):
    """Far past the memory, and whatever room it began with."""
    model, ids = transformer_xl(**settings), some_ids(40)
    expected, _ = in_segments(model, ids, pieces)
    with tg.no_grad():
        cache, stop = model.new_cache(B, capacity), 0
        for length in pieces:
            start, stop = stop, stop + length
            found = model.next_logits(ids[:, start:stop], cache)
            np.testing.assert_allclose(found.data, expected[:, stop - 1], rtol=0, atol=1e-11)


def test_a_cache_begins_with_the_zeros_of_transformers_if_the_model_does():
    for settings in (dict(), dict(pre_lnorm=True), dict(same_length=True)):
        model, ids = transformer_xl(TransformerXL, **settings), some_ids(20)
        model.zero_memory = True
        expected, _ = in_segments(model, ids, [5] + [1] * 15)
        with tg.no_grad():
            cache = model.new_cache(B)
            found = [
                model.next_logits(ids[:, :5], cache),
                *[model.next_logits(ids[:, [i]], cache) for i in range(5, 20)],
            ]
            cache.clear()
            again = model.next_logits(ids[:, :5], cache)
        np.testing.assert_array_equal(again.data, found[0].data)
        for i, logits in enumerate(found, start=4):
            np.testing.assert_allclose(logits.data, expected[:, i], atol=1e-11)


@pytest.mark.long
def test_a_cache_stays_small_and_moves_seldom():
    model = transformer_xl()
    with tg.no_grad():
        cache = model.new_cache(1)
        room, moves, length = cache.layers[0].keys.shape[2], 0, 0
        assert room == model.mem_len + 128
        for token in some_ids(1000, rows=1)[0]:
            model.next_logits([[token]], cache)
            moves, length = moves + (cache.length <= length), cache.length
        assert cache.layers[0].keys.shape[2] == room and moves == (1000 - 6 - 1) // 128


@pytest.mark.long
def test_a_text_much_longer_than_memory_and_prompt():
    model = transformer_xl()
    expected = written_with_memory(model, PROMPT, 200, seed=2)
    assert list(generate(model, PROMPT, 200, seed=2)) == expected
    assert len(set(expected[100:])) > 3, "a model that repeats one token would prove nothing"
    long = some_ids(200, rows=1)[0].tolist()
    assert list(generate(model, long, 5, seed=2)) == written_with_memory(model, long, 5, seed=2), "all of it is read"


def test_a_longer_memory_may_be_set_for_writing():
    model = transformer_xl()
    model.mem_len = 50
    written = list(generate(model, PROMPT, 40, seed=2))
    assert written == written_with_memory(model, PROMPT, 40, seed=2)
    assert written != written_with_memory(transformer_xl(), PROMPT, 40, seed=2)


@pytest.mark.long
@pytest.mark.parametrize("beams", [1, 3])
def test_several_texts_at_once(beams):
    model, prompts = transformer_xl(TransfoXLLMHeadModel), some_ids(4)
    together = model.generate(prompts, num_beams=beams, max_new_tokens=60)
    assert together.shape == (B, 64)
    for prompt, text in zip(prompts, together, strict=True):
        np.testing.assert_array_equal(model.generate(prompt[np.newaxis], num_beams=beams, max_new_tokens=60)[0], text)
    if beams == 1:
        assert together[0, 4:].tolist() == written_with_memory(model, prompts[0].tolist(), 60)
        end = int(together[1, 20])  # texts end one by one, and their rows go
        real = np.ones_like(prompts)
        ended = model.generate(prompts, real, max_new_tokens=60, eos_token_id=end, pad_token_id=V - 1)
        for text, whole in zip(ended, together, strict=True):
            stop = 5 + whole[4:].tolist().index(end) if end in whole[4:] else 64
            np.testing.assert_array_equal(text[:stop], whole[:stop])


def test_padding_is_refused():
    """X-9: there is nothing that hides it."""
    model = transformer_xl(TransfoXLLMHeadModel)
    mask = np.ones((B, 4), int)
    assert model.generate(some_ids(4), mask, max_new_tokens=2).shape == (B, 6)
    mask[0, 0] = 0
    with pytest.raises(TypeError, match="padding would be read as text, and remembered: give it one prompt at a time"):
        model.generate(some_ids(4), mask, max_new_tokens=2)
