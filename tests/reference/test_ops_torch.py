"""Every op that PyTorch has too: the same values and gradients in float64, for the same upstream gradient."""

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor

torch = pytest.importorskip("torch")
TF = torch.nn.functional

pytestmark = pytest.mark.reference


def agree(ours, theirs, *arrays, seed=0):
    """Run both on the same float64 arrays and compare outputs and every gradient."""
    dy = None
    results = []
    for function, make in (
        (ours, lambda a: Tensor(a.copy(), requires_grad=True)),
        (theirs, lambda a: torch.tensor(a, requires_grad=True)),
    ):
        inputs = [make(a) for a in arrays]
        y = function(*inputs)
        if dy is None:
            dy = np.random.default_rng(seed).standard_normal(y.shape)
        y.backward(dy if isinstance(y, Tensor) else torch.tensor(dy))
        value = y.data if isinstance(y, Tensor) else y.detach().numpy()
        results.append([value, *(np.asarray(x.grad) for x in inputs)])
    for got, right in zip(*results, strict=True):
        assert got.shape == right.shape
        np.testing.assert_allclose(got, right, rtol=1e-11, atol=1e-12)


def normal(*shape, seed=1):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def positive(*shape):
    return np.random.default_rng(shape).uniform(0.2, 3, shape)


SHAPES = [(), (7,), (3, 5), (2, 3, 5), (1, 4, 1), (0, 3)]
PAIRS = [((3, 5), (3, 5)), ((2, 3, 5), (5,)), ((2, 1, 5), (3, 1)), ((), (4,)), ((0, 3), (1, 3))]

UNARY = {
    "neg": (F.neg, torch.neg),
    "exp": (F.exp, torch.exp),
    "tanh": (F.tanh, torch.tanh),
    "sigmoid": (F.sigmoid, torch.sigmoid),
    "silu": (F.silu, torch.nn.functional.silu),
    "relu": (F.relu, torch.relu),
    "abs": (F.abs, torch.abs),
    "square": (lambda x: x**2, lambda x: x**2),
    "cube": (lambda x: x**3, lambda x: x**3),
    "2 ** x": (lambda x: 2**x, lambda x: 2**x),
    "1 / x": (lambda x: 1 / x, lambda x: 1 / x),
    "gelu, tanh": (lambda x: F.gelu(x, approximate="tanh"), lambda x: TF.gelu(x, approximate="tanh")),
    "gelu, exact": (F.gelu, TF.gelu),
    "sum": (F.sum, torch.sum),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, shape):
    agree(*UNARY[name], 2 * normal(*shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_unary_of_positive_numbers(shape):
    agree(F.log, torch.log, positive(*shape))
    agree(F.sqrt, torch.sqrt, positive(*shape))
    agree(lambda x: x**-1.3, lambda x: x**-1.3, positive(*shape))


@pytest.mark.parametrize("shapes", PAIRS, ids=str)
def test_binary(shapes):
    a, b = normal(*shapes[0]), normal(*shapes[1], seed=2)
    agree(F.add, torch.add, a, b)
    agree(F.sub, torch.sub, a, b)
    agree(F.mul, torch.mul, a, b)
    agree(F.div, torch.div, a, b)
    agree(F.maximum, torch.maximum, a, b)
    condition = np.random.default_rng(0).random(np.broadcast_shapes(*shapes)) < 0.5
    agree(lambda a, b: F.where(condition, a, b), lambda a, b: torch.where(torch.tensor(condition), a, b), a, b)


def test_a_tie_of_maximum_is_shared_as_in_pytorch():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    agree(F.maximum, torch.maximum, a, b)
    agree(F.max, torch.amax, np.array([2.0, 1.0, 2.0]))


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (1, -1), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(axis, keepdims):
    x = normal(2, 3, 5)
    ours, theirs = {"axis": axis, "keepdims": keepdims}, {"dim": axis, "keepdim": keepdims}
    agree(lambda x: F.sum(x, **ours), lambda x: torch.sum(x, **theirs), x)
    agree(lambda x: F.mean(x, **ours), lambda x: torch.mean(x, **theirs), x)
    agree(lambda x: F.max(x, **ours), lambda x: torch.amax(x, **theirs), x)
    for correction in (0, 1):
        agree(
            lambda x, c=correction: F.var(x, correction=c, **ours),
            lambda x, c=correction: torch.var(x, correction=c, **theirs),
            x,
        )


def test_shapes():
    x = normal(2, 3, 5)
    agree(lambda x: x.reshape(6, -1), lambda x: x.reshape(6, -1), x)
    agree(lambda x: x.permute(2, 0, 1), lambda x: x.permute(2, 0, 1), x)
    agree(lambda x: x.swapaxes(0, 2), lambda x: x.swapaxes(0, 2), x)
    agree(lambda x: x.broadcast_to((4, 2, 3, 5)), lambda x: x.broadcast_to((4, 2, 3, 5)), x)
    agree(lambda a, b: F.concatenate([a, b], 1), lambda a, b: torch.cat([a, b], 1), x, normal(2, 4, 5))
    agree(lambda x: F.split(x, (1, 3, 1), dim=-1)[1], lambda x: torch.split(x, (1, 3, 1), dim=-1)[1], x)


@pytest.mark.parametrize(
    "index",
    [
        0,
        slice(1, None),
        (slice(None), 2),
        (..., None, 1),
        [1, 1, 0],
        ([0, 1, 0], slice(None), [2, 2, 2]),
        ([1, 1], [0, 0]),
    ],
    ids=str,
)
def test_getitem(index):
    agree(lambda x: x[index], lambda x: x[index], normal(2, 3, 5))


@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (3, 5)), ((4, 2, 3), (3, 5)), ((4, 1, 2, 3), (5, 3, 2)), ((3,), (3, 5)), ((4, 2, 3), (3,)), ((3,), (3,))],
    ids=str,
)
def test_matmul(shapes):
    agree(F.matmul, torch.matmul, normal(*shapes[0]), normal(*shapes[1], seed=2))


