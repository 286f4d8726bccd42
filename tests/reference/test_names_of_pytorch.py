"""Every name that PyTorch has too, called in the same words on the same numbers: the same values, dtypes and gradients,
and the same defaults; or the difference stands in habits.DIFFERENCES, with its reason. These are the functions and the
methods of Tensors; test_layers_of_pytorch.py has the names of nn and optim."""

import inspect
import re

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import habits
from tinygrad_gpt.functional import __all__ as functions

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.reference

rng = np.random.default_rng(7)
FLOATS = {
    "x": rng.standard_normal((3, 4)),
    "y": rng.standard_normal((3, 4)),
    "p": rng.uniform(0.1, 2, (3, 4)),
    "q": rng.uniform(0.1, 0.9, (3, 4)),
    "v": rng.standard_normal(4),
    "w": rng.standard_normal(4),
    "m": rng.standard_normal((4, 5)),
    "c": rng.standard_normal((2, 3, 4)),
    "d": rng.standard_normal((2, 4, 5)),
    "s": rng.standard_normal((3, 1, 4)),
    "u": np.array(0.7),
    "tie": np.array([[1.0, 2, 2], [0, 0, 0]]),
    "a": rng.standard_normal((2, 3, 5, 4)),
    "e": rng.standard_normal((2, 3, 5, 4)),
    "o": rng.standard_normal((2, 3, 5, 4)),
    "nan": np.array([[1, np.nan, 3], [np.nan, 2, 2], [5, 2, 5]]),
    "inf": np.array([[np.inf, 1, -np.inf], [-np.inf, -np.inf, 2], [0, 3, -1]]),
    "no": np.zeros((0, 4)),
}
OTHERS = {
    "n": np.array([[3, -1, 2, 0], [0, 4, -2, 1], [1, 1, 5, -3]]),
    "k": np.array([[1, 2, 3, 4], [2, 2, 5, 1], [7, 1, 2, 3]]),
    "b": np.array([[True, False, True, True], [False] * 4, [True] * 4]),
    "i": np.array([2, 0, 3]),
    "g": np.array([[0, 2], [1, 1], [3, 0]]),
    "b8": np.array([1, 2, 250], np.uint8),
}


def world(library) -> dict:
    """The inputs as this library's Tensors, those of floats with a gradient."""
    if library is torch:
        made = {name: torch.tensor(a, dtype=torch.float32, requires_grad=True) for name, a in FLOATS.items()}
        return made | {name: torch.tensor(a) for name, a in OTHERS.items()} | {"t": torch}
    made = {name: tg.tensor(a, dtype=np.float32, requires_grad=True) for name, a in FLOATS.items()}
    return made | {name: tg.tensor(a) for name, a in OTHERS.items()} | {"t": tg}


_ONE = ["f(x)", "f(u)", "f(c)"]
_OF_TWO = ["f(x, y)", "f(x, v)", "f(x, u)", "f(c, x)", "f(n, k)", "f(x, k)", "f(n, p)"]
_REDUCED = ["f(x)", "f(c, 1)", "f(c, dim=(0, 2))", "f(x, 0, True)", "f(c, dim=-1, keepdim=True)", "f(u)"]
_OF_PLACES = ["f(x)", "f(x, 1)", "f(x, dim=0, keepdim=True)", "f(x, -1, True)", "f(n)", "f(n, 0)", "f(u)"]
_BOTH = ["f(x)", "f(x, 1)", "f(x, dim=0)", "f(x, 0, True)", "f(x, dim=-1, keepdim=True)", "f(n, 1)", "f(x, y)", "f(u)"]

