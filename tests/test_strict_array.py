"""The strict array refuses what CuPy refuses, and every op runs on it and gives what it gives on NumPy arrays."""

import numpy as np
import pytest

from tests.strict_array import StrictArray
from tinygrad_gpt import array
from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor, apply
from tinygrad_gpt.cases import cases
from tinygrad_gpt.kernels import registry


def strict(x):
    """NumPy arrays in `x` (an array, or a setting that may hold some) as StrictArrays."""
    if isinstance(x, tuple):
        return tuple(strict(part) for part in x)
    return StrictArray(x) if isinstance(x, np.ndarray) else x


def plain(x):
    if isinstance(x, tuple):
        return tuple(plain(part) for part in x)
    assert x is None or isinstance(x, StrictArray), f"{type(x)} where an array of the input's kind is expected"
    return None if x is None else x.get()


REFUSED = {
    "np.asarray": lambda x: np.asarray(x),
    "np.array": lambda x: np.array(x),
    "np.array of a list": lambda x: np.array([x, x]),
    "float of many": float,
    "bool of many": bool,
    "add a NumPy array": lambda x: x + np.ones(3),
    "add to a NumPy array": lambda x: np.ones(3) + x,
    "compare with a NumPy array": lambda x: x < np.ones(3),
    "np.where with a NumPy array": lambda x: np.where(np.ones(3, bool), x, 0.0),
    "np.concatenate with a NumPy array": lambda x: np.concatenate([x, np.ones(3)]),
    "index with a NumPy array": lambda x: x[np.array([0, 1])],
    "assign a NumPy array": lambda x: x.__setitem__(slice(None), np.ones(3)),
    "index a NumPy array": lambda x: np.ones(3)[x > 0],
    "assign to a NumPy array": lambda x: np.ones(3).__setitem__(slice(None), x),
    "iterate over 0-d": lambda x: list(x.sum()),
    "np.matmul": lambda x: np.matmul(x, x),
    "np.max with initial": lambda x: np.max(x, initial=0.0),
    "np.sum with where": lambda x: np.sum(x, where=x > 0),
    "np.add.reduceat": lambda x: np.add.reduceat(x, [0]),
    "a function CuPy may lack": lambda x: np.ediff1d(x),
    "hash": hash,
}


@pytest.mark.parametrize("how", REFUSED)
def test_refuses_what_cupy_refuses(how):
    with pytest.raises((TypeError, IndexError)):
        REFUSED[how](StrictArray(np.arange(1.0, 4.0)))


def test_is_an_array_for_the_package():
    x = StrictArray(np.arange(3.0))
    assert array.is_array(x)
    assert array.is_float(x)
    assert isinstance(array.to_numpy(x), np.ndarray)
    assert isinstance(np.sum(x), StrictArray)
    assert isinstance(x[0], StrictArray)
    assert isinstance(np.zeros_like(x), StrictArray)
    assert isinstance(np.arange(3, like=x), StrictArray)
    assert (np.exp(x) @ x).item() == np.exp(np.arange(3.0)) @ np.arange(3.0)
    x += 1
    np.add.at(x, StrictArray(np.array([0, 0])), StrictArray(np.array([1.0, 2.0])))
    assert x.tolist() == [4.0, 2.0, 3.0]


@np.errstate(divide="ignore", invalid="ignore")  # in cases at the edge of a domain
@pytest.mark.parametrize("op", registry.op_names())
def test_every_op_runs_on_it(op):
    """Values and gradients, straight from the reference pair, are those of NumPy arrays."""
    reference = registry.reference(op)
    rng = np.random.default_rng(1)
    for case in cases(op):
        settings = {name: strict(value) for name, value in case.settings.items()}
        y, saved = reference.forward(*strict(case.arrays), **settings)
        right_y, right_saved = reference.forward(*case.arrays, **case.settings)
        many = isinstance(right_y, tuple)
        dy = tuple(np.asarray(rng.standard_normal(part.shape)) for part in (right_y if many else (right_y,)))
        grads = reference.backward(strict(dy) if many else StrictArray(dy[0]), saved)
        right_grads = reference.backward(dy if many else dy[0], right_saved)
        _same(plain(y), right_y, case.name)
        _same(plain(grads), right_grads, case.name)


