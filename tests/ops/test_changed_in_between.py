"""What an op was given may be written to, or given another shape, before its backward runs.

Ids, targets, masks and indices are copied: the gradient is that of the value that was computed. Arrays of floats are
not, which would double the memory of a model; a change of their shape is an error, as is a gradient that doesn't fit.
"""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.optim import SGD, AdamW
from tinygrad_gpt.recompute import recompute
from tinygrad_gpt.sparse_rows import SparseRows, scatter_add

VERSIONS = pytest.mark.parametrize("version", ["reference", "numba"])
DTYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">i4", ">i8", ">u2", ">u4", ">u8"]


def leaf(*shape, dtype=np.float32, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=True)


def gradient(run, x: Tensor, meddle=lambda: None) -> np.ndarray:
    """x's gradient, where `meddle()` happens between forward and backward."""
    x.grad = None
    y = run()
    meddle()
    y.backward(np.random.default_rng(9).standard_normal(y.shape).astype(y.dtype))
    return x.grad


def writing(index, value):
    def write():
        index[...] = value

    return write


def ids_of(dtype):
    return np.array([0, 2, 2, 4], dtype)


CHANGES = {
    "getitem, an array": lambda x: (i := ids_of(int), lambda: x[i], writing(i, 1)),
    "getitem, a list": lambda x: (i := [0, 2, 2], lambda: x[i], lambda: i.__setitem__(slice(None), [1, 1, 1])),
    "getitem, a list in a tuple": lambda x: (i := [0, 2], lambda: x[i, 1], lambda: i.append(1)),
    "getitem, lists in a list": lambda x: (i := [[0], [2]], lambda: x[i, 1], lambda: i[0].__setitem__(0, 1)),
    "getitem, an array in a tuple": lambda x: (i := ids_of(int), lambda: x[:, np.newaxis][i, :, i % 3], writing(i, 1)),
    "getitem, booleans": lambda x: (i := np.array([True, False, True, False, False]), lambda: x[i], writing(i, False)),
    "getitem, ends of a slice": lambda x: (i := np.array(1), lambda: x[i:4], writing(i, 0)),
    "getitem, a Tensor": lambda x: (i := Tensor(ids_of(int)), lambda: x[i], writing(i.data, 1)),
    "gather": lambda x: (i := np.array([[2, 0], [2, 2]]), lambda: F.gather(x, 1, i), writing(i, 1)),
    "shift_rows": lambda x: (i := np.array([1, 0, 2, 1, 0]), lambda: F.shift_rows(x, i, 2), writing(i, 1)),
    "where": lambda x: (i := np.arange(15).reshape(5, 3) % 2 == 0, lambda: F.where(i, x, x * 3.0), writing(i, False)),
    **{
        f"embedding, {dtype}": lambda x, dtype=dtype: (
            i := ids_of(dtype), lambda: F.embedding(i, x), writing(i, np.iinfo(dtype).max)
        )
        for dtype in DTYPES
    },
    "cross_entropy": lambda x: (i := np.array([0, 2, 2, 1, 0]), lambda: F.cross_entropy(x, i), writing(i, 10**9)),
    "cross_entropy, ignored": lambda x: (
        i := np.array([0, 2, 2, 1, 0], np.uint8), lambda: F.cross_entropy(x, i, ignore_index=0), writing(i, 0)
    ),
    "recompute": lambda x: (i := ids_of(int), lambda: recompute(lambda x, i: F.embedding(i, x), x, i), writing(i, 1)),
}  # fmt: skip


