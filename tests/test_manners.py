"""Arguments that are nearly right: the error says who asks for what, what came and what to do; or they work.

Each place that takes an integer, a number, a yes or no, an axis, a shape or ids is tried with each thing that is none,
and with what NumPy calls one. What is peculiar to one place stands in the table at the end.
"""

import re
from functools import partial

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt import nn, optim
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.generate import generate, generate_batch, pad_left, token_probabilities
from tinygrad_gpt.models import GPT, GPT2, GPTConfig
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification, with_new_tokens
from tinygrad_gpt.nn import Block, Dropout, Embedding, FeedForward, KVCache, LayerNorm, Linear, MultiHeadAttention
from tinygrad_gpt.recompute import recompute

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]], np.float32)
ONES = np.ones(3, np.float32)
Q = np.zeros((1, 2, 3, 4), np.float32)
CONFIG = GPTConfig(11, block_size=8, n_layer=1, n_head=2, n_embd=4)

# Words of Python's and NumPy's own errors, which know nothing of what was asked for.
RAW = re.compile(
    r"' object |'\w+' and '\w+'|not supported between|unsupported operand|has no len|not iterable|not callable|unpack|"
    r"truth value|an integer is required|interpreted as an integer|could not convert|inhomogeneous|invalid literal|"
    r"must be real number|ufunc|No matching definition|must be integers or slices|unhashable|index out of range|"
    r"zero-size|negative dim|could not broadcast|operands could not"
)


def leaf():
    return Tensor(X.copy(), requires_grad=True)


def parameters():
    return list(Linear(2, 3).parameters())


def model():
    return GPT2(CONFIG)


class _Foreign:
    """What PyTorch's Tensors look like from outside."""

    shape, dtype = (2, 3), "torch.float32"

    def __init__(self, array=X):
        self.array = array

    def numpy(self):
        return self.array

    def __array__(self, dtype=None, copy=None):
        return self.array


_Foreign.__module__, _Foreign.__name__ = "torch", "Tensor"


def refused(call, error, *patterns):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    for pattern in patterns:
        assert re.search(pattern, message), message
    assert not RAW.search(message), message
    assert "\n" not in message and len(message) < 300, message


def places(table: dict) -> list:
    return [pytest.param(*key.split(), call, id=key) for key, call in table.items()]


# --- integers ----------------------------------------------------------------------------------------------------

# who name -> a call with that argument
INTEGERS = {
    "Linear in_features": lambda n: Linear(n, 3),
    "Linear out_features": lambda n: Linear(3, n),
    "Embedding num_embeddings": lambda n: Embedding(n, 3),
    "Embedding embedding_dim": lambda n: Embedding(3, n),
    "LayerNorm normalized_shape": lambda n: LayerNorm(n),
    "MultiHeadAttention c": lambda n: MultiHeadAttention(n, 1),
    "MultiHeadAttention n_head": lambda n: MultiHeadAttention(6, n),
    "FeedForward c": lambda n: FeedForward(n),
    "KVCache capacity": lambda n: KVCache(1, 1, 1, n, 1, like=X),
    "KVCache batch_size": lambda n: model().new_cache(n),
    "generate max_new_tokens": lambda n: generate_batch(model(), [[1, 2]], max_new_tokens=n),
    "generate num_beams": lambda n: generate_batch(model(), [[1, 2]], max_new_tokens=2, num_beams=n),
    "with_new_tokens count": lambda n: with_new_tokens(model(), n),
    "cross_entropy ignore_index": lambda n: F.cross_entropy(X, [0, 1], ignore_index=n),
    "split split_size_or_sections": lambda n: F.split(X, n),
    "chunk chunks": lambda n: F.chunk(X, n),
    "tril diagonal": lambda n: F.tril(X, n),
    "manual_seed seed": lambda n: tg.manual_seed(n),
    "pad_left pad_id": lambda n: pad_left([[1], [1, 2]], n),
}
# the same for those that may be None
INTEGERS_OR_NONE = {
    "FeedForward hidden": lambda n: FeedForward(6, n),
    "MultiHeadAttention c_source": lambda n: MultiHeadAttention(6, 2, c_source=n),
    "generate top_k": lambda n: list(generate(model(), [1], 2, top_k=n)),
    "generate seed": lambda n: list(generate(model(), [1], 2, seed=n)),
    "generate stop_token": lambda n: list(generate(model(), [1], 2, stop_token=n)),
    "generate eos_token_id": lambda n: generate_batch(model(), [[1]], max_new_tokens=2, eos_token_id=n),
    "generate pad_token_id": lambda n: generate_batch(model(), [[1]], max_new_tokens=2, pad_token_id=n),
    "token_probabilities top_k": lambda n: token_probabilities([1.0, 2.0], top_k=n),
}
NO_INTEGERS = ["3", 2.5, 3.0, np.float32(3), True, np.True_, 1j, b"3", {3}, int, _Foreign(), Tensor(1.5)]


@pytest.mark.parametrize("who, name, call", places(INTEGERS | INTEGERS_OR_NONE))
def test_integers(who, name, call):
    or_none = f"{who} {name}" in INTEGERS_OR_NONE
    for wrong in NO_INTEGERS if or_none else [None, *NO_INTEGERS]:
        if name in ("split_size_or_sections", "eos_token_id") and isinstance(wrong, set):
            continue  # several of them
        refused(lambda wrong=wrong: call(wrong), TypeError, f"^{who}: expected an integer.* as {name}, got ")
    for right in (np.int64(3), np.uint8(3), np.array(3), Tensor(3), *([None] if or_none else [])):
        call(right)


LOWEST = {
    "Linear in_features": 1,
    "Linear out_features": 1,
    "Embedding num_embeddings": 1,
    "Embedding embedding_dim": 1,
    "LayerNorm normalized_shape": 1,
    "MultiHeadAttention c": 1,
    "MultiHeadAttention n_head": 1,
    "MultiHeadAttention c_source": 1,
    "FeedForward c": 1,
    "FeedForward hidden": 1,
    "KVCache capacity": 0,
    "generate max_new_tokens": 0,
    "generate num_beams": 1,
    "generate top_k": 1,
    "generate seed": 0,
    "token_probabilities top_k": 1,
    "with_new_tokens count": 0,
}


