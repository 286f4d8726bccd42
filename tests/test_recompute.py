"""Recomputation: the same numbers as without it, in less memory."""

import gc
import tracemalloc
import weakref
from functools import partial

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.nn import Block, Embedding, Linear
from tinygrad_gpt.nn.module import Parameter
from tinygrad_gpt.precision import matmul_precision
from tinygrad_gpt.recompute import recompute


def plainly(function, *inputs):
    return function(*inputs)


def blocks(count=3, c=8, dropout=0.0, **settings):
    tg.manual_seed(3)
    return [Block(c, 2, causal=True, dropout=dropout, **settings) for _ in range(count)]


def through(layers, x, how):
    """(loss, gradient of x, gradients of all parameters) of the layers, each called by `how`."""
    tg.manual_seed(5)
    x = tg.Tensor(x, requires_grad=True)
    y = x
    for layer in layers:
        y = how(layer, y)
    weights = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    loss = (y * weights).sum()
    loss.backward()
    grads = [p.grad for layer in layers for p in layer.parameters()]
    for layer in layers:
        for p in layer.parameters():
            p.grad = None
    return loss.data, x.grad, grads, random_stream.random_state()


def assert_same(a, b):
    for one, other in zip(a[:2], b[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(a[2], b[2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert a[3] == b[3], "another number of random numbers was drawn"


X = np.random.default_rng(0).standard_normal((2, 5, 8)).astype(np.float32)  # (B, T, C)


@pytest.mark.parametrize("version", ["reference", None])
@pytest.mark.parametrize("settings", [{}, {"dropout": 0.4}, {"norm": "post", "bias": False}])
def test_loss_and_gradients_are_the_same_bit_for_bit(version, settings):
    layers = blocks(**settings)
    with tg.using(version):
        expected = through(layers, X, plainly)
        assert_same(through(layers, X, recompute), expected)
    assert all(g is not None for g in expected[2])


def test_one_inside_another():
    layers = blocks(dropout=0.3)

    def two(x):
        return recompute(layers[1], recompute(layers[0], x))

    def how(layer, x):
        return {layers[0]: lambda: x, layers[1]: lambda: recompute(two, x)}.get(layer, lambda: recompute(layer, x))()

    assert_same(through(layers, X, how), through(layers, X, plainly))


def test_parameters_that_are_used_inside_and_outside():
    """The token embedding is the head, too: its gradient is the sum of both."""
    tg.manual_seed(0)
    table = Embedding(7, 4)
    head = Linear(4, 7, bias=False, weight=table.weight)
    grads = []
    for how in (plainly, recompute):
        ids = np.array([[1, 2, 1]])
        how(head, how(lambda ids: table(ids) * 2.0, ids)).sum().backward()
        grads.append(table.weight.grad)
        table.weight.grad = None
    np.testing.assert_array_equal(*grads)


def test_several_inputs_one_of_them_twice_and_some_without_gradients():
    def function(a, b, factor, c, nothing):
        assert nothing is None and isinstance(factor, float)
        return a * b * factor + c

    draw = np.random.default_rng(2)
    a, c = (tg.Tensor(draw.standard_normal((2, 3)), requires_grad=True) for _ in range(2))
    fixed = tg.Tensor(draw.standard_normal((2, 3)))
    for x in (a, fixed):
        grads = []
        for how in (plainly, recompute):
            a.grad = c.grad = None
            how(function, a * 2.0, x, 1.5, c, None).sum().backward()
            grads.append((a.grad, c.grad))
        np.testing.assert_array_equal(grads[0], grads[1])
    assert fixed.grad is None


def test_gradients_of_parameters_add_up_over_several_backwards():
    layer = blocks(1)[0]
    sums = []
    for how in (plainly, recompute):
        for scale in (1.0, 3.0):
            how(layer, tg.Tensor(X * np.float32(scale))).sum().backward()  # the input wants no gradient
        sums.append([p.grad for p in layer.parameters()])
        for p in layer.parameters():
            p.grad = None
    for a, b in zip(*sums, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_walk_step_by_step():
    layer = blocks(1)[0]
    x = tg.Tensor(X, requires_grad=True)
    steps = list(recompute(layer, x).sum().backward_steps())
    assert [step.op for step in steps] == ["sum", "recompute"]
    assert steps[1].inputs == (x,) and steps[1].grads[0].shape == X.shape
    np.testing.assert_array_equal(steps[1].grads[0], x.grad)
    assert layer.attention.out.weight.grad is not None


def test_retain_grad_between_two():
    first, second = blocks(2)
    grads = []
    for how in (plainly, recompute):
        middle = how(first, tg.Tensor(X, requires_grad=True)).retain_grad()
        how(second, middle).sum().backward()
        grads.append(middle.grad)
    np.testing.assert_array_equal(*grads)


def test_nothing_to_train_leaves_no_graph():
    layer = blocks(1)[0]
    with tg.no_grad():
        assert recompute(layer, tg.Tensor(X, requires_grad=True)).node is None
    assert recompute(lambda x: x * 2.0, tg.Tensor(X)).requires_grad is False


def test_the_second_run_is_in_the_conditions_of_the_first():
    """The graph goes back the way it came, though backward is called elsewhere."""
    seen = []

    def function(x):
        seen.append((matmul_precision(), tg.explain("layer_norm", x, None, None)))
        return x * 2.0

    with tg.using("reference"), tg.using_matmul_precision("bfloat16"):
        y = recompute(function, tg.Tensor(X, requires_grad=True))
    with tg.no_grad():
        y.backward(np.ones_like(y.data))
    assert seen[0] == seen[1] and seen[0][0] == "bfloat16" and "reference: runs" in seen[0][1]
    assert matmul_precision() == "float32"


def test_debug_protects_the_input():
    layer = blocks(1)[0]
    x = tg.Tensor(X.copy(), requires_grad=True)
    with tg.debug():
        y = recompute(layer, x)
        with pytest.raises(ValueError, match="read-only"):
            x.data *= 2
    y.backward(np.ones_like(y.data))
    x.data *= 2


def test_a_second_backward_is_an_error():
    y = recompute(blocks(1)[0], tg.Tensor(X, requires_grad=True)).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"the graph through (sum|recompute) has been freed"):
        y.backward()


def test_a_function_that_returns_something_else():
    with pytest.raises(TypeError, match="recompute: expected a function that returns one Tensor, got tuple"):
        recompute(lambda x: (x, x), tg.Tensor(X))


def test_a_function_that_changes_its_mind():
    """An error rather than a wrong gradient; and the random numbers go on where they were."""
    shapes = iter([lambda x: x, lambda x: x[0]])
    y = recompute(lambda x: next(shapes)(x) * 2.0, tg.Tensor(X, requires_grad=True))
    state = random_stream.random_state()
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(5, 8\), got \(2, 5, 8\)"):
        y.backward(np.ones_like(y.data))
    assert random_stream.random_state() == state


def test_a_gpt_that_recomputes_its_blocks():
    tg.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, block_size=6, n_layer=3, n_head=2, n_embd=8, dropout=0.3))
    ids = np.random.default_rng(0).integers(0, 11, (2, 7))
    results = []
    for model.recompute in (False, True):
        tg.manual_seed(9)
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        steps = [step.op for step in loss.backward_steps()]
        assert steps.count("recompute") == 3 * model.recompute
        results.append([loss.data] + [p.grad for p in model.parameters()])
        for p in model.parameters():
            p.grad = None
    for plain, lean in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, lean)


def test_a_gpt_that_recomputes_its_blocks_generates_as_ever():
    model = GPT(GPTConfig(vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=8)).eval()
    model.recompute = True
    ids = np.array([[1, 2, 3, 4]])
    cache = model.new_cache()
    with tg.no_grad():
        model.next_logits(ids[:, :3], cache)
        with_cache = model.next_logits(ids[:, 3:], cache).data
        np.testing.assert_allclose(with_cache, model.next_logits(ids).data, rtol=1e-5, atol=1e-6)


# --- memory ----------------------------------------------------------------------------------------------------------


def test_what_the_forward_saved_is_freed_at_once():
    gc.disable()  # reference counting alone
    try:
        watched = []

        def function(x):
            y = F.exp(x)
            watched.extend([weakref.ref(y.node), weakref.ref(y.data)])
            return y * y

        y = recompute(function, tg.Tensor(X, requires_grad=True))
        assert [w() for w in watched] == [None, None]
        y.backward(np.ones_like(y.data))
        assert [w() for w in watched] == [None] * 4
    finally:
        gc.enable()


def test_memory_grows_by_one_input_a_layer():
    """16 layers: their insides would be some 15 arrays of x's size each."""
    count, c = 16, 16
    layers = blocks(count, c)
    x = np.random.default_rng(0).standard_normal((8, 64, c)).astype(np.float32)

    def peak(how) -> float:
        through(layers, x, how)  # loads and compiles
        tracemalloc.start()
        try:
            through(layers, x, how)
            return tracemalloc.get_traced_memory()[1] / x.nbytes
        finally:
            tracemalloc.stop()

    plain, lean = peak(plainly), peak(recompute)
    assert plain > 8 * count
    assert lean < plain / 4 and lean < count + 50


def test_functions_of_a_loop_are_bound_when_they_are_made():
    """What the docstrings of models rely on: partial, where a lambda would see the loop's last layer."""
    scales = [Parameter(np.array(float(n))) for n in (2, 3)]
    x = tg.Tensor(np.array(1.0), requires_grad=True)
    y = x
    for scale in scales:
        y = recompute(partial(lambda s, x: x * s, scale), y)
    y.backward()
    assert x.grad == 6.0 and [s.grad for s in scales] == [3.0, 2.0]