@VERSIONS
@pytest.mark.parametrize("in_debug", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_ids_and_masks_that_change_do_not_change_the_gradient(name, in_debug, version):
    with tg.using(version):
        x = leaf(5, 3)
        _, run, _ = CHANGES[name](x)
        right = gradient(run, x)
        _, run, meddle = CHANGES[name](x)
        if in_debug:
            with tg.debug():
                got = gradient(run, x, meddle)
        else:
            got = gradient(run, x, meddle)
    np.testing.assert_array_equal(got, right)
    assert right.any()


@VERSIONS
@pytest.mark.parametrize("tq", [1, 3])
def test_a_mask_that_changes_does_not_change_the_gradient(tq, version):
    q, k = leaf(1, 2, tq, 4), leaf(1, 2, 5, 4, seed=1)
    mask = np.ones((tq, 5), bool)
    mask[:, 2] = False
    with tg.using(version):
        right = gradient(lambda: F.attention(q, k, k, mask.copy()), q)
        got = gradient(lambda: F.attention(q, k, k, mask), q, writing(mask, False))
    np.testing.assert_array_equal(got, right)


def test_a_list_that_was_an_index():
    """The case as it was met."""
    x, i = Tensor(np.zeros(3, np.float32), requires_grad=True), [0, 0]
    y = x[i]
    i[:] = [2, 2]
    y.sum().backward()
    assert x.grad.tolist() == [2, 0, 0]


# --- ids of every dtype ------------------------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize("ignore_index", [0, 1, 255, -1, -100, 300, 2**40, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_targets_of_every_dtype_with_ignored_rows(dtype, ignore_index, version):
    logits, targets = leaf(4, 3), np.array([0, 1, 2, 1], dtype)
    limits = np.iinfo(dtype)
    if limits.min <= ignore_index <= limits.max:
        targets[2] = ignore_index
    counts = [int(t) != ignore_index for t in targets]
    rows = [(i, int(t)) for i, (t, counted) in enumerate(zip(targets, counts, strict=True)) if counted]
    shares = np.exp(logits.data) / np.exp(logits.data).sum(axis=1, keepdims=True)
    right = np.zeros((4, 3))
    for i, t in rows:
        right[i] = shares[i]
        right[i, t] -= 1
    for reduction, divisor in (("mean", len(rows)), ("sum", 1)):
        with tg.using(version):
            logits.grad = None
            loss = F.cross_entropy(logits, targets, ignore_index=ignore_index, reduction=reduction)
            loss.backward()
        assert loss.item() == pytest.approx(-sum(np.log(shares[i, t]) for i, t in rows) / divisor, rel=1e-5)
        np.testing.assert_allclose(logits.grad, right / divisor, atol=1e-6)


@VERSIONS
@pytest.mark.parametrize("bad", [2**64 - 1, 2**64 - 100, 2**63, 3])
def test_targets_that_are_none(bad, version):
    targets = np.array([0, bad], np.uint64)
    with tg.using(version), pytest.raises(IndexError, match=f"got {bad} at position"):
        F.cross_entropy(leaf(2, 3), targets)
    with tg.using(version), pytest.raises(IndexError, match=f"got {bad} at position"):
        F.embedding(targets, leaf(3, 2))


@pytest.mark.parametrize("ignore_index", [2**63, -(2**63) - 1, 0.5, None, "0"])
def test_an_ignore_index_that_is_none(ignore_index):
    with pytest.raises((TypeError, ValueError), match=r"expected an integer .*as ignore_index"):
        F.cross_entropy(leaf(2, 3), np.array([0, 1]), ignore_index=ignore_index)


@VERSIONS
def test_booleans_are_no_ids(version):
    for run in (lambda i: F.embedding(i, leaf(3, 2)), lambda i: F.cross_entropy(leaf(2, 3), i)):
        with tg.using(version), pytest.raises(TypeError, match="expected integer"):
            run(np.array([True, False]))


@pytest.mark.parametrize("dtype", ["i1", "i8", "u1", "u8", ">i4"])
def test_scatter_add_refuses_what_is_out_of_range(dtype):
    """It would wrap round otherwise, to a row that was not meant."""
    limits = np.iinfo(dtype)
    for bad in (5, limits.max, *((-6, limits.min) if limits.min else ())):
        target = np.zeros((5, 2))
        with pytest.raises(IndexError):
            scatter_add(target, np.array([0, bad], dtype), np.ones((2, 2)))
        assert not target.any()
    with pytest.raises(IndexError):
        scatter_add(np.zeros((0, 2)), np.array([0], dtype), np.ones((1, 2)))
    with pytest.raises((IndexError, ValueError)):
        scatter_add(np.zeros((5, 2)), np.array([0], dtype), np.ones((2, 2)))
    with pytest.raises(IndexError):
        scatter_add(np.zeros((5, 2)), np.array([0.0]), np.ones((1, 2)))


# --- gradients and tables that don't fit -------------------------------------------------------------------------


@VERSIONS
@pytest.mark.parametrize(
    "there", [np.ones((4, 2)), np.ones((4, 3), np.float32), np.ones((9, 3)), np.ones((1, 3)), np.ones(3), [1.0]]
)
def test_a_gradient_of_another_shape_or_dtype_is_an_error(there, version):
    """NumPy would broadcast one to the other, and the kernel of embedding would add rows beside the table."""
    x = leaf(4, 3, dtype=np.float64)
    for run in (lambda: F.embedding(np.array([3, 0]), x), lambda: F.linear(np.ones((2, 3)), x), lambda: x.sum(axis=0)):
        x.grad = there
        with tg.using(version), pytest.raises(ValueError, match=r"expected .grad to be None or float64\(4, 3\)"):
            y = run()
            y.backward(np.ones_like(y.data))
        assert x.grad is there and np.all(np.asarray(there) == 1)


@VERSIONS
def test_a_table_that_was_enlarged_while_an_old_gradient_is_there(version):
    table = leaf(4, 3)
    with tg.using(version):
        F.embedding(np.array([1]), table).sum().backward()
        table.data = np.zeros((1000, 3), np.float32)
        with pytest.raises(ValueError, match=r"\(1000, 3\) like the data, found float32\(4, 3\): call zero_grad"):
            F.embedding(np.array([999]), table).sum().backward()
        table.grad = None
        F.embedding(np.array([999]), table).sum().backward()
    assert table.grad[999].tolist() == [1, 1, 1] and table.grad.sum() == 3


@VERSIONS
def test_a_table_that_shrinks_between_forward_and_backward(version):
    table = leaf(9, 3)
    with tg.using(version):
        y = F.embedding(np.array([8]), table).sum()
        table.data = table.data[:2]
        table.grad = np.zeros((2, 3), np.float32)
        with pytest.raises(ValueError, match=r"should be float32\(2, 3\)"):
            y.backward()
    assert not table.grad.any()


@pytest.mark.parametrize("layout", ["locked", "strided", "unaligned"])
def test_a_gradient_in_an_odd_place_of_memory(layout):
    table = leaf(5, 3)
    if layout == "unaligned":
        table.grad = np.frombuffer(bytearray(61), np.float32, 15, 1).reshape(5, 3)
    else:
        table.grad = np.zeros((5, 6), np.float32)[:, ::2] if layout == "strided" else np.zeros((5, 3), np.float32)
        table.grad.flags.writeable = layout != "locked"
    y = F.embedding(np.array([1, 4, 1]), table).sum()
    if layout == "locked":
        with pytest.raises(ValueError, match="read-only"):
            y.backward()
    else:
        y.backward()
    assert table.grad.sum(axis=1).tolist() == ([0] * 5 if layout == "locked" else [0, 6, 0, 0, 3])


def test_rows_are_added_only_to_what_is_like_them():
    rows = SparseRows(np.array([1, 1]), np.ones((2, 3)), 4)
    for wrong in (np.zeros((4, 2)), np.zeros((2, 3)), np.zeros((4, 3), np.float32), np.zeros((5, 3))):
        with pytest.raises(ValueError, match=r"expected float64\(4, 3\) to add rows to, got"):
            rows.add_to(wrong)
    assert rows.dense()[1].tolist() == [2, 2, 2]


SHAPES = {
    "layer_norm": lambda x: F.layer_norm(x, 6, np.ones(6, np.float32)),
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "gelu exact": lambda x: F.gelu(x, approximate="none"),
    "linear": lambda x: F.linear(x, np.ones((4, 6), np.float32)),
    "gelu_linear": lambda x: F.gelu_linear(x, np.ones((4, 6), np.float32), approximate="tanh"),
    "gelu_linear exact": lambda x: F.gelu_linear(x, np.ones((4, 6), np.float32), approximate="none"),
    "cross_entropy": lambda x: F.cross_entropy(x, np.array([0, 1, 2, 3])),
    "attention": lambda x: F.attention(*[F.reshape(x, (1, 2, 3, 4))] * 3),
}


@pytest.mark.parametrize("change", [(6, 4), (3, 8), (24,)])
@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_that_changes_in_place_is_an_error(name, change):
    x = Tensor(np.arange(24, dtype=np.float32).reshape(4, 6), requires_grad=True)
    y = SHAPES[name](x)
    x.data.shape = change
    with pytest.raises((ValueError, TypeError)):
        y.sum().backward()


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "attention"])
def test_an_array_that_is_resized_in_place_is_an_error(name):
    for shape in ((400, 6), (2, 6), (4, 600), (4, 3), (0, 6)):
        x = Tensor(np.ones((4, 6), np.float32), requires_grad=True)
        y = SHAPES[name](x).sum()
        x.data.resize(shape, refcheck=False)
        with pytest.raises((ValueError, TypeError)):
            y.backward()