# name -> what is evaluated, with f the function, or the method of its first argument
CALLS = {
    "abs": [*_ONE, "f(n)"],
    "add": [*_OF_TWO, "f(x, 2)", "f(n, 0.5)", "f(n, 2)", "f(b, n)"],
    "all": ["f(b)", "f(b, 1)", "f(b, dim=0, keepdim=True)", "f(n)"],
    "amax": ["f(x)", "f(c, (0, 2))", "f(tie, 1, True)", "f(n, dim=0)", "f(x, -1)"],
    "amin": ["f(x)", "f(c, (0, 2))", "f(tie, 1, True)", "f(n, dim=0)", "f(x, -1)"],
    "any": ["f(b)", "f(b, 1)", "f(b, dim=0, keepdim=True)", "f(n, 0)"],
    "arange": ["f(5)", "f(2, 7, 2)", "f(1.0, 2.0, 0.25)", "f(3, dtype=t.float32)", "f(5, 0, -2)"],
    "argmax": _OF_PLACES,
    "argmin": _OF_PLACES,
    "argsort": ["f(x)", "f(x, 0)", "f(x, dim=1, descending=True)", "f(n, stable=True)"],
    "binary_cross_entropy_with_logits": ["f(x, q)", 'f(x, q, reduction="none")', 'f(x, q, reduction="sum")'],
    "bmm": ["f(c, d)"],
    "broadcast_to": ["f(x, (2, 3, 4))", "f(s, (3, 2, 4))"],
    "cat": ["f([x, y])", "f((x, y), 1)", "f([c, c], dim=-1)", "f([n, k])"],
    "chunk": ["f(x, 2, 1)", "f(x, 2)", "f(m, 3, dim=-1)", "f(x, 7)"],
    "clamp": ["f(x, -0.5, 0.5)", "f(x, min=0)", "f(x, max=0.1)", "f(n, 0, 2)"],
    "clone": [*_ONE, "f(n)"],
    "concatenate": ["f([x, y])", "f((x, y), 1)", "f([c, c], dim=-1)"],
    "cos": _ONE,
    "cosine_similarity": ["f(c, c * c)", "f(x, y, dim=0)"],
    "cross_entropy": [
        "f(x, i)",
        "f(x, i, ignore_index=3)",
        'f(x, i, reduction="none")',
        "f(x, i, label_smoothing=0.2)",
    ],
    "cumsum": ["f(x, 1)", "f(c, dim=0)", "f(n, 1)"],
    "div": [*_OF_TWO, "f(x, 2)", "f(n, 4)"],
    "dropout": ["f(x, 0.3, False)", "f(x, training=False)", "f(x, p=0.0)"],
    "einsum": ['f("ij,jk->ik", x, m)', 'f("bij,bjk->bk", c, d)', 'f("ij->j", x)'],
    "embedding": ["f(i, x.clone().T)", "f(g, m)"],
    "exp": _ONE,
    "eye": ["f(3)", "f(2, 3)", "f(2, dtype=t.int64)"],
    "flatten": ["f(c)", "f(c, 1)", "f(c, start_dim=0, end_dim=1)", "f(u)"],
    "from_numpy": ["f(array)"],
    "full": ["f((2, 3), 7)", "f((2,), 0.5)", "f((2,), True)", "f((), 1.5, dtype=t.float64)"],
    "full_like": ["f(x, 2)", "f(n, 2)", "f(x, 2, dtype=t.int64)"],
    "gather": ["f(x, 1, g)", "f(x, dim=0, index=g.clone() // 2)"],
    "gelu": [*_ONE, 'f(x, approximate="tanh")', 'f(x, approximate="none")'],
    "kl_div": [
        'f(x, q, reduction="sum")',
        'f(x, q, reduction="batchmean")',
        'f(x, y, reduction="none", log_target=True)',
    ],
    "l1_loss": ["f(x, y)", 'f(x, y, reduction="sum")'],
    "layer_norm": ["f(x, (4,))", "f(c, (4,), v)", "f(c, [4], v, w)", "f(c, (4,), v, w, 0.1)", "f(c, (4,), eps=0.1)"],
    "linear": ["f(c, x)", "f(x, y, i.clone().float())", "f(v, x)"],
    "linear_cross_entropy": [
        "f(x, y, i % 3)",
        "f(x, y, i % 3, linear_bias=i.clone().float())",
        'f(x, y, i % 3, reduction="none")',
        'f(x, y, i, reduction="sum", ignore_index=3)',
        "f(x, y, i % 3, label_smoothing=0.2)",
    ],
    "linspace": ["f(0, 1, 5)", "f(-2.0, 3.0, 4)", "f(1, 2, steps=1)"],
    "log": ["f(p)"],
    "log_softmax": ["f(x, 1)", "f(x, dim=0)", "f(c, -1)"],
    "logsigmoid": _ONE,
    "logsumexp": ["f(x, 1)", "f(c, dim=(0, 2), keepdim=True)", "f(x, -1)"],
    "masked_fill": ["f(x, b, 0.5)", "f(x, b, -float('inf'))", "f(n, b, 7)", "f(c, b, 2)"],
    "matmul": ["f(x, m)", "f(c, d)", "f(x, v)", "f(v, w)", "f(c, m)"],
    "max": _BOTH,
    "maximum": ["f(x, y)", "f(x, v)", "f(tie, tie)", "f(n, k)"],
    "mean": [*_REDUCED],
    "min": _BOTH,
    "minimum": ["f(x, y)", "f(x, v)", "f(tie, tie)", "f(n, k)"],
    "mm": ["f(x, m)"],
    "mse_loss": ["f(x, y)", 'f(x, y, reduction="sum")', 'f(x, y, reduction="none")'],
    "mul": [*_OF_TWO, "f(x, 2)", "f(n, 0.5)", "f(b, x)", "f(b, b)"],
    "neg": [*_ONE, "f(n)"],
    "nll_loss": ["f(x, i)", 'f(x, i, reduction="none")', "f(x, i, ignore_index=3)", "f(x, i, weight=p[0].detach())"],
    "norm": ["f(x)", "f(x, dim=1)", "f(x, 1, 0)", "f(x, 2, 1, True)", "f(x, float('inf'), 1)"],
    "normalize": ["f(x)", "f(c, dim=-1)", "f(x, p=1.0, dim=0)"],
    "one_hot": ["f(i)", "f(i, 6)", "f(g, num_classes=5)"],
    "ones": ["f(2, 3)", "f((2, 3))", "f(2, dtype=t.int64)", "f(())"],
    "ones_like": ["f(x)", "f(n)", "f(x, dtype=t.float64)"],
    "outer": ["f(v, w)"],
    "pad": ["f(x, (1, 2))", "f(c, (1, 0, 2, 1), value=0.5)", "f(x, (-1, 0))"],
    "permute": ["f(c, (2, 0, 1))", "f(x, (1, 0))"],
    "pow": ["f(x, 2)", "f(p, 0.5)", "f(x, 3)", "f(p, -1)", "f(n, 2)", "f(n, 0)"],
    "prod": ["f(x)", "f(x, 1)", "f(x, 0, True)", "f(c, dim=-1, keepdim=True)", "f(n, 1)"],
    "ravel": ["f(c)", "f(x.T)"],
    "relu": _ONE,
    "repeat_interleave": ["f(x, 2)", "f(x, 2, 1)", "f(x, 3, dim=0)"],
    "reshape": ["f(x, (2, 6))", "f(c, (-1, 4))", "f(x.T, (12,))"],
    "rms_norm": ["f(x, (4,))", "f(c, (4,), v)", "f(c, [4], v, 0.1)"],
    "rsqrt": ["f(p)"],
    "scaled_dot_product_attention": ["f(a, e, o)", "f(a, e, o, is_causal=True)", "f(a, e, o, scale=0.3)"],
    "sigmoid": _ONE,
    "silu": _ONE,
    "sin": _ONE,
    "softmax": ["f(x, 1)", "f(x, dim=0)", "f(c, -1)"],
    "softplus": [*_ONE, "f(x, beta=2.0)"],
    "sort": ["f(x)", "f(x, 0)", "f(x, dim=1, descending=True)", "f(n)"],
    "split": ["f(x, 2, 1)", "f(x, 2)", "f(m, [1, 4], dim=-1)", "f(x, 9)"],
    "sqrt": ["f(p)"],
    "squeeze": ["f(s)", "f(s, 1)", "f(s, 0)", "f(x)", "f(s, (0, 1))"],
    "stack": ["f([x, y])", "f((x, y), 1)", "f([v, w], dim=-1)"],
    "std": [
        "f(x)",
        "f(x, 1)",
        "f(c, dim=(0, 2), keepdim=True)",
        "f(x, dim=1, correction=0)",
        "f(x, unbiased=False)",
        "f(x, 1, unbiased=True)",
    ],
    "sub": [*_OF_TWO, "f(x, 2)", "f(n, 0.5)"],
    "sum": [*_REDUCED, "f(n)", "f(n, 1)", "f(b)", "f(b, 0, True)"],
    "swapaxes": ["f(c, 0, 2)", "f(x, -1, 0)"],
    "tanh": _ONE,
    "tensor": [
        "f([1.0, 2.0])",
        "f(3)",
        "f([[True]])",
        "f([1, 2], dtype=t.float32)",
        "f(array)",
        "f(2.5, requires_grad=True)",
    ],
    "tile": ["f(x, (2, 3))", "f(x, (2,))", "f(v, (2, 3))"],
    "topk": ["f(x, 2)", "f(x, 2, 0)", "f(x, k=3, dim=1, largest=False)"],
    "transpose": ["f(c, 0, 2)", "f(c, -1, -2)", "f(x, dim0=0, dim1=1)"],
    "tril": ["f(x)", "f(c, 1)", "f(x, diagonal=-1)", "f(n)"],
    "triu": ["f(x)", "f(c, 1)", "f(x, diagonal=-1)", "f(b)"],
    "unsqueeze": ["f(x, 0)", "f(x, -1)", "f(x, dim=1)"],
    "var": [
        "f(x)",
        "f(x, 1)",
        "f(c, dim=(0, 2), keepdim=True)",
        "f(x, dim=1, correction=0)",
        "f(x, unbiased=False)",
        "f(x, 1, unbiased=True)",
    ],
    "where": ["f(b, x, y)", "f(x > 0, x, 0.0)", "f(b, n, k)", "f(b, 1.0, x)", "f(b, x, n)"],
    "zeros": ["f(2, 3)", "f((2, 3))", "f(2, dtype=t.bool)", "f(0)"],
    "zeros_like": ["f(x)", "f(n)", "f(x, dtype=t.float64)"],
}

