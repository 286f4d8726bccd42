"""The cache of a decoder: what is written with it equals what is written without, also after texts were chosen."""

import numpy as np
import pytest

from tests.generate.random_model import random_translator
from tests.strict_array import StrictArray
from tinygrad_gpt import Tensor, no_grad
from tinygrad_gpt.nn.attention import KeysAndValues
from tinygrad_gpt.nn.decoder_cache import DecoderCache

SOURCES = np.array([[3, 4, 5, 1, 0, 0], [7, 8, 9, 10, 11, 1], [12, 1, 0, 0, 0, 0]])
MASK = (SOURCES != 0).astype(np.int64)
TARGETS = np.random.default_rng(0).integers(2, 13, (3, 7))
TARGETS[:, 0] = 0

# Which texts are kept, after 2 positions and after 4, and of how many sources keys are then held.
CHOICES = [
    pytest.param([0, 1, 2], [0, 1, 2], 3, id="all"),
    pytest.param([2, 0], [1], 1, id="fewer, in another order"),
    pytest.param([0, 0, 1, 1, 2, 2], [1, 0, 2, 2, 5, 4], 3, id="beams of each source, shuffled among them"),
    pytest.param([0, 0, 1, 1, 2, 2], [4, 5, 1, 1], 2, id="beams of a source that is done go"),
    pytest.param([0, 0, 1, 1, 2, 2], [5, 0, 0, 3, 3, 3], 6, id="not as many for each: each has its own"),
    pytest.param([1, 1, 0], [2, 2, 0, 1], 4, id="uneven twice"),
    pytest.param([1, 0], [], 0, id="none is left"),
]


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize(("first", "second", "held"), CHOICES)
def test_each_next_token_is_that_of_the_whole_target(norm, first, second, held):
    """T-13: whichever rows were chosen before, once, several times or not at all."""
    model = random_translator(norm)
    with no_grad():
        cache = model.new_cache(model.encode(SOURCES, MASK), MASK, 7)
        rows, position = np.arange(3), 0
        for chosen, steps in (([0, 1, 2], [2]), (first, [1, 1]), (second, [1, 2])):
            cache.select(np.array(chosen, np.int64))
            rows = rows[chosen]
            for step in steps if len(rows) else []:
                stop = position + step
                logits = model.next_logits(TARGETS[rows][:, position:stop], cache)
                expected = model(SOURCES[rows], TARGETS[rows][:, :stop], MASK[rows]).data[:, -1]
                np.testing.assert_allclose(logits.data, expected, rtol=1e-10, atol=1e-12)
                position = stop
    assert cache.length == position == (7 if len(rows) else 4)
    assert cache.layers[0].source.keys.shape[0] == held


def test_beams_share_the_keys_and_values_of_their_source():
    model = random_translator()
    with no_grad():
        cache = model.new_cache(model.encode(SOURCES, MASK), MASK, 7)
    before = cache.layers[0].source.keys.data
    cache.select(np.repeat(np.arange(3), 5))
    cache.select(np.arange(15).reshape(3, 5)[:, ::-1].ravel())
    assert cache.layers[0].source.keys.data is before and cache.source_mask.shape[0] == 3


def test_a_source_without_padding_has_no_mask():
    model = random_translator()
    with no_grad():
        cache = model.new_cache(model.encode(SOURCES[1:2]), None, 7)
        cache.select(np.array([0, 0]))
        logits = model.next_logits(TARGETS[:2, :3], cache)
        expected = model(SOURCES[[1, 1]], TARGETS[:2, :3]).data[:, -1]
    assert cache.source_mask is None
    np.testing.assert_allclose(logits.data, expected, rtol=1e-10)


def test_it_lives_where_the_model_lives():
    x = Tensor(StrictArray(np.random.default_rng(0).standard_normal((3, 2, 4, 5)).astype(np.float32)))
    mask = StrictArray(np.ones((3, 1, 1, 4), bool))
    cache = DecoderCache([KeysAndValues(x, x)], mask, 2, 6, 5, like=StrictArray(np.zeros(1, np.float32)))
    cache.select(np.array([2, 0, 0]))
    assert isinstance(cache.layers[0].source.keys.data, StrictArray) and isinstance(cache.source_mask, StrictArray)
    assert (cache.layers[0].source.values.numpy() == x.numpy()[[2, 0, 0]]).all()


def test_more_positions_than_there_is_room_for():
    model = random_translator()
    with no_grad():
        cache = model.new_cache(model.encode(SOURCES, MASK), MASK, 2)
        with pytest.raises(ValueError, match="0 of 2 positions, no room for 3 more"):
            model.next_logits(TARGETS[:, :3], cache)