def test_keys_and_values_that_grow_in_place_are_an_error():
    """With them the mask, which the kernel reads for every key, would be too short."""
    q, k, v = (Tensor(np.ones((1, 1, 3, 4), np.float32), requires_grad=True) for _ in range(3))
    y = apply("attention", q, k, v, np.ones((3, 3), bool)).sum()
    for x in (k, v):
        x.data.resize((1, 1, 3000, 4), refcheck=False)
    with pytest.raises(ValueError, match="attention"):
        y.backward()


# --- optimisers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda p: AdamW([("w", p)]), lambda p: SGD([("w", p)], 0.1, momentum=0.9)])
def test_data_that_were_replaced_are_an_error_of_the_optimiser(make):
    p = leaf(4, 3)
    optimizer = make(p)
    p.grad = np.ones((4, 3), np.float32)
    p.data = np.ones((8, 3), np.float32)
    with pytest.raises(ValueError, match=r"a gradient of float32\(8, 3\) like the parameter w, got .*\(4, 3\)"):
        optimizer.step()
    p.grad = np.ones((8, 3), np.float32)
    with pytest.raises(ValueError, match=r"running mean .* float32\(8, 3\) .*\(4, 3\) in .*: make a new optimiser"):
        optimizer.step()
    p.data, p.grad = np.ones((4, 3)), np.ones((4, 3))
    with pytest.raises(ValueError, match=r"of float64\(4, 3\)"):
        optimizer.step()
    assert (p.data == 1).all() and optimizer.steps == {"w": 0}