# nan, infinity, no elements, no axes, small integers: the corners
for _names, _calls in {
    ("abs", "relu", "exp", "tanh", "sigmoid", "clone"): ["f(nan)", "f(inf)", "f(no)"],
    ("maximum", "minimum"): ["f(nan, 2 * nan)", "f(inf, nan)", "f(no, v)", "f(b8, b8)"],
    ("add", "mul"): ["f(nan, inf)", "f(no, v)", "f(b8, 2)", "f(b8, b8)"],
    ("sum",): ["f(nan, 1)", "f(inf, 0)", "f(no)", "f(no, 0)", "f(x, ())", "f(c, (), True)", "f(b8)", "f(b8, 0)"],
    ("mean",): ["f(nan, 1)", "f(inf, 0)", "f(x, ())", "f(c, dim=(), keepdim=True)"],
    ("amax", "amin"): ["f(nan, 1)", "f(nan, 0, True)", "f(inf, 1)", "f(x, ())", "f(b8)"],
    ("var", "std"): ["f(nan, 1)"],
    ("prod",): ["f(no, 0)", "f(b8)"],
    ("cumsum",): ["f(nan, 1)", "f(no, 0)", "f(b8, 0)"],
}.items():
    for _name in _names:
        CALLS[_name] = [*CALLS[_name], *_calls]
