"""Indexing gives what NumPy gives, and each element's gradient is the sum over its copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.sparse_rows import scatter_add

shapes = hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)


def check(shape, index, numpys=lambda x, index: x[index]):
    """numpys  x and the index -> what is to come out"""
    x = np.random.default_rng(0).standard_normal(shape)
    t = Tensor(x, requires_grad=True)
    y = t[index]
    np.testing.assert_array_equal(y.data, numpys(x, index))
    dy = np.random.default_rng(1).standard_normal(y.shape)
    y.backward(dy)
    places = numpys(np.arange(x.size).reshape(shape), index)  # which element of x each element of y is a copy of
    right = np.zeros(x.size)
    np.add.at(right, places.ravel(), dy.ravel())
    np.testing.assert_allclose(t.grad, right.reshape(shape), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_integers_slices_ellipsis_and_new_axes(data):
    shape = data.draw(shapes)
    check(shape, data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_integer_arrays_with_repeats(data):
    shape = data.draw(shapes)
    result = data.draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=6))
    n = data.draw(st.integers(1, len(shape)))
    arrays = [data.draw(hnp.arrays(np.int64, result, elements=st.integers(-size, size - 1))) for size in shape[:n]]
    check(shape, tuple(arrays) if n > 1 else arrays[0])


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_integer_arrays_among_slices(data):
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=4, max_side=4))
    check(shape, tuple([data.draw(st.one_of(st.slices(n), _three(n))) for n in shape]))


def _three(size):
    return hnp.arrays(np.int64, (3,), elements=st.integers(-size, size - 1))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_integers_take_their_axes_out_before_arrays_are_looked_at(data):
    """As in PyTorch: x[0, :, [2, 0]] is x[0][:, [2, 0]], where NumPy's has other axes first."""
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=5, max_side=4))
    parts = [
        data.draw(st.one_of(st.slices(n), _three(n), st.integers(-n, n - 1), st.integers(-n, n - 1).map(np.array)))
        for n in shape
    ]
    numbers = [isinstance(i, int) or getattr(i, "ndim", 1) == 0 for i in parts]
    first = tuple(int(i) if number else slice(None) for i, number in zip(parts, numbers, strict=True))
    then = [i for i, number in zip(parts, numbers, strict=True) if not number]
    check(shape, tuple(parts), lambda x, index: x[first][tuple(then)])


def test_masks_new_axes_and_an_ellipsis_beside_integers_and_arrays():
    x, mask = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5), np.arange(12).reshape(3, 4) % 5 == 0
    np.testing.assert_array_equal(Tensor(x)[0, ..., [2, 0]].data, x[0][..., [2, 0]])
    np.testing.assert_array_equal(Tensor(x)[0, None, :, [2, 0]].data, x[0][None][:, :, [2, 0]])
    np.testing.assert_array_equal(Tensor(x)[..., [1, 0], :, 3].data, x[..., 3][:, [1, 0]])
    np.testing.assert_array_equal(Tensor(x)[-1, ..., x[0, 0, 0] % 2 == 0].data, x[-1][..., [0, 2, 4]])
    np.testing.assert_array_equal(Tensor(x.transpose(0, 3, 1, 2))[0, :, mask].data, x[0][mask].T)
    np.testing.assert_array_equal(Tensor(x)[:, [1], ..., [0], [1]].data, x[:, [1], [0], [1]])  # it stands for no axis
    np.testing.assert_array_equal(Tensor(x)[1, None, [1, 2], 3, [0]].data, x[1][:, 3][None][:, [1, 2], [0]])
    np.testing.assert_array_equal(Tensor(x)[0, :, [], 1:].data, x[0][:, []][..., 1:])


def test_a_list_of_lists_is_refused():
    x = Tensor(np.zeros((2, 3)))
    with pytest.raises(IndexError, match=r"a list of lists is two things, got .*an array of them"):
        x[[[0, 1], [1, 0]]]
    assert x[0, [[0, 1], [1, 0]]].shape == (2, 2)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_boolean_masks(data):
    shape = data.draw(shapes)
    n = data.draw(st.integers(1, len(shape)))
    check(shape, data.draw(hnp.arrays(bool, shape[:n])))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_scatter_add_of_rows_is_add_at(data):
    """The sorted sum that embedding's backward uses, with negative ids, no ids and any integer dtype."""
    rows = data.draw(st.integers(1, 6))
    dtype = data.draw(st.sampled_from([np.int64, np.int32, np.uint8]))
    low = 0 if dtype == np.uint8 else -rows
    index = data.draw(hnp.arrays(dtype, st.integers(0, 12), elements=st.integers(low, rows - 1)))
    values = np.random.default_rng(0).standard_normal((len(index), 3))
    got, right = np.ones((rows, 3)), np.ones((rows, 3))
    scatter_add(got, index, values)
    np.add.at(right, index, values)
    np.testing.assert_allclose(got, right, rtol=1e-12)


def test_ids_of_a_dtype_too_small_for_the_table_s_length():
    for dtype in (np.uint8, np.int8):
        target = np.zeros((300, 2))
        scatter_add(target, np.array([3, 100, 3], dtype), np.ones((3, 2)))
        assert target[3].tolist() == [2, 2] and target[100].tolist() == [1, 1] and target.sum() == 6


def test_tensors_in_an_index():
    x = Tensor(np.arange(12.0).reshape(3, 4), requires_grad=True)
    y = x[Tensor(np.array([0, 0, 2])), 1:]
    np.testing.assert_array_equal(y.data, x.data[[0, 0, 2], 1:])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [[0, 2, 2, 2], [0, 0, 0, 0], [0, 1, 1, 1]])


def test_integer_tensors_can_be_indexed():
    y = F.getitem(np.arange(6), slice(1, 3))
    assert y.dtype == np.int64
    assert y.data.tolist() == [1, 2]


def test_what_is_assigned_to_stands_where_it_is_taken_from():
    x, ids = Tensor(np.zeros((2, 3, 4))), np.array([2, 0])
    x[0, :, ids] = np.arange(6.0).reshape(3, 2)
    assert x.data[0][:, [2, 0]].tolist() == x[0, :, ids].tolist() == [[0, 1], [2, 3], [4, 5]]
    x[1, ..., Tensor(ids)] = 7.0
    assert (x.data[1] == 7).sum() == 6 and (x.data[0] < 7).all()