@pytest.mark.parametrize("who, name, call", [p for p in places(INTEGERS | INTEGERS_OR_NONE) if p.id in LOWEST])
def test_integers_that_are_too_small(who, name, call):
    low = LOWEST[f"{who} {name}"]
    for wrong in (low - 1, -7, np.int8(-7), -(10**30)):
        refused(lambda wrong=wrong: call(wrong), ValueError, f"^{who}: expected {name} >= {low}.*, got ")


# --- numbers -----------------------------------------------------------------------------------------------------

NUMBERS = {
    "layer_norm eps": lambda p: F.layer_norm(X, 3, ONES, eps=p),
    "add_layer_norm eps": lambda p: F.add_layer_norm(X, X, ONES, eps=p),
    "dropout p": lambda p: F.dropout(X, p),
    "attention dropout": lambda p: F.attention(Q, Q, Q, dropout=p),
    "var correction": lambda p: F.var(X, correction=p),
    "cross_entropy label_smoothing": lambda p: F.cross_entropy(X, [0, 1], label_smoothing=p),
    "LayerNorm eps": lambda p: LayerNorm(3, eps=p),
    "Dropout p": lambda p: Dropout(p),
    "MultiHeadAttention dropout": lambda p: MultiHeadAttention(4, 2, dropout=p),
    "AdamW lr": lambda p: optim.AdamW(parameters(), lr=p),
    "AdamW eps": lambda p: optim.AdamW(parameters(), eps=p),
    "AdamW weight_decay": lambda p: optim.AdamW(parameters(), weight_decay=p),
    "AdamW beta1": lambda p: optim.AdamW(parameters(), betas=(p, 0.9)),
    "Adam beta2": lambda p: optim.Adam(parameters(), betas=(0.9, p)),
    "SGD lr": lambda p: optim.SGD(parameters(), p),
    "SGD momentum": lambda p: optim.SGD(parameters(), 0.1, momentum=p),
    "SGD weight_decay": lambda p: optim.SGD(parameters(), 0.1, weight_decay=p),
    "step grad_scale": lambda p: optim.SGD(parameters(), 0.1).step(p),
    "clip_scale max_norm": lambda p: optim.clip_grad_norm(parameters(), p),
    "warmup_cosine lr": lambda p: optim.warmup_cosine(3, lr=p, total=10),
    "warmup_linear total": lambda p: optim.warmup_linear(3, lr=0.1, total=p),
    "noam warmup": lambda p: optim.noam(3, d_model=4, warmup=p),
    "inverse_sqrt lr": lambda p: optim.inverse_sqrt(3, lr=p, warmup=4),
    "generate temperature": lambda p: list(generate(model(), [1], 2, temperature=p)),
    "generate length_penalty": lambda p: generate_batch(
        model(), [[1]], num_beams=2, max_new_tokens=2, length_penalty=p
    ),
    "token_probabilities temperature": lambda p: token_probabilities([1.0, 2.0], p),
}
NUMBERS_OR_NONE = {
    "attention scale": lambda p: F.attention(Q, Q, Q, scale=p),
    "attention_weights scale": lambda p: F.attention_weights(Q, Q, scale=p),
    "MultiHeadAttention scale": lambda p: MultiHeadAttention(4, 2, scale=p),
    "generate top_p": lambda p: list(generate(model(), [1], 2, top_p=p)),
}
NO_NUMBERS = ["0.5", [0.5], (0.5,), True, np.False_, 1j, np.complex64(1), {}, X, leaf(), float, lambda: 1]
IN_A_RANGE = ("p", "dropout", "label_smoothing", "beta1", "beta2", "momentum", "top_p")
BELOW_ZERO = ("correction", "scale", "grad_scale", "length_penalty")  # these may be


@pytest.mark.parametrize("who, name, call", places(NUMBERS | NUMBERS_OR_NONE))
def test_numbers(who, name, call):
    or_none = f"{who} {name}" in NUMBERS_OR_NONE
    for wrong in NO_NUMBERS if or_none else [None, *NO_NUMBERS]:
        refused(lambda wrong=wrong: call(wrong), TypeError, f"^{who}: expected a number.* as {name}, got ")
    refused(lambda: call(np.nan), ValueError, f"^{who}: expected .*{name}.*, got nan")
    refused(lambda: call(10**400), ValueError, f"^{who}: expected .*, got an integer of about 398 digits")
    if name in IN_A_RANGE:
        refused(lambda: call(1.5), ValueError, f"^{who}: expected .*{name}.* < 1|{name} <= 1.*, got 1.5")
    if name not in BELOW_ZERO:
        refused(lambda: call(-0.5), ValueError, f"^{who}: expected .*{name}.*, got -0.5")
    for right in (0.5, np.float32(0.5), np.float64(0.5), np.array(0.5), Tensor(0.5), *([None] if or_none else [])):
        call(right)


def test_a_learning_rate_that_is_set_later():
    p = leaf()
    for optimizer in (optim.SGD([p], 0.1), optim.AdamW([p])):
        for wrong in (None, "0.1", [0.1]):
            refused(lambda o=optimizer, wrong=wrong: setattr(o, "lr", wrong), TypeError, "expected a number as lr, got")
        refused(lambda o=optimizer: setattr(o, "lr", -1), ValueError, "expected lr >= 0, got -1")
        optimizer.lr = np.float64(0.25)
        p.grad = np.ones_like(X)
        optimizer.step(np.float64(0.5))
        assert type(optimizer.lr) is float and p.dtype == np.float32


# --- yes and no --------------------------------------------------------------------------------------------------