CALLS |= {
    "allclose": ["f(x, y)", "f(x, x + 1e-9)"],
    "ceil": ["f(x.detach())", "f(n)"],
    "clip": ["f(x, -0.5, 0.5)", "f(n, 0, 2)"],
    "concat": ["f([x, y])", "f((x, y), 1)"],
    "dot": ["f(v, w)"],
    "equal": ["f(x, y)", "f(x, x)", "f(x, v)"],
    "flip": ["f(x, (0, 1))", "f(c, dims=(-1,))"],
    "floor": ["f(x.detach())", "f(n)"],
    "hstack": ["f([x, y])", "f((v, w))"],
    "index_select": ["f(x, 1, i)", "f(c, dim=0, index=i // 3)"],
    "is_tensor": ["f(x)", "f(2)"],
    "isfinite": ["f(x / 0)", "f(n)"],
    "isinf": ["f(x / 0)", "f(n)"],
    "isnan": ["f(x / 0)"],
    "masked_select": ["f(x, b)"],
    "movedim": ["f(c, 0, -1)", "f(c, 2, 0)"],
    "mv": ["f(x, v)"],
    "numel": ["f(c)"],
    "round": ["f(x.detach())", "f(n)"],
    "sign": ["f(x.detach())", "f(n)"],
    "square": ["f(x)", "f(n)"],
    "unbind": ["f(x)", "f(c, 1)", "f(x, dim=-1)"],
    "vstack": ["f([x, y])", "f((v, w))"],
}
# The same for names that are methods only, and attributes
METHODS = {
    "T": ["x.T"],
    "bool": ["n.bool()", "x.bool()"],
    "contiguous": ["x.T.contiguous()"],
    "cpu": ["x.cpu()"],
    "detach": ["x.detach()"],
    "dim": ["c.dim()", "u.dim()"],
    "double": ["n.double()"],
    "device": ["str(x.device)", "x.device.type"],
    "dtype": ["x.dtype", "n.dtype", "b.dtype", "(x > 0).dtype"],
    "expand": ["s.expand(3, 2, 4)", "s.expand(-1, 2, -1)", "x.expand((2, -1, 4))"],
    "float": ["x.float()", "n.float()", "b.float()"],
    "int": ["p.int()", "x.int()"],
    "is_leaf": ["x.is_leaf", "(x * 2).is_leaf", "n.is_leaf"],
    "item": ["u.item()", "x.sum().item()", "n[0, 0].item()", "b[0, 0].item()"],
    "long": ["x.long()", "b.long()"],
    "mT": ["c.mT"],
    "ndim": ["c.ndim"],
    "numel": ["c.numel()", "u.numel()"],
    "numpy": ["n.numpy()", "x.detach().numpy()"],
    "repeat": ["x.repeat(2, 3)", "x.repeat((2, 1, 1))"],
    "requires_grad": ["x.requires_grad", "n.requires_grad", "(x > 0).requires_grad", "(x * 1).requires_grad"],
    "requires_grad_": ["x.detach().requires_grad_() * 2", "x.detach().requires_grad_(False).requires_grad"],
    "shape": ["tuple(c.shape)"],
    "size": ["tuple(c.size())", "c.size(0)", "c.size(-1)", "c.size(dim=1)"],
    "t": ["x.t()", "v.t()"],
    "to": ["n.to(t.float32)", 'x.to("cpu")', "n.to(dtype=t.int32)", 'n.to("cpu", t.float64)', "n.to(x)"],
    "tolist": ["n.tolist()", "u.tolist()", "b.tolist()"],
    "type": ["n.type(t.float64)"],
    "type_as": ["n.type_as(x)"],
    "view": ["x.view(2, 6)", "c.view(-1, 4)", "x.view((12,))"],
}
OPERATORS = [
    *("x + y", "x - v", "2 * x", "1 - x", "x / 2", "3 / p", "-x", "+x", "abs(x)", "x ** 2", "2 ** x", "x @ m"),
    *(
        "n + 1",
        "n - 0.5",
        "n * k",
        "n / k",
        "k // 2",
        "n % 3",
        "n * x",
        "b * x",
        "~b",
        "b & (x > 0)",
        "b | b",
        "b ^ (n > 0)",
    ),
    *(
        "n & k",
        "n | 1",
        "x > 0",
        "x <= y",
        "n == 1",
        "n != k",
        "x < 1",
        "2 >= x",
        "x[0]",
        "x[:, 1:3]",
        "x[b]",
        "x[i % 3]",
    ),
    *("x[..., None]", "x[None, 1]", "x[i % 3, i]", "c[:, -1, :]", "len(x)", "float(u)", "int(k[0, 0])", "bool(u)"),
    *(
        "1 in k",
        "[r.shape[0] for r in x]",
        "x.sum() + u.item()",
        "(x > 0).float().mean()",
        "x.mean(0, keepdim=True) * y",
    ),
]


