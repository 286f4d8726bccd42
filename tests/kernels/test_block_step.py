"""A block of GPT-2 for one new position: kernel, reference and the block itself agree, and the block knows when."""

import numpy as np
import pytest

from tests.kernels.test_against_reference import DTYPES, assert_close, kernel, normal
from tinygrad_gpt import functional as F
from tinygrad_gpt import no_grad, random_stream, using_matmul_precision
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.product.few_rows import FEW
from tinygrad_gpt.nn import Block, KVCache, Linear, Module

SIZES = [(1, 1, 1, 1, 0, 3), (1, 3, 5, 12, 11, 7), (FEW, 2, 8, 6, 4, 64), (2, 12, 64, 40, 33, 3072)]


def step_case(r, h, d, capacity, length, inner, dtype, *, masked, biased):
    """(arrays, settings) of a call."""
    c = h * d
    shapes = [(c,), (3 * c, c), (c, c), (c,), (inner, c), (c, inner)]
    weights = [a for i, s in enumerate(shapes) for a in (normal(s, dtype, i), normal(s[:1], dtype, -~i))]
    if not biased:
        weights[1::2] = [None] * len(shapes)
    cache = normal((2, r, h, capacity, d), dtype, 8)
    shown = np.random.default_rng(9).random((r, length + 1)) < 0.6 if masked else None  # of some rows, nothing at all
    return (normal((r, c), dtype, 7), *cache, shown, *weights), {"length": length, "scale": 0.3, "eps": 1e-5}


@DTYPES
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("masked, biased", [(False, True), (True, True), (True, False)])
def test_it_is_that_of_the_reference(dtype, sizes, masked, biased):
    arrays, settings = step_case(*sizes, dtype, masked=masked, biased=biased)
    copies = [None if a is None else a.copy() for a in arrays]
    right = registry.reference("block_step").run(*copies, **settings)
    assert registry.choose("block_step", arrays, settings).name == "numba"
    got = kernel("block_step").run(*arrays, **settings)
    tolerance = 1e-11 if dtype == np.float64 else 3e-5
    assert_close(got, right, tolerance)
    for cache, wanted in zip(arrays[1:3], copies[1:3], strict=True):
        assert_close(cache, wanted, tolerance)
    np.testing.assert_array_equal(arrays[0], copies[0])


def test_a_row_gets_the_same_bits_alone_and_on_any_number_of_threads():
    import numba

    (x, keys, values, _, *weights), settings = step_case(3, 4, 64, 300, 200, 300, np.float32, masked=False, biased=True)
    together = kernel("block_step").run(x, keys.copy(), values.copy(), None, *weights, **settings)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        for i in range(3):
            row = slice(i, i + 1)
            alone = kernel("block_step").run(x[row], keys[row].copy(), values[row].copy(), None, *weights, **settings)
            assert alone.tobytes() == together[row].tobytes()
    finally:
        numba.set_num_threads(before)


def test_what_does_not_fit_is_refused():
    arrays, settings = step_case(2, 3, 4, 5, 4, 6, np.float32, masked=True, biased=True)

    def refusal(place=None, array=None, **changed):
        given = [array if i == place else a for i, a in enumerate(arrays)]
        with pytest.raises((ValueError, TypeError)) as error:
            registry.run("block_step", *given, **settings | changed)
        return str(error.value)

    assert "room at 5" in refusal(length=5)
    assert "one dtype" in refusal(0, arrays[0].astype(np.float64))
    assert "booleans" in refusal(3, arrays[3][:, :2])
    assert "its bias" in refusal(7, arrays[7][:-1])
    assert "keys and values" in refusal(2, arrays[2][:, :2])


# --- in a block --------------------------------------------------------------------------------------------------


class Twice(Module):
    """In a layer's place."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return F.mul(self.layer(x), 2.0)


class OwnLinear(Linear):
    def forward(self, x):
        return F.mul(super().forward(x), 2.0)


def new_block(**settings) -> Block:
    random_stream.manual_seed(3)
    return Block(24, 3, causal=True, scale=8**-0.5, std=0.2, **settings).eval()


def write(block: Block, rows: int = 2, mask=None, new: int = 4) -> tuple[np.ndarray, int]:
    """(what a block makes of a prompt of 5 and of `new` positions after it, (B, new, C); how many were single steps)"""
    x = normal((rows, 5 + new, 24), np.float32)
    cache = KVCache(1, rows, 3, 16, 8, like=x)
    with no_grad(), registry.counting() as counted:
        block(Tensor(x[:, :5]), mask=None if mask is None else mask[..., :5], cache=cache.layers[0])
        ys = [
            block(Tensor(x[:, t : t + 1]), mask=None if mask is None else mask[..., : t + 1], cache=cache.layers[0])
            for t in range(5, 5 + new)
        ]
    assert cache.length == 5 + new
    return np.concatenate([y.data for y in ys], axis=1), sum(
        n for v, n in counted.items() if str(v) == "block_step[numba]"
    )


def usual(block: Block, mask=None) -> np.ndarray:
    """The same by the block's own ops."""
    with registry.using(linear="numba"):  # someone who chooses a version wants to see it run
        ys, steps = write(block, mask=mask)
    assert steps == 0
    return ys


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padded", [False, True])
def test_a_block_steps_as_it_reads(bias, padded):
    block = new_block(bias=bias)
    mask = np.ones((2, 1, 1, 9), bool)
    mask[1, ..., :2] = not padded
    mask = mask if padded else None
    ys, steps = write(block, mask=mask)
    assert steps == 4
    assert_close(ys, usual(block, mask), 1e-5)


def test_many_rows_go_the_usual_way():
    _, steps = write(new_block(), rows=FEW + 1)
    assert steps == 0


@pytest.mark.parametrize(
    "way", ["layer", "subclass", "activation", "post", "dropout", "watched", "precision", "own op"]
)
def test_whoever_changes_a_block_gets_what_they_made_of_it(way):
    block = new_block(
        activation="gelu" if way == "activation" else "gelu_tanh", norm="post" if way == "post" else "pre"
    )
    before, _ = write(block)
    if way == "layer":
        block.feed_forward = Twice(block.feed_forward)
    elif way == "subclass":
        own = OwnLinear(24, 24)
        own.load_state_dict(block.attention.out.state_dict())
        block.attention.out = own
    elif way == "dropout":
        block.dropout.p, block.dropout.training = 0.5, True
    if way == "watched":
        with block.watching("attention") as seen:
            ys, steps = write(block, new=1)
        assert seen["attention"].weights.shape == (2, 3, 1, 6)
    elif way == "precision":
        with using_matmul_precision("bfloat16"):
            ys, steps = write(block)
    elif way == "own op":
        linear = registry.reference("linear")
        version = registry.register("linear", lambda *a: (linear.forward(*a)[0] * 2, None), linear.backward)
        try:
            ys, steps = write(block)
        finally:
            registry.unregister(version)
    else:
        ys, steps = write(block)
    assert steps == 0
    if way in ("layer", "subclass", "dropout", "own op"):
        assert np.abs(ys - before).max() > 0.01