def _same(got, right, name):
    if isinstance(right, tuple):
        for g, r in zip(got, right, strict=True):
            _same(g, r, name)
    elif right is None:
        assert got is None, name
    else:
        assert got.dtype == right.dtype, name
        np.testing.assert_allclose(got, right, rtol=1e-12, atol=1e-12, err_msg=name)


@np.errstate(divide="ignore", invalid="ignore")  # in cases at the edge of a domain
@pytest.mark.parametrize("op", registry.op_names())
def test_every_op_runs_on_it_through_the_tape(op):
    """check, choice of a version, Node and accumulation too; no kernel for NumPy arrays claims it."""
    for case in cases(op):
        settings = {name: strict(value) for name, value in case.settings.items()}
        arrays = strict(case.arrays)
        assert registry.choose(op, arrays, settings).name == "reference", case.name
        inputs = [Tensor(a, requires_grad=array.is_float(a)) if array.is_array(a) else a for a in arrays]
        outputs = apply(op, *inputs, **settings)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        outputs[0].backward(np.ones_like(outputs[0].data))
        for x in inputs:
            if isinstance(x, Tensor) and x.requires_grad:
                assert isinstance(x.grad, StrictArray), case.name


def test_routines_run_on_it():
    param, grad, m, v = (StrictArray(np.arange(6.0).reshape(2, 3) + i) for i in range(4))
    settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "grad_scale": 0.5}
    settings |= {"weight_decays": [0.1], "steps": [3]}
    expected = [x.get() for x in (param, grad, m, v)]
    registry.reference("adamw").run(*[[x] for x in expected], **settings)
    registry.run("adamw", [param], [grad], [m], [v], **settings)
    for got, right in zip((param, grad, m, v), expected, strict=True):
        np.testing.assert_array_equal(got.get(), right)
    assert registry.run("sum_squares", grad, grad) == 2 * float(np.sum(expected[1] ** 2))
    classes, log_p = registry.run("likeliest", grad, k=2)
    assert isinstance(log_p, StrictArray) and classes.get().tolist() == [[2, 1], [2, 1]]


def test_an_output_that_nobody_used_may_be_a_number():
    """Its gradient is a 0, in an array without axes, even if that of another output has some."""

    def forward(x, *, sizes, axis=-1):
        return (x + 1, x.sum()), None

    def backward(dys, saved):
        assert dys[1].shape == ()
        return (dys[0] + dys[1],)

    version = registry.register("split", forward, backward)
    try:
        x = Tensor(StrictArray(np.ones(4)), requires_grad=True)
        y, _ = apply("split", x, sizes=(2, 2), axis=0)
        y.backward(np.ones_like(y.data))
    finally:
        registry.unregister(version)
    assert x.grad.shape == (4,)


def test_what_fused_ops_are_made_of_runs_on_it():
    rng = np.random.default_rng(2)
    q, k, v = (Tensor(StrictArray(rng.standard_normal((2, 3, 5, 4))), requires_grad=True) for _ in range(3))
    seen = rng.random((2, 1, 5, 5)) < 0.5
    logits = Tensor(StrictArray(rng.standard_normal((4, 7))), requires_grad=True)
    targets = np.array([1, 2, -100, 4])
    with registry.using(softmax="reference", log_softmax="reference", matmul="reference"):
        for mask in (None, seen, StrictArray(seen), StrictArray(rng.standard_normal((5, 5)))):
            F.attention(q, k, v, mask, causal=True, dropout=0.2).sum().backward()
            assert isinstance(F.attention_weights(q, k, mask).data, StrictArray)
        for ids in (targets, StrictArray(targets)):
            F.cross_entropy(logits, ids, label_smoothing=0.1).backward()
        F.linear(logits, StrictArray(rng.standard_normal((3, 7))), StrictArray(np.ones(3))).sum().backward()
    assert all(isinstance(x.grad, StrictArray) for x in (q, k, v, logits))