def functions_of_pytorch(name: str):
    return getattr(torch.nn.functional, name, None) or getattr(torch, name, None)


def flat(result) -> list:
    """What a call gave, as parts that can be compared: (kind, dtype, shape, values, whether a gradient is required)."""
    if isinstance(result, tuple | list):
        return [("row", type(result) is list), *[part for one in result for part in flat(one)]]
    if isinstance(result, torch.Tensor):
        return [("tensor", str(result.dtype).removeprefix("torch."), tuple(result.shape), result.requires_grad)]
    if isinstance(result, tg.Tensor):
        return [("tensor", str(result.dtype), result.shape, result.requires_grad)]
    if isinstance(result, torch.dtype):
        return [str(result).removeprefix("torch.")]
    if isinstance(result, np.dtype):
        return [str(result)]
    result = result.tolist() if isinstance(result, np.ndarray) else result
    return [round(result, 5) if isinstance(result, float) else result]


def tensors_in(result) -> list:
    if isinstance(result, tuple | list):
        return [x for one in result for x in tensors_in(one)]
    return [result] if isinstance(result, torch.Tensor | tg.Tensor) else []


def array(x) -> np.ndarray:
    return x.detach().numpy() if isinstance(x, torch.Tensor) else np.asarray(x.data if isinstance(x, tg.Tensor) else x)