@pytest.mark.parametrize("shape", [(5,), (7, 5), (2, 3, 5), (0, 5)], ids=str)
def test_linear(shape):
    agree(F.linear, TF.linear, normal(*shape), normal(4, 5), normal(4))
    agree(F.linear, TF.linear, normal(*shape), normal(4, 5))


@pytest.mark.parametrize("approximate", ["tanh", "none"])
def test_gelu_linear(approximate):
    def theirs(x, *parameters):
        return TF.linear(TF.gelu(x, approximate=approximate), *parameters)

    for parameters in ((normal(4, 5), normal(4)), (normal(4, 5),)):
        agree(lambda *a: F.gelu_linear(*a, approximate=approximate), theirs, normal(2, 3, 5), *parameters)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_linear_cross_entropy(reduction, label_smoothing):
    targets = np.array([1, -100, 3, 0, 0, -100, 2])
    settings = {"reduction": reduction, "label_smoothing": label_smoothing}

    def ours(x, weight, bias=None):
        return F.linear_cross_entropy(x, weight, targets, linear_bias=bias, **settings)

    def theirs(x, weight, bias=None):
        return TF.cross_entropy(TF.linear(x, weight, bias), torch.tensor(targets), **settings)

    agree(ours, theirs, normal(7, 5), normal(4, 5, seed=2), normal(4))
    agree(ours, theirs, normal(7, 5), normal(4, 5, seed=2))


@pytest.mark.parametrize("ids", [[1, 1, 4], [[0, 3], [3, 3]], 2], ids=str)
def test_embedding(ids):
    ids = np.array(ids)
    agree(lambda w: F.embedding(ids, w), lambda w: TF.embedding(torch.tensor(ids), w), normal(5, 3))


