"""Models that keep no cache, or have a block that declines it, write the same text: they read the window again."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.generate.random_model import random_model
from tinygrad_gpt.generate import generate, generate_batch, pad_left
from tinygrad_gpt.generate.session import DecodingSession
from tinygrad_gpt.nn import Block, CacheDeclinedError, Module

PROMPTS = [[3, 1, 4], [1, 0, 2, 4, 3, 3, 3], [2], [4, 1]]


class Ignoring(Block):
    def forward(self, x, mask=None, cache=None):
        return super().forward(x, mask=mask)


class WithoutOne(Block):
    def forward(self, x, mask=None):
        return super().forward(x, mask=mask)


class WithoutAny(Block):
    def forward(self, x):
        return super().forward(x)


class Fickle(Block):
    """Takes the cache for a prompt, and forgets it for a single token."""

    def forward(self, x, mask=None, cache=None):
        return super().forward(x, mask=mask, cache=cache if x.shape[1] > 1 else None)


class TakingAll(Block):
    def forward(self, x, **given):
        return super().forward(x, **given)


def with_blocks(kind, which=slice(None)):
    model = random_model()
    for block in model.blocks[which]:
        block.__class__ = kind
    return model


class Plain(Module):
    """No GPT: forward alone."""

    def __init__(self):
        self.inside = random_model()
        self.config = self.inside.config

    def forward(self, ids):
        assert ids.shape[1] <= self.config.block_size
        return self.inside.head(self.inside.features(ids))


DECLINING = [
    pytest.param(lambda: with_blocks(Ignoring), id="ignoring"),
    pytest.param(lambda: with_blocks(Ignoring, slice(1, 2)), id="the last ignoring"),
    pytest.param(lambda: with_blocks(Ignoring, slice(0, 1)), id="the first ignoring"),
    pytest.param(lambda: with_blocks(WithoutOne), id="without"),
]


FICKLE = pytest.param(lambda: with_blocks(Fickle, slice(1, 2)), id="fickle")


@pytest.mark.parametrize("make", [*DECLINING, FICKLE, pytest.param(Plain, id="plain")])
def test_one_text_beyond_the_window(make):
    how = dict(temperature=0.9, seed=3)
    expected = list(generate(random_model(), [3, 1], 60, **how))
    assert list(generate(make(), [3, 1], 60, **how)) == expected and len(set(expected)) > 5


@pytest.mark.parametrize("make", [*DECLINING, FICKLE, pytest.param(Plain, id="plain")])
def test_every_reading_gives_the_logits_of_the_whole_text(make):
    session, plain = DecodingSession(make(), rows=2), Plain()
    ids = np.random.default_rng(2).integers(13, size=(2, 7))
    for start, stop in ((0, 4), (4, 5), (5, 6), (6, 7)):
        expected = plain.eval()(ids[:, :stop]).data[:, -1]
        np.testing.assert_allclose(session.read(ids[:, start:stop]), expected, rtol=1e-9)


@pytest.mark.parametrize("make", DECLINING)
@pytest.mark.parametrize(
    "how", [{}, {"num_beams": 3}, {"do_sample": True, "seed": 5}], ids=["greedy", "beams", "draws"]
)
def test_a_padded_batch(make, how):
    ids, mask = pad_left(PROMPTS, 0)
    how = dict(max_new_tokens=8, eos_token_id=7, pad_token_id=0) | how
    expected = generate_batch(random_model(), ids, mask, **how)
    np.testing.assert_array_equal(generate_batch(make(), ids, mask, **how), expected)


def test_a_batch_for_a_model_without_a_mask():
    np.testing.assert_array_equal(
        generate_batch(Plain(), [[1, 2], [3, 4]], max_new_tokens=5),
        generate_batch(random_model(), [[1, 2], [3, 4]], max_new_tokens=5),
    )
    ids, mask = pad_left(PROMPTS, 0)
    with pytest.raises(TypeError, match="Plain takes no attention_mask, which prompts of different lengths need"):
        generate_batch(Plain(), ids, mask)
    with pytest.raises(TypeError, match=r"block 0 \(WithoutAny\) takes no mask, which padding needs"):
        generate_batch(with_blocks(WithoutAny), ids, mask)


@pytest.mark.parametrize(
    ("kind", "which", "said"),
    [
        (Ignoring, slice(0, 1), "block 0 left its cache with 0 positions in place of 3"),
        (Ignoring, slice(1, 2), "block 1 left its cache with 0 positions in place of 3"),
        (WithoutOne, slice(1, 2), r"block 1 \(WithoutOne\) takes no cache"),
    ],
)
def test_a_declined_cache_is_an_error_for_who_calls_the_model(kind, which, said):
    model = with_blocks(kind, which)
    with tg.no_grad(), pytest.raises(CacheDeclinedError, match=said):
        model.next_logits(np.array([[1, 2, 3]]), model.new_cache())


def test_a_block_that_takes_anything_has_its_cache():
    model = with_blocks(TakingAll)
    cache = model.new_cache()
    with tg.no_grad():
        model.next_logits(np.array([[1, 2, 3]]), cache)
    assert [layer.length for layer in cache.layers] == [3, 3]


def test_what_is_no_language_model():
    class Headless(Module):
        def forward(self, ids):
            return ids

    for model in ("gpt", Headless(), print):
        with pytest.raises(TypeError, match=r"expected a language model, such as GPT, got .* in its `config`"):
            list(generate(model, [1], 1))