def agree(code: str, ours, theirs):
    """Evaluate the code with both libraries; f is `ours` and `theirs`."""
    outcomes = []
    for library, f in ((tg, ours), (torch, theirs)):
        names = world(library) | {"f": f, "array": np.arange(3.0)}
        result = eval(code, names)
        outputs = tensors_in(result)
        losses = []
        for number, y in enumerate(y for y in outputs if y.requires_grad):
            dy = np.random.default_rng(number).standard_normal(tuple(y.shape)).astype(array(y).dtype)
            losses.append((y * (torch.tensor(dy) if library is torch else dy)).sum())
        if losses:
            sum(losses[1:], losses[0]).backward()
        grads = {name: names[name].grad for name in FLOATS}
        outcomes.append((flat(result), [array(y) for y in outputs], grads))
    (shown, values, grads), (right, right_values, right_grads) = outcomes
    assert shown == right, code
    for got, wanted in zip(values, right_values, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6, err_msg=code)
    for name in FLOATS:
        got, wanted = grads[name], right_grads[name]
        got = np.zeros(FLOATS[name].shape) if got is None else got
        wanted = np.zeros(FLOATS[name].shape) if wanted is None else wanted.numpy()
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=1e-5, err_msg=f"{code}: gradient of {name}")


@pytest.mark.parametrize("name", sorted(CALLS))
def test_functions(name):
    ours, theirs = getattr(tg.functional, name), functions_of_pytorch(name)
    if theirs is None:
        pytest.skip(f"this PyTorch has no {name}")
    for code in CALLS[name]:
        agree(code, ours, theirs)