FLAGS = {
    "sum keepdims": lambda f: F.sum(X, 0, keepdims=f),
    "mean keepdims": lambda f: F.mean(X, 0, keepdims=f),
    "max keepdims": lambda f: F.max(X, axis=0, keepdims=f),
    "max keepdim": lambda f: F.max(X, 0, f),
    "sum keepdim": lambda f: F.sum(X, 0, keepdim=f),
    "argmax keepdim": lambda f: F.argmax(X, 0, f),
    "requires_grad_ requires_grad": lambda f: leaf().requires_grad_(f),
    "var keepdims": lambda f: F.var(X, 0, keepdims=f),
    "dropout training": lambda f: F.dropout(X, 0.5, training=f),
    "attention causal": lambda f: F.attention(Q, Q, Q, causal=f),
    "attention training": lambda f: F.attention(Q, Q, Q, dropout=0.5, training=f),
    "attention_weights causal": lambda f: F.attention_weights(Q, Q, causal=f),
    "Linear bias": lambda f: Linear(2, 3, f),
    "LayerNorm bias": lambda f: LayerNorm(3, bias=f),
    "MultiHeadAttention causal": lambda f: MultiHeadAttention(4, 2, causal=f),
    "train mode": lambda f: Linear(2, 3).train(f),
    "Tensor requires_grad": lambda f: Tensor(X, f),
    "generate do_sample": lambda f: generate_batch(model(), [[1]], max_new_tokens=2, do_sample=f),
}


@pytest.mark.parametrize("who, name, call", places(FLAGS))
def test_yes_and_no(who, name, call):
    for wrong in (None, "yes", "", 2, 0.5, 1.0, [], X, np.float32):
        refused(lambda wrong=wrong: call(wrong), TypeError, f"^{who}: expected True or False as {name}, got ")
    for right in (True, 0, 1, np.True_, np.int64(0), np.array(True)):
        call(right)


# --- axes and shapes ---------------------------------------------------------------------------------------------

ONE_AXIS = {
    "softmax": lambda a: F.softmax(X, a),
    "log_softmax": lambda a: F.log_softmax(X, axis=a),
    "swapaxes": lambda a: F.swapaxes(X, 0, a),
    "concatenate": lambda a: F.concatenate([X, X], a),
    "split": lambda a: F.split(X, 1, a),
    "chunk": lambda a: F.chunk(X, 1, dim=a),
    "transpose": lambda a: F.transpose(X, 0, a),
}
AXES = {
    "sum": lambda a: F.sum(X, a),
    "mean": lambda a: leaf().mean(a),
    "max": lambda a: F.max(X, axis=a),
    "var": lambda a: leaf().var(axis=a),
}


@pytest.mark.parametrize("op", ONE_AXIS)
def test_one_axis(op):
    for wrong in (None, (0, 1), [0], 1.0, "1", True, np.array([0]), leaf(), {0}, int):
        refused(lambda wrong=wrong: ONE_AXIS[op](wrong), TypeError, f"^{op}: expected one axis, an integer, got axis=")
    for wrong in (2, -3, np.int64(5), 10**30):
        refused(lambda wrong=wrong: ONE_AXIS[op](wrong), ValueError, f"^{op}: axis .* out of range .* 2 dimensions")
    for right in (1, -1, np.int64(1), np.array(-2), Tensor(0)):
        ONE_AXIS[op](right)


@pytest.mark.parametrize("op", AXES)
def test_axes(op):
    said = f"^{op}: expected an integer, a tuple of integers or None as axis, got "
    for wrong in (1.0, "1", True, (0, None), (0, 1.0), [True], leaf(), {}, np.array([0.0])):
        refused(lambda wrong=wrong: AXES[op](wrong), TypeError, said)
    for wrong in (2, (0, -3), np.int64(5)):
        refused(lambda wrong=wrong: AXES[op](wrong), ValueError, f"^{op}: axis .* out of range")
    for right in (None, 1, (0, 1), [0], np.int64(1), np.array([0, 1]), (np.int64(1),), Tensor(0), {0, 1}):
        AXES[op](right)


@pytest.mark.parametrize("op", [*AXES, "softmax", "log_softmax", "split", "chunk", "concatenate"])
def test_pytorchs_names_of_arguments(op):
    args = ([X, X],) if op == "concatenate" else (X, 1) if op in ("split", "chunk") else (X,)
    by_dim, by_axis = getattr(F, op)(*args, dim=0), getattr(F, op)(*args, axis=0)
    parts = [r if isinstance(r, tuple) else (r,) for r in (by_dim, by_axis)]
    assert (parts[0][0].data == parts[1][0].data).all()
    two_names = f"^{op}: dim= and axis= are two names of one argument"
    refused(lambda: getattr(F, op)(*args, dim=1, axis=1), TypeError, two_names)
    if op in AXES:
        kept = getattr(F, op)(X, 0, keepdim=True)
        assert (kept.values if op == "max" else kept).shape == getattr(F, op)(X, axis=0, keepdims=True).shape == (1, 3)
        refused(lambda: getattr(F, op)(X, 0, keepdim=True, keepdims=True), TypeError, f"^{op}: keepdim= and keepdims=")


SHAPES = {
    "reshape shape": lambda s: F.reshape(X, s),
    "broadcast_to shape": lambda s: F.broadcast_to(X, s),
    "permute dims": lambda s: leaf().permute(s),
}


@pytest.mark.parametrize("who, name, call", places(SHAPES))
def test_shapes(who, name, call):
    for wrong in ("23", 2.0, (2, 3.0), (2, None), [True, 3], {}, leaf(), np.array([2.0, 3.0]), np.float32):
        refused(lambda wrong=wrong: call(wrong), TypeError, f"^{who}: expected integers as {name}, got ")
    for right in ((1, 0), [1, 0], np.array([0, 1]), (np.int64(1), np.int32(0))):
        call(right if who == "permute" else [3 - n for n in right] if who == "reshape" else (2, 3))
    refused(lambda: call((-1, -1)), ValueError, f"^{who}: ")


# --- operands and ids --------------------------------------------------------------------------------------------

