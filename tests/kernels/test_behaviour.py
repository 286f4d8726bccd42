"""What kernels promise besides right numbers: the same bits each time, nan stays visible, inputs may be locked."""

import tracemalloc

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.kernels.calls import ATTENTION, CALLS, EXACT, TANH, op_of, outputs_and_gradients, run
from tests.kernels.test_against_reference import kernel, normal
from tinygrad_gpt import functional as F
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.memory import concatenate_views


@pytest.mark.parametrize("name", CALLS)
def test_same_bits_every_time(name):
    first = [a.tobytes() for a in run(name)]
    assert all([a.tobytes() for a in run(name)] == first for _ in range(5))


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [n for n in CALLS if n not in ("dropout", "embedding", "where")])
def test_what_is_not_finite_stays_visible(name, bad):
    arrays, settings = CALLS[name]
    settings = {k: v for k, v in settings.items() if k not in ("dropout", "seed")}
    x = arrays[0].copy()
    x[(0,) * x.ndim] = bad
    op = op_of(name)
    with np.errstate(all="ignore"):
        right, _ = registry.reference(op).forward(x, *arrays[1:], **settings)
    y, _ = kernel(op).forward(x, *arrays[1:], **settings)
    assert not np.isfinite(right).all() or np.isinf(bad)  # of which some functions have a limit
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(right))


@pytest.mark.parametrize("t", [70, 17, 5])
@pytest.mark.parametrize("settings", [{}, {"causal": True}, {"dropout": 0.3, "seed": 3}], ids=["all", "causal", "drop"])
def test_attention_leaves_nothing_of_a_head_to_the_next(t, settings):
    """A thread works on all of its heads in the same memory: the nan of one is not another's."""
    q, k, v, dy = (normal((2, 2, t, 9), np.float32, i) for i in range(4))
    shown = np.ones((2, 1, 1, t), bool)
    shown[1, ..., 3:] = False  # fewer keys after more
    y, saved = kernel("attention").forward(q, k, v, shown, **settings)
    right = [y, *kernel("attention").backward(dy, saved)[:3]]
    for x in (q, k, v, dy):
        x[0] = np.nan
    y, saved = kernel("attention").forward(q, k, v, shown, **settings)
    for got, wanted in zip([y, *kernel("attention").backward(dy, saved)[:3]], right, strict=True):
        assert np.isnan(got[0]).all()
        np.testing.assert_array_equal(got[1], wanted[1])


def test_nan_in_keys_and_values_stays_visible():
    q, k, v = (a.copy() for a in ATTENTION)
    v[0, 0, 3, 2] = np.nan
    assert np.isnan(kernel("attention").forward(q, k, v, causal=True)[0][0, 0, 3:, 2]).all()
    k[0, 0, 3, 2] = np.nan
    y = kernel("attention").forward(q, k, ATTENTION[2], causal=True)[0]
    assert np.isnan(y[0, 0, 3:]).all() and np.isfinite(y[0, 0, :3]).all() and np.isfinite(y[1]).all()


@pytest.mark.parametrize("name", CALLS)
def test_locked_inputs_and_debug_mode(name):
    """Arrays that may not be written to (as debug mode makes them) run the same compiled code."""
    arrays, settings = CALLS[name]
    locked = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arrays)
    for a in locked:
        if isinstance(a, np.ndarray):
            a.flags.writeable = False
    got = outputs_and_gradients(kernel(op_of(name)), locked, settings)
    assert [a.tobytes() for a in got] == [a.tobytes() for a in run(name)]


def test_registry_chooses_the_kernels_for_a_transformer_layer():
    x = normal((4, 8), np.float32)
    for form in (TANH, EXACT):
        assert "numba: runs" in tg.explain("gelu", x, **form)
        assert "numba: runs" in tg.explain("gelu_linear", x, x, **form)
    assert "numba: runs" in tg.explain("layer_norm", x, x[0], x[0])
    for mask in (None, normal((3, 3), np.float32), np.ones((3, 3), bool)):
        assert "numba: runs" in tg.explain("attention", *(normal((1, 2, 3, 4), np.float32),) * 3, mask)


def test_attention_reads_the_fused_qkv_where_it_is_and_joins_heads_without_moving_them():
    qkv = tg.Tensor(normal((2, 5, 3 * 8), np.float32), requires_grad=True)
    heads = [F.transpose(F.reshape(x, (2, 5, 2, 4)), 1, 2) for x in F.chunk(qkv, 3, -1)]
    assert all(np.shares_memory(x.data, qkv.data) for x in heads)
    y = F.attention(*heads, causal=True)
    assert y.node.version.name == "numba"
    joined = F.reshape(F.transpose(y, 1, 2), (2, 5, 8))
    assert np.shares_memory(joined.data, y.data)


@pytest.mark.parametrize("keys", [5, 9])
def test_gradients_that_one_linear_layer_gets_lie_side_by_side(keys):
    """Of q, k and v; where there are more keys, of k and v: to join them moves nothing."""
    q, k, v = (normal((2, 3, t, 4), np.float32, i) for i, t in enumerate((5, keys, keys)))
    attention = kernel("attention")
    y, saved = attention.forward(q, k, v)
    dq, dk, dv, _ = attention.backward(y, saved)
    pieces = [dq, dk, dv] if keys == 5 else [dk, dv]
    joined = concatenate_views(pieces, 1)
    assert joined.shape[1] == 3 * len(pieces) and np.shares_memory(joined, dk) and np.shares_memory(joined, dv)