@pytest.mark.parametrize("shape", [(5,), (7, 5), (2, 3, 5)], ids=str)
def test_layer_norm(shape):
    x, weight, bias = normal(*shape), normal(5, seed=2), normal(5, seed=3)
    agree(lambda x, w, b: F.layer_norm(x, (5,), w, b), lambda x, w, b: TF.layer_norm(x, (5,), w, b), x, weight, bias)
    agree(lambda x, w: F.layer_norm(x, (5,), w), lambda x, w: TF.layer_norm(x, (5,), w), x, weight)
    agree(lambda x, w: F.layer_norm(x, 5, w, eps=0.1), lambda x, w: TF.layer_norm(x, (5,), w, eps=0.1), x, weight)


def test_add_layer_norm():
    def ours(x, residual, *parameters):
        s, y = F.add_layer_norm(x, residual, *parameters)
        return s * 0.7 + y

    def theirs(x, residual, *parameters):
        s = x + residual
        return s * 0.7 + TF.layer_norm(s, (5,), *parameters)

    arrays = normal(2, 3, 5), normal(2, 3, 5, seed=4), normal(5, seed=2), normal(5, seed=3)
    agree(ours, theirs, *arrays)
    agree(ours, theirs, *arrays[:3])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax(axis):
    for x in (normal(2, 3, 5), 100 * normal(2, 3, 5)):
        agree(lambda x: F.softmax(x, axis), lambda x: TF.softmax(x, axis), x)
        agree(lambda x: F.log_softmax(x, axis), lambda x: TF.log_softmax(x, axis), x)


def qkv(b, h, tq, tk, d):
    return normal(b, h, tq, d), normal(b, h, tk, d, seed=2), normal(b, h, tk, d, seed=3)


@pytest.mark.parametrize("sizes", [(2, 3, 5, 7, 4), (1, 1, 1, 6, 3), (2, 1, 4, 4, 1)], ids=str)
def test_attention(sizes):
    b, h, tq, tk, _ = sizes
    theirs = TF.scaled_dot_product_attention
    agree(F.attention, theirs, *qkv(*sizes))
    agree(lambda *a: F.attention(*a, scale=0.3), lambda *a: theirs(*a, scale=0.3), *qkv(*sizes))
    for shape in [(b, h, tq, tk), (tq, tk), (b, 1, 1, tk)]:
        mask = np.random.default_rng(4).random(shape) < 0.6
        mask[..., 0] = True
        torch_mask = torch.tensor(mask)
        agree(lambda *a, m=mask: F.attention(*a, m), lambda *a, m=torch_mask: theirs(*a, attn_mask=m), *qkv(*sizes))
        agree(F.attention, lambda q, k, v, m: theirs(q, k, v, attn_mask=m), *qkv(*sizes), normal(*shape, seed=5))


@pytest.mark.parametrize(("tq", "tk"), [(5, 5), (3, 7), (1, 6)])
def test_causal_attention(tq, tk):
    """PyTorch's is_causal aligns the first query with the first key; ours the last with the last: as a mask, then."""
    mask = torch.tensor(np.tri(tq, tk, tk - tq, dtype=bool))
    theirs = TF.scaled_dot_product_attention
    inputs = qkv(2, 3, tq, tk, 4)
    agree(lambda *a: F.attention(*a, causal=True), lambda *a: theirs(*a, attn_mask=mask), *inputs)
    if tq == tk:
        agree(lambda *a: F.attention(*a, causal=True), lambda *a: theirs(*a, is_causal=True), *inputs)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_cross_entropy(reduction, label_smoothing, ignore_index):
    targets = np.array([1, 4, ignore_index, 0, 2, ignore_index])
    settings = {"reduction": reduction, "label_smoothing": label_smoothing, "ignore_index": ignore_index}
    for logits in (normal(6, 5), 50 * normal(6, 5)):
        agree(
            lambda z: F.cross_entropy(z, targets, **settings),
            lambda z: TF.cross_entropy(z, torch.tensor(targets), **settings),
            logits,
        )


def test_cross_entropy_of_batches():
    """PyTorch wants the classes on axis 1, ours are on the last."""
    targets = np.array([[1, 4, 0], [2, 2, -100]])
    agree(
        lambda z: F.cross_entropy(z, targets),
        lambda z: TF.cross_entropy(z.swapaxes(1, 2), torch.tensor(targets)),
        normal(2, 3, 5),
    )