@pytest.mark.parametrize("name", sorted(n for n in CALLS if hasattr(tg.Tensor, n) and hasattr(torch.Tensor, n)))
def test_methods_that_are_functions_too(name):
    def method(first, *rest, **settings):
        return getattr(first, name)(*rest, **settings)

    for code in CALLS[name]:
        agree(code, method, method)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_methods(name):
    for code in METHODS[name]:
        agree(code, None, None)


@pytest.mark.parametrize("code", OPERATORS)
def test_operators(code):
    agree(code, None, None)


# --- names, order and defaults of arguments ----------------------------------------------------------------------


def positional(function) -> dict:
    found = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in found if p.kind is p.POSITIONAL_OR_KEYWORD}


def test_defaults_are_pytorchs():
    """Of the functions that PyTorch writes in Python; the others are called with their defaults above."""
    compared = 0
    for name in functions:
        theirs = getattr(torch.nn.functional, name, None)
        try:
            wanted = positional(theirs)
        except (TypeError, ValueError):
            continue
        got = inspect.signature(getattr(tg.functional, name)).parameters
        for argument, default in wanted.items():
            if argument in got and got[argument].default is not inspect.Parameter.empty:
                if f"{name}({argument}=)" in habits.DIFFERENCES:
                    continue
                assert got[argument].default == default, f"{name}: {argument}={default} in PyTorch"
                compared += 1
    assert compared > 20


def test_what_stands_at_one_place_in_pytorch_stands_there_here():
    """A positional argument means the same, or there is none at its place."""
    for name in functions:
        theirs = getattr(torch.nn.functional, name, None)
        try:
            wanted = list(positional(theirs))
        except (TypeError, ValueError):
            continue
        got = list(positional(getattr(tg.functional, name)))
        for place, (mine, right) in enumerate(zip(got[1:], wanted[1:], strict=False), 1):
            assert mine == right or f"{name}({right}=)" in habits.DIFFERENCES, f"{name}: {place} is {right} in PyTorch"


# --- all of them -------------------------------------------------------------------------------------------------


DTYPES = ("float32", "float64", "int32", "int64", "long", "uint8", "bool")
SAME = {*DTYPES, "no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled"}  # modes: tests/test_creation.py


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes(name):
    assert flat(getattr(tg, name)) == flat(getattr(torch, name))


def test_every_shared_name_is_compared_or_its_difference_is_told():
    elsewhere = {"e", "inf", "nan", "pi", "DType", "functional", "nn", "optim", *SAME}
    told = {re.sub(r"\(.*", "", name) for name in habits.DIFFERENCES}
    shared = {n for n in [*functions, *tg.__all__] if functions_of_pytorch(n) is not None}
    missing = sorted(shared - set(CALLS) - told - elsewhere)
    assert not missing, f"functions that nobody compared with PyTorch's: {missing}"
    methods = {n for n in dir(torch.Tensor) if not n.startswith("_") and n in vars(tg.Tensor) and hasattr(tg.Tensor, n)}
    missing = sorted(methods - set(CALLS) - set(METHODS) - told)
    assert not missing, f"methods that nobody compared with PyTorch's: {missing}"


def test_every_difference_is_of_a_name_that_both_have():
    for name in habits.DIFFERENCES:
        plain = re.sub(r"\(.*", "", name)
        if plain.split(".")[0] in ("nn", "optim", "Module", "Optimizer", "LRScheduler"):
            continue  # test_layers_of_pytorch.py
        ours = [owner for owner in (tg, tg.functional, tg.Tensor) if hasattr(owner, plain)]
        theirs = functions_of_pytorch(plain) is not None or hasattr(torch.Tensor, plain)
        assert ours and theirs, name