BINARY = {
    "add": (lambda a, b: a + b, F.add),
    "sub": (lambda a, b: a - b, F.sub),
    "mul": (lambda a, b: a * b, F.mul),
    "div": (lambda a, b: a / b, F.div),
    "maximum": (F.maximum,),
    "where": (lambda a, b: F.where(X > 0, a, b),),
    "<": (lambda a, b: a < b if isinstance(a, Tensor) else b > a,),
}


@pytest.mark.parametrize("op", BINARY)
def test_operands(op):
    for call in BINARY[op]:
        for wrong in (None, "2", b"2", {}, {1.0}, 1j, object(), float):
            said = f"{op}|>: expected Tensors, arrays or numbers, got "
            refused(lambda wrong=wrong, call=call: call(leaf(), wrong), TypeError, said)
            refused(lambda wrong=wrong, call=call: call(wrong, leaf()), TypeError, said)
        foreign = r": expected Tensors, arrays or numbers, got torch\.Tensor: convert with tensor\(x\.numpy\(\)\)"
        refused(lambda call=call: call(leaf(), _Foreign()), TypeError, foreign)
        refused(lambda call=call: call(leaf(), [[1.0], [1.0, 2.0]]), ValueError, "expected rows of one length, got ")
        refused(lambda call=call: call(leaf(), [None, 1, 2]), TypeError, ": expected float32.*, got ")
        refused(lambda call=call: call(leaf(), ["a"]), TypeError, ": expected float32.*, got ")


UNARY = ("neg", "abs", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "silu", "gelu", "sum", "mean", "max", "var")
UNARY += ("softmax", "log_softmax", "dropout")


@pytest.mark.parametrize("op", UNARY)
def test_operands_of_one(op):
    for wrong in (None, "a", {}, [None], ["a"], object(), (i for i in range(3)), np.array(["a"]), 1j):
        refused(lambda wrong=wrong: getattr(F, op)(wrong), TypeError, f"^{op}: expected float32.*, got ")
    refused(lambda: getattr(F, op)([[1.0], [1.0, 2.0]]), ValueError, f"^{op}: expected rows of one length, got ")
    for right in ([[1.0, 2.0]], ((1.0, 2.0),), Tensor([[1.0, 2.0]]), np.float32([[1, 2]]), _Foreign(np.abs(X))):
        assert getattr(F, op)(right).dtype == np.float32


INPUTS = {  # op -> the right inputs, and what they are called
    "matmul": (F.matmul, {"a": X, "b": X.T}),
    "linear": (F.linear, {"x": X, "weight": X}),
    "gelu_linear": (partial(F.gelu_linear, approximate="tanh"), {"x": X, "weight": X}),
    "embedding": (F.embedding, {"ids": np.array([0]), "weight": X}),
    "layer_norm": (partial(F.layer_norm, normalized_shape=3), {"x": X, "weight": ONES}),
    "add_layer_norm": (F.add_layer_norm, {"x": X, "residual": X, "weight": ONES}),
    "attention": (F.attention, {"q": Q, "k": Q, "v": Q}),
    "attention_weights": (F.attention_weights, {"q": Q, "k": Q}),
    "cross_entropy": (F.cross_entropy, {"input": X, "target": np.array([0, 1])}),
    "linear_cross_entropy": (
        F.linear_cross_entropy,
        {"input": X, "linear_weight": X, "target": np.array([0, 1])},
    ),
}


@pytest.mark.parametrize("op, name", [(op, name) for op in INPUTS for name in INPUTS[op][1]])
def test_inputs_of_layers(op, name):
    function, right = INPUTS[op]
    may_be_none = (op, name) == ("layer_norm", "weight")
    for wrong in ("a", {}, object(), [None], *([] if may_be_none else [None])):
        said = rf"^{op}: expected .*, got (?:{re.escape(type(wrong).__name__)}|None|'a'|\{{\}}|object|\[None\])"
        refused(lambda wrong=wrong: function(**right | {name: wrong}), TypeError, said)