def allocated(function) -> int:
    """The most bytes that were held at once, while `function` ran, of those that it asked for."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_gradient_of_logits_takes_their_own_memory_where_nobody_else_holds_it():
    x = normal((64, 8), np.float32)
    weight = tg.Tensor(normal((5000, 8), np.float32, 1), requires_grad=True)
    targets = np.arange(64) % 5000

    def gradient(hold):
        weight.grad = None
        logits = F.linear(x, weight)
        held = hold(logits)
        loss = F.cross_entropy(logits, targets)
        del logits
        before = held.numpy().copy() if isinstance(held, tg.Tensor) else None
        most = allocated(loss.backward)
        assert before is None or (held.numpy() == before).all()
        return weight.grad, most

    one_copy = 64 * 5000 * 4
    alone, most = gradient(lambda logits: None)
    assert weight.data.nbytes < most < one_copy
    holders = (
        lambda logits: logits,
        lambda logits: logits.detach(),
        lambda logits: tg.Tensor(logits.data[3]),
        lambda logits: logits.numpy().reshape(-1),
        lambda logits: memoryview(logits.data),
        lambda logits: F.gelu(logits, approximate="tanh"),
    )
    for hold in holders:
        held, most = gradient(hold)
        assert most > one_copy and (held == alone).all()
    with tg.autograd.debug():
        held, most = gradient(lambda logits: None)
        assert most > one_copy and (held == alone).all()


def test_logits_that_are_held_stay_as_they_are():
    logits, targets = normal((64, 50), np.float32), np.arange(64) % 50
    kept = logits.copy()
    _, saved = kernel("cross_entropy").forward(logits, targets)
    once, _ = kernel("cross_entropy").backward(np.float32(1), saved)
    again, _ = kernel("cross_entropy").backward(np.float32(1), saved)
    assert (logits == kept).all() and (once == again).all()


@pytest.mark.parametrize("form", [TANH, EXACT])
def test_a_feed_forward_keeps_one_array_of_its_width_and_backward_needs_one_more(form):
    start, dy = normal((256, 8), np.float32), normal((256, 8), np.float32, 9)
    up = tg.Tensor(normal((5000, 8), np.float32, 1), requires_grad=True)
    down = tg.Tensor(normal((8, 5000), np.float32, 2), requires_grad=True)
    one_copy = 256 * 5000 * 4

    def gradients(hold):
        up.grad = down.grad = None
        made = []

        def forward():
            x = F.linear(start, up)
            made.extend((hold(x), F.gelu_linear(x, down, **form)))

        assert allocated(forward) < 2.5 * one_copy  # x and, until it is multiplied, gelu(x)
        held, y = made
        before = None if held is None else held.numpy().copy()
        most = allocated(lambda: y.backward(dy))
        assert held is None or (held.numpy() == before).all()
        return up.grad, down.grad, most

    *alone, most = gradients(lambda x: None)
    *shared, most_shared = gradients(lambda x: x)
    assert most < 1.5 * one_copy < 2 * one_copy < most_shared
    assert all((a == b).all() for a, b in zip(alone, shared, strict=True))


def test_a_table_that_has_a_gradient_gets_the_rows_added_without_a_second_table():
    table = tg.Tensor(normal((5000, 64), np.float32), requires_grad=True)
    ids = np.array([[3, 4999, 3], [0, 7, 3]])
    upstream = normal((2, 3, 64), np.float32, 5)
    F.embedding(ids, table).backward(upstream)
    rows_alone = table.grad.copy()
    before = normal((5000, 64), np.float32, 6)
    table.grad = before.copy()
    looked_up = F.embedding(ids, table)
    assert allocated(lambda: looked_up.backward(upstream)) < table.data.nbytes / 10
    np.testing.assert_allclose(table.grad, before + rows_alone, rtol=1e-5)
    assert rows_alone[3].any() and not rows_alone[1].any()
    for step in F.embedding(ids, table).backward_steps(upstream):
        assert (step.grads[1] == rows_alone).all()
    # twice in one graph, and not a leaf
    other = tg.Tensor(table.data, requires_grad=True)
    doubled = other * 2.0
    both = F.embedding(ids, doubled) + F.embedding(ids, other)
    both.backward(upstream)
    np.testing.assert_allclose(other.grad, 3 * rows_alone, rtol=1e-6)


def test_a_number_of_threads_that_was_set_stays_when_more_kernels_load():
    import numba

    from tinygrad_gpt.kernels.numba.machine import threads

    threads.start()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        threads.start()  # as every kernel does
        assert numba.get_num_threads() == 1
    finally:
        numba.set_num_threads(before)


def test_another_byte_order_is_refused_and_leaves_the_kernel_as_it_was():
    """Numba tells arrays in a tuple apart by all but that: it took swapped numbers, or refused right ones."""
    x, weight = normal((3, 5), np.float64), normal((4, 5), np.float64, 1)
    weight.flags.writeable = False
    swapped = weight.astype(">f8")
    swapped.flags.writeable = False
    for _ in range(2):
        with pytest.raises(TypeError, match="byte order"):
            kernel("linear").forward(x, swapped)
        np.testing.assert_allclose(kernel("linear").forward(x, weight)[0], x @ weight.T)
    for dtype in (np.int32, np.float16, ">f8"):
        with pytest.raises(TypeError):
            kernel("gelu").forward(x.astype(dtype), **TANH)
