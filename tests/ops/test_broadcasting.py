"""Whatever NumPy can broadcast, every binary op can, and its gradients come back in the operands' shapes.

The right gradient is counted element by element: an array of places, broadcast like the operand, says which element
each output was made from.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.ops._shapes import sum_to_shape

seeds = st.integers(0, 2**32 - 1)
shapes = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0)

# op -> (d op / da, d op / db) on arrays that are broadcast already
SLOPES = {
    F.add: lambda a, b: (np.ones_like(a), np.ones_like(a)),
    F.sub: lambda a, b: (np.ones_like(a), -np.ones_like(a)),
    F.mul: lambda a, b: (b, a),
    F.div: lambda a, b: (1 / b, -a / b**2),
    F.maximum: lambda a, b: (1.0 * (a > b), 1.0 * (b > a)),
}


def summed(slopes, shape):
    """For each element of an operand of this shape, the sum over the outputs that were made from it."""
    places = np.broadcast_to(np.arange(np.prod(shape, dtype=int)).reshape(shape), slopes.shape)
    total = np.zeros(np.prod(shape, dtype=int))
    np.add.at(total, places.ravel(), slopes.ravel())
    return total.reshape(shape)


@pytest.mark.parametrize("op", SLOPES, ids=lambda op: op.__name__)
@settings(deadline=None, max_examples=60)
@given(shapes=shapes, seed=seeds)
def test_binary_ops(op, shapes, seed):
    rng = np.random.default_rng(seed)
    (sa, sb), shape = shapes.input_shapes, shapes.result_shape
    a, b = (Tensor(1 + rng.random(s), requires_grad=True) for s in (sa, sb))
    dy = rng.standard_normal(shape)
    y = op(a, b)
    assert y.shape == shape
    y.backward(dy)
    slopes = SLOPES[op](np.broadcast_to(a.data, shape), np.broadcast_to(b.data, shape))
    np.testing.assert_allclose(a.grad, summed(dy * slopes[0], sa), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(b.grad, summed(dy * slopes[1], sb), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=100)
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3), seed=seeds)
def test_where(shapes, seed):
    rng = np.random.default_rng(seed)
    sc, sa, sb = shapes.input_shapes
    condition = rng.random(sc) < 0.5
    a, b = (Tensor(rng.random(s), requires_grad=True) for s in (sa, sb))
    dy = rng.standard_normal(shapes.result_shape)
    F.where(condition, a, b).backward(dy)
    np.testing.assert_allclose(a.grad, summed(np.where(condition, dy, 0), sa), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(b.grad, summed(np.where(condition, 0, dy), sb), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=100)
@given(shapes=hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, max_side=3), seed=seeds)
def test_matmul(shapes, seed):
    """Against einsum over the batches, written out for every pair of broadcast matrices."""
    rng = np.random.default_rng(seed)
    sa, sb = shapes.input_shapes
    a, b = (Tensor(rng.standard_normal(s), requires_grad=True) for s in (sa, sb))
    y = a @ b
    np.testing.assert_allclose(y.data, np.matmul(a.data, b.data), rtol=1e-12, atol=1e-12)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    a2, b2 = np.atleast_2d(a.data), b.data[:, None] if b.ndim == 1 else b.data
    dy2 = dy.reshape((*np.broadcast_shapes(a2.shape[:-2], b2.shape[:-2]), a2.shape[-2], b2.shape[-1]))
    da = np.einsum("...mn,...kn->...mk", dy2, b2)
    db = np.einsum("...mk,...mn->...kn", a2, dy2)
    np.testing.assert_allclose(a.grad, summed(da, a2.shape).reshape(sa), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(b.grad, summed(db, b2.shape).reshape(sb), rtol=1e-11, atol=1e-11)


@settings(deadline=None, max_examples=100)
@given(shapes=shapes, seed=seeds)
def test_broadcast_to_and_back(shapes, seed):
    x = np.random.default_rng(seed).standard_normal(shapes.input_shapes[0])
    t = Tensor(x, requires_grad=True)
    y = F.broadcast_to(t, shapes.result_shape)
    np.testing.assert_array_equal(y.data, np.broadcast_to(x, shapes.result_shape))
    y.backward(np.ones(y.shape))
    np.testing.assert_allclose(t.grad, summed(np.ones(y.shape), x.shape))


def test_sum_to_shape_returns_dy_itself_where_nothing_was_broadcast():
    dy = np.ones((2, 3))
    assert sum_to_shape(dy, (2, 3)) is dy


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_reshape_and_permute_there_and_back(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    x = Tensor(np.arange(np.prod(shape), dtype=float).reshape(shape), requires_grad=True)
    there = x.permute(axes)
    back = there.permute(tuple(np.argsort(axes)))
    np.testing.assert_array_equal(there.data, np.transpose(x.data, axes))
    np.testing.assert_array_equal(back.data, x.data)
    flat = back.reshape(-1).reshape(shape)
    np.testing.assert_array_equal(flat.data, x.data)
    dy = np.random.default_rng(0).standard_normal(shape)
    flat.backward(dy)
    np.testing.assert_array_equal(x.grad, dy)