LAYERS = {
    "Linear": lambda x: Linear(3, 2)(x),
    "LayerNorm": lambda x: LayerNorm(3)(x),
    "Dropout": lambda x: Dropout(0.5)(x),
    "FeedForward": lambda x: FeedForward(3)(x),
    "Embedding": lambda x: Embedding(3, 2)(x),
    "MultiHeadAttention": lambda x: MultiHeadAttention(4, 2)(x),
    "Block": lambda x: Block(4, 2)(x),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_calls_of_layers(layer):
    for wrong in (None, "a", {}, [None]):
        refused(lambda wrong=wrong: LAYERS[layer](wrong), TypeError, ": expected .*, got ")
    refused(lambda: LAYERS[layer]([[1], [1, 2]]), ValueError, ": expected rows of one length, got ")
    if layer != "Dropout":
        refused(lambda: LAYERS[layer](np.zeros((1, 1, 2, 7))), (TypeError, ValueError), ": .*expected|don't mix")


IDS = {  # what is asked for -> a call with it
    "ids": lambda ids: model()(ids),
    "labels": lambda ids: model()([[1, 2]], labels=ids),
    "targets": lambda ids: GPT(CONFIG).loss([[1, 2]], ids),
    "ids in the prompt": lambda ids: model().generate(ids, max_new_tokens=1),
}
WRONG_IDS = [None, "ab", b"ab", ["ab", "c"], [["a"]], [[1.0, 2.0]], np.ones((1, 2)), [[True, False]], [[None]], {1: 2}]


@pytest.mark.parametrize("name", IDS)
def test_ids(name):
    for wrong in WRONG_IDS[1:] if name == "labels" else WRONG_IDS:  # None: there are no labels
        refused(lambda wrong=wrong: IDS[name](wrong), TypeError, f": expected integer {name}, got ")
    refused(lambda: IDS[name]([[1], [1, 2]]), ValueError, r"expected rows of one length, got \[\[1\], \[1, 2\]\].*pad")
    refused(lambda: IDS[name]([[10**30, 1]]), IndexError, f"expected {name} that int64 can hold, got ")
    refused(lambda: IDS[name]([[1, 99]]), IndexError, "expected .* in 0 .. 10.*, got 99")
    for wrong in (3, [1, 2], [[[1, 2]]]):
        refused(lambda wrong=wrong: IDS[name](wrong), ValueError, r"expected \w+ of shape \(B, T\).*, got ")
    for right in ([[1, 2]], ((1, 2),), np.uint16([[1, 2]]), Tensor([[1, 2]]), [np.array([1, 2])], [Tensor([1, 2])]):
        IDS[name](right)


# --- peculiar to one place ---------------------------------------------------------------------------------------

TOKENIZER = CharTokenizer("abc")


def generated_once():
    found = (p for p in parameters())
    list(found)
    return optim.AdamW(found)


def with_grad(grad):
    p = leaf()
    optimizer = optim.SGD([p], 0.1)
    p.grad = grad
    return optimizer.step()


ERRORS = [
    # tensors
    (lambda: tg.tensor([leaf(), leaf()]), TypeError, "^tensor: .*lose the gradient"),
    (lambda: F.add(leaf(), [leaf(), leaf()]), TypeError, "^add: .*lose the gradient"),
    (lambda: tg.tensor([[1.0], [1.0, 2.0]]), ValueError, r"^tensor: expected rows of one length, got \[\[1.0\], "),
    (lambda: tg.tensor([1j], dtype=np.float32), TypeError, "^tensor: expected float32.*, got complex128"),
    (lambda: tg.tensor(["1.5"], dtype=np.float32), TypeError, r"^tensor: expected float32.*, got \['1.5'\]"),
    (lambda: tg.tensor([None], dtype=np.float32), TypeError, r"^tensor: expected float32.*, got \[None\]"),
    (lambda: tg.tensor([1.0], dtype="float16"), TypeError, "^tensor: expected float32.*, got float16"),
    (lambda: tg.tensor([1.0], dtype="real"), TypeError, "^tensor: expected a dtype such as np.float32 .*, got 'real'"),
    (
        lambda: tg.tensor([1.0], np.float64),
        TypeError,
        "^Tensor: expected True or False as requires_grad, got .*float64",
    ),
    (lambda: leaf().astype(None), TypeError, "^astype: expected a dtype such as np.float32 .*, got None"),
    (lambda: leaf().astype("float16"), TypeError, "^astype: expected float32.*, got float16"),
    (lambda: leaf().to("real"), TypeError, "^to: expected float32, float64 or a device .*, got 'real'"),
    (lambda: leaf().to(_Foreign()), TypeError, r"^to: expected float32, float64 or a device .*, got torch\.Tensor"),
    (lambda: bool(leaf()), ValueError, r"^bool: expected a Tensor with one element, got shape \(2, 3\): .*\.any\(\)"),
    (lambda: len(Tensor(1.0)), TypeError, r"^len: a Tensor without axes cannot be counted; its number is x\.item\(\)"),
    (lambda: leaf() == _Foreign(), TypeError, r"^==: expected .*, got torch\.Tensor: convert with tensor\(x\.numpy"),
    (lambda: leaf() == np.ones(5), ValueError, r"^==: expected shapes that broadcast .*, got \(2, 3\) and \(5,\)"),
    (lambda: leaf() ** None, TypeError, "^pow: expected a Python number as exponent, got NoneType"),
    (lambda: np.array(2.0) ** leaf(), TypeError, "^pow: expected a positive number .*, got array of float64"),
    (lambda: leaf().backward(X[0]), ValueError, r"^backward: expected a gradient of shape \(2, 3\), got \(3,\)"),
    (lambda: leaf().backward("a"), TypeError, "^backward: expected float32.*, got 'a'"),
    (lambda: list(leaf().backward_steps([[1], [1, 2]])), ValueError, "^backward: expected rows of one length"),
    # indices
    (lambda: leaf()[0.5], IndexError, "^getitem: expected integers, slices.* as index, got 0.5"),
    (lambda: leaf()["a"], IndexError, "^getitem: expected integers, slices.* as index, got 'a'"),
    (lambda: leaf()[0, "a"], IndexError, "^getitem: expected integers, slices.* as index, got 'a'"),
    (lambda: leaf()[np.array([0.0])], IndexError, "^getitem: expected .* as index, got array of float64"),
    (lambda: leaf()[[0.5]], IndexError, r"^getitem: expected .* as index, got \[0.5\]"),
    (lambda: leaf()[0:1.5], IndexError, "^getitem: expected integers, slices.* as index, got 1.5"),
    (lambda: leaf()[Tensor(0.0) :], IndexError, "^getitem: expected .* as index, got Tensor of float32"),
    (lambda: leaf()[{}], IndexError, r"^getitem: expected integers, slices.* as index, got \{\}"),
    (lambda: leaf()[([[0, 1], [0]],)], ValueError, "^getitem: expected rows of one length"),
    (lambda: leaf()[[[0, 1], [0]]], IndexError, "^getitem: a list of lists is two things"),
    # functions
    (lambda: np.sum(leaf()), TypeError, r"^sum: has no (dtype|out)=; np\.sum takes x\.numpy\(\)"),
    (lambda: F.embedding(7, X), IndexError, r"^embedding: expected ids in 0 .. 1 .*, got 7 at position \(\)"),
    (lambda: recompute(leaf(), leaf()), TypeError, "^recompute: expected a function, .*, got Tensor of float32"),
    (
        lambda: Tensor([1, 2]).exp(),
        TypeError,
        r"^exp: expected float32 or float64, got int64 of shape \(2,\): .*astype",
    ),
    (lambda: Tensor([1, 2]).mean(), TypeError, r"^mean: expected float32 or float64, got int64 of shape \(2,\): .*as"),
    (lambda: Tensor([True]) - Tensor([True]), TypeError, r"^sub: booleans are not subtracted: write ~a, a \^ b"),
    (lambda: Tensor([0, 1]) + Tensor([1, 2, 3]), ValueError, "^add: expected shapes that broadcast"),
    (lambda: Tensor([], dtype=np.int64).amax(), ValueError, "^amax: expected at least one element"),
    (lambda: F.argmax(np.zeros((0, 2)), 0), ValueError, "^argmax: expected at least one element"),
    (lambda: F.swapaxes(X, 0, 5), ValueError, "^swapaxes: axis 5 is out of range"),
    (
        lambda: F.transpose(Q, (0, 1)),
        TypeError,
        r"^transpose: expected two axes to exchange, got \(\(0, 1\)\): x.permute",
    ),
    (lambda: leaf().transpose(), TypeError, r"^transpose: expected two axes to exchange, got \(\): x.permute.* x\.T"),
    (lambda: leaf().transpose(0, 1, 2), TypeError, r"^transpose: expected two axes .*, got \(0, 1, 2\): x.permute"),
    (lambda: F.permute(Q, (0, 1)), ValueError, "^permute: expected every one of the 4 axes.*transpose"),
    (lambda: Tensor(Q).t(), ValueError, r"^t: expected a matrix or a vector, got shape \(1, 2, 3, 4\): .*transpose"),
    (lambda: leaf().flatten(1, 0), ValueError, "^flatten: expected start_dim before end_dim, got 1 and 0"),
    (lambda: leaf().expand(3), ValueError, r"^expand: expected 2 sizes or more.*, got \(3,\)"),
    (lambda: leaf().expand(-1, 2, 3), ValueError, r"^expand: expected 2 sizes or more.*, got \(-1, 2, 3\)"),
    (lambda: leaf().repeat(2, -1), ValueError, r"^tile: expected dims >= 0, got \(2, -1\)"),
    (lambda: F.stack([X, X.T]), ValueError, "^stack: expected Tensors of one shape, got "),
    (lambda: F.stack([]), ValueError, "^stack: expected Tensors of one shape, got none"),
    (lambda: F.stack(3), TypeError, "^stack: expected a sequence of Tensors, got 3"),
    (lambda: F.chunk(X, 0), ValueError, "^chunk: expected chunks >= 1, got 0"),
    (lambda: leaf().max((0, 1)), TypeError, r"^max: expected one axis, an integer, got \(0, 1\): amax\(x, dim\)"),
    (lambda: leaf().max(0, other=X), TypeError, "^max: expected an axis or another Tensor, got both"),
    (lambda: leaf().masked_fill(X > 0, X), ValueError, r"^masked_fill: expected a number as value.*where"),
    (lambda: Tensor([1]).masked_fill([True], 0.5), TypeError, "^masked_fill: expected an integer to fill int64 with"),
    (lambda: leaf().masked_fill(X, 0), TypeError, "^where: expected a boolean condition, got float32"),
    (lambda: Tensor([1.0]).tril(), ValueError, r"^tril: expected .*\(\.\.\., N, M\), got .*\(1,\)"),
    (
        lambda: F.layer_norm(X, ONES, ONES),
        TypeError,
        r"^layer_norm: expected the shape .* before the weight, got array",
    ),
    (lambda: F.layer_norm(X, (2, 3)), ValueError, r"^layer_norm: expected normalized_shape \(3,\), .*, got \(2, 3\)"),
    (lambda: F.layer_norm(X, 2), ValueError, r"^layer_norm: expected normalized_shape \(3,\), .*, got \(2,\)"),
    (lambda: F.gelu_linear(X, X), TypeError, "approximate"),
    (lambda: leaf().double(), TypeError, "^to: this Tensor requires a gradient, and none flows back.* x.detach"),
    (lambda: F.concatenate(None), TypeError, "^concatenate: expected a sequence of Tensors, got None"),
    (lambda: F.concatenate(3.0), TypeError, "^concatenate: expected a sequence of Tensors, got 3.0"),
    (lambda: F.concatenate(leaf(), leaf()), TypeError, "^concatenate: expected one axis, .* got axis=Tensor of"),
    (lambda: F.concatenate([X, None]), TypeError, "^concatenate: expected float32.*, got None"),
    (lambda: F.broadcast_to(X, (-1, 2, 3)), ValueError, r"^broadcast_to: expected a shape .*, got \(-1, 2, 3\)"),
    (lambda: F.split(X, None), TypeError, "^split: expected an integer as split_size_or_sections, got None"),
    (
        lambda: F.linear(X, _Foreign()),
        TypeError,
        r"^linear: .*, got torch\.Tensor: convert with tensor\(x\.numpy",
    ),
    (
        lambda: F.cross_entropy(X, np.ones(2)),
        TypeError,
        "^cross_entropy: expected integer targets, got float64.*int64",
    ),
    (lambda: F.cross_entropy(X, [True, False]), TypeError, "^cross_entropy: expected integer targets, got bool"),
    (lambda: F.cross_entropy(X, [0, 1], reduction=["mean"]), ValueError, "^cross_entropy: expected reduction="),
    (lambda: F.gelu(X, approximate=True), ValueError, '^gelu: expected approximate="tanh" or "none", got True'),
    (lambda: F.attention_weights(Q, Q[..., :2]), ValueError, r"^attention: expected q of shape \(B, H, Tq, D\)"),
    (
        lambda: F.attention_weights(Q, Q, np.ones((3, 4), bool)),
        ValueError,
        r"a mask that broadcasts .*, got \(3, 4\)",
    ),
    (lambda: tg.explain("softmax", X, axis=None), TypeError, "^softmax: expected one axis"),
    (lambda: tg.explain("softmax", "a"), TypeError, "^softmax: expected float32.*, got 'a'"),
    (lambda: tg.unregister(None), ValueError, r"^unregister: expected what register\(\) returned.*, got None"),
    # layers
    (lambda: Linear(3, 2, weight=X[:2]), TypeError, "^Linear: expected a Parameter or None as weight, got array of"),
    (lambda: LayerNorm((2, 3)), ValueError, r"^LayerNorm: expected the size of the last axis .*, got \(2, 3\)"),
    (lambda: LayerNorm(3, 1e-5, 0.5), TypeError, "^LayerNorm: expected True or False as elementwise_affine, got 0.5"),
    (lambda: FeedForward(8, activation=["gelu"]), ValueError, r"^FeedForward: expected activation .*, got \['gelu'\]"),
    (lambda: FeedForward(8, activation=F.relu), ValueError, "^FeedForward: expected .*, got the function relu"),
    (lambda: Block(8, 2, attn_dropout=5), ValueError, "^MultiHeadAttention: expected 0 <= dropout < 1, got 5"),
    (lambda: MultiHeadAttention(4, 2)(Q), ValueError, r"^MultiHeadAttention: expected x.* of shape \(B, T, C\)"),
    (lambda: Linear(2, 3).load_state_dict(None), TypeError, "^load_state_dict: expected a dictionary .*, got None"),
    (lambda: Linear(2, 3).load_state_dict({3: X}), TypeError, "^load_state_dict: expected a dictionary of name"),
    (
        lambda: Linear(2, 3).load_state_dict({"bias": None}),
        TypeError,
        "^load_state_dict, bias: expected .*, got None",
    ),
    (lambda: Linear(2, 3).load_state_dict({"bias": ["a"]}), TypeError, "^load_state_dict, bias: expected numbers, got"),
    # optimisers
    (lambda: optim.AdamW(Linear(2, 3)), TypeError, r"^AdamW: expected the parameters .*: write model\.parameters\(\)"),
    (lambda: optim.SGD(Linear(2, 3).parameters, 0.1), TypeError, r"^SGD: .*: write model\.parameters\(\)"),
    (lambda: optim.grad_norm(Linear(2, 3)), TypeError, r"^grad_norm: .*: write model\.parameters\(\)"),
    (lambda: optim.clip_grad_norm(Linear(2, 3), 1.0), TypeError, r"^clip_grad_norm: .*: write model\.parameters\(\)"),
    (lambda: optim.AdamW(leaf()), TypeError, "^AdamW: expected Tensors or .*, got Tensor of .*: put Tensors in a list"),
    (lambda: optim.AdamW(None), TypeError, "^AdamW: expected Tensors or .*, got None"),
    (lambda: optim.AdamW("ab"), TypeError, "^AdamW: expected Tensors or .*, got 'ab'"),
    (lambda: optim.AdamW({"p": leaf()}), TypeError, r"^AdamW: .*, got a dictionary: write its \.items\(\)"),
    (lambda: optim.AdamW([{"params": []}]), ValueError, "^AdamW: expected at least one parameter to update, got none"),
    (lambda: optim.AdamW([leaf() * 2]), TypeError, "^AdamW: expected .*leaves.*, got a computed Tensor as 0"),
    (lambda: optim.AdamW([X]), TypeError, "^AdamW: expected .*leaves.*, got array of float32"),
    (lambda: optim.AdamW([("a",)]), TypeError, r"^AdamW: expected .*leaves.*, got \('a',\)"),
    (generated_once, ValueError, "^AdamW: expected at least one parameter.*a generator gives its own once"),
    (lambda: optim.AdamW(parameters(), betas=0.9), TypeError, "^AdamW: expected two numbers as betas, .*, got 0.9"),
    (lambda: optim.AdamW(parameters(), betas=(0.9,)), TypeError, r"^AdamW: expected two numbers .*, got \(0.9,\)"),
    (lambda: optim.AdamW(parameters(), decays=True), TypeError, "^AdamW: it has no argument decays: use two groups"),
    (
        lambda: with_grad(Tensor(X)),
        TypeError,
        r"^step: of the parameter 0, \.grad holds a Tensor",
    ),
    (lambda: with_grad(1.0), ValueError, r"^step: expected a gradient .*like the parameter 0, got 1\.0 in \.grad: "),
    (
        lambda: with_grad(X[0]),
        ValueError,
        r"^step: expected a gradient .*like the parameter 0, got .*float32.*\(3,\) in \.grad: ",
    ),
    (lambda: optim.grad_norm([X]), TypeError, "^grad_norm: expected Tensors, got array of float32"),
    (lambda: optim.noam(-1, d_model=4, warmup=2), ValueError, "^noam: expected step >= 0, got -1"),
    (lambda: optim.noam(1, d_model=0, warmup=2), ValueError, "^noam: expected d_model > 0, got 0"),
    (lambda: optim.inverse_sqrt(-1, lr=1.0, warmup=2), ValueError, "^inverse_sqrt: expected step >= 0, got -1"),
    # models
    (
        lambda: GPT({"vocab_size": 3}),
        TypeError,
        r"^GPT: expected a GPTConfig, got \{.*\}: write GPTConfig\(\*\*",
    ),
    (lambda: GPT2(None), TypeError, "^GPT: expected a GPTConfig, got None"),
    (lambda: GPT(CONFIG)([[1]], [[1]]), TypeError, r"^GPT: expected a KVCache or None as cache, got \[\[1\]\]"),
    (lambda: model()([[1, 2]], attention_mask="a"), TypeError, "^attention_mask: expected float32.*, got 'a'"),
    (
        lambda: model().log_prob([1, 2]),
        ValueError,
        r"^log_prob: expected ids and mask of one shape .*, got \(2,\)",
    ),
    (lambda: GPT2.from_pretrained(None), TypeError, "^from_pretrained: expected a path, .*, got None"),
    (lambda: model().save_pretrained(None), TypeError, "^save_pretrained: expected a path, .*, got None"),
    (lambda: GPT1ForClassification(None, 2), TypeError, "^GPT1ForClassification: expected a GPT as body, got None"),
    (lambda: GPT1ForClassification(model(), 2)([[1, 2]], [0.0]), TypeError, "^GPT-1: expected integer places"),
    (
        lambda: GPT1ForClassification(model(), 2)([[1, 2]], 0),
        ValueError,
        r"^GPT-1: expected ids of shape \(\.\.\., T",
    ),
    # generation
    (lambda: generate(None, [1], 2), TypeError, "^generate: expected a language model, such as GPT, got None"),
    (
        lambda: generate(Linear(2, 3), [1], 2),
        TypeError,
        "^generate: expected a language model, such as GPT, got Lin",
    ),
    (lambda: generate(model(), "ab", 2), TypeError, "^generate: expected integer ids in the prompt, got 'ab': encode"),
    (lambda: generate(model(), [1], 2, seed=-1), ValueError, "^generate: expected seed >= 0 or None, got -1"),
    (
        lambda: model().generate([[1], [2, 3]]),
        ValueError,
        r"^generate: expected rows of one length, .*\.pad_left",
    ),
    (
        lambda: model().generate([[1]], None, 2, num_beams=2, early_stopping=np.ones(2)),
        ValueError,
        "^generate: expected early_stopping True, False or 'never', got array of float64",
    ),
    (lambda: pad_left(None, 0), TypeError, "^pad_left: expected a list of prompts, each a list of ids, got None"),
    (lambda: pad_left([1, 2], 0), ValueError, "^pad_left: expected a list of prompts.*put one prompt in a list"),
    (lambda: pad_left(["ab", "c"], 0), TypeError, "^pad_left: expected integer ids in each prompt, got 'ab': encode"),
    (lambda: pad_left([[1.5], [1]], 0), TypeError, "^pad_left: expected integer ids in each prompt, got float64"),
    (lambda: token_probabilities([]), ValueError, r"^token_probabilities: expected logits of shape \(V,\)"),
    (lambda: token_probabilities([[1.0]]), ValueError, r"^token_probabilities: expected logits of shape \(V,\)"),
    (lambda: token_probabilities(None), TypeError, "^token_probabilities: expected float32.*, got None"),
    # texts
    (lambda: TOKENIZER.encode(None), TypeError, "^encode: expected a str as the text, got None"),
    (lambda: TOKENIZER.encode(b"ab"), TypeError, r"^encode: expected a str as the text, got b'ab': .*\.decode\("),
    (lambda: TOKENIZER.encode(["a", "b"]), TypeError, "^encode: expected a str .*: give one text at a time"),
    (lambda: TOKENIZER.decode("abc"), TypeError, "^decode: expected a sequence of ids, got 'abc'"),
    (lambda: TOKENIZER.decode(1), TypeError, "^decode: expected a sequence of ids, got 1"),
    (lambda: TOKENIZER.decode([0.5]), TypeError, "^decode: expected an integer as a token id, got 0.5"),
    (lambda: TOKENIZER.decode([[0, 1]]), TypeError, r"^decode: expected an integer as a token id, got \[0, 1\]"),
    (lambda: TOKENIZER.decoder().feed(None), TypeError, "^decode: expected an integer as a token id, got None"),
    (lambda: TOKENIZER.save(None), TypeError, "^save: expected a path, .*, got None"),
    (lambda: CharTokenizer(b"abc"), TypeError, "^CharTokenizer: expected a text or an iterable .*, got b'abc'"),
    (lambda: CharTokenizer([1, 2]), TypeError, "^CharTokenizer: expected a str as a character, got 1"),
]


@pytest.mark.parametrize("call, error, says", ERRORS, ids=[says[:50] for _, _, says in ERRORS])
def test_errors(call, error, says):
    refused(call, error, says)


# --- what works --------------------------------------------------------------------------------------------------


def test_a_module_may_hold_its_parent():
    class Part(nn.Module):
        def __init__(self, whole):
            self.whole, self.layer = whole, Linear(2, 3)

    whole = nn.Module()
    whole.parts = [Part(whole), Part(whole)]
    whole.parts.append(whole.parts)
    whole.itself = {"it": whole}
    names = [f"parts.{i}.layer.{name}" for i in (0, 1) for name in ("weight", "bias")]
    assert [name for name, _ in whole.named_parameters()] == list(whole.state_dict()) == names
    assert len(list(whole.modules())) == 5 and whole.num_parameters() == 18
    assert repr(whole) == "Module(18 parameters in 4 Tensors)"
    assert not whole.eval().parts[0].layer.training
    assert next(whole.to("float64").parameters()).dtype == np.float64
    whole.load_state_dict(whole.state_dict())
    optim.AdamW(whole.named_parameters())


def test_a_part_that_is_shared_at_every_level_is_walked_through_once():
    module = Linear(2, 3)
    for _ in range(60):  # 2**60 ways lead to it
        outer = nn.Module()
        outer.one, outer.two = module, module
        module = outer
    assert len(list(module.parameters())) == 2 and len(list(module.modules())) == 61


def test_configs_take_numpys_numbers_as_pythons():
    config = GPTConfig(np.int64(11), n_embd=np.int32(8), dropout=np.float32(0.5), bias=np.True_)
    assert (type(config.vocab_size), type(config.dropout), type(config.bias)) == (int, float, bool)
    assert config == GPTConfig(11, n_embd=8, dropout=0.5)


def test_a_state_may_be_of_tensors_and_lists():
    layer = Linear(2, 1)
    layer.load_state_dict({"weight": Tensor([[1.0, 2.0]]), "bias": [3]})
    assert layer.weight.data.tolist() == [[1, 2]] and layer.bias.data.tolist() == [3]
    assert layer.bias.dtype == np.float32


def test_ids_of_every_kind_are_decoded():
    for ids in ([0, 1], (0, 1), np.array([0, 1]), np.uint16([0, 1]), Tensor([0, 1]), iter([0, np.int8(1)])):
        assert TOKENIZER.decode(ids) == "ab"
    assert TOKENIZER.encode(np.str_("ab")).tolist() == [0, 1]


def test_prompts_of_every_kind_are_padded():
    for prompts in ([[1], [2, 3]], ((1,), (2, 3)), [np.array([1]), Tensor([2, 3])], iter([[1], [2, 3]])):
        ids, mask = pad_left(prompts, np.int64(0))
        assert ids.tolist() == [[0, 1], [2, 3]] and mask.tolist() == [[0, 1], [1, 1]]
