"""An op's contract in words, and signatures that do not keep it."""

import types

import pytest

from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.contract import contract, disagreements, file_of, inputs, where_it_stands
from tinygrad_gpt.ops import attention, concatenate, cross_entropy, layer_norm, softmax

OPS = registry.op_names()


def pair(forward, backward=lambda dy, saved: 0):
    return types.SimpleNamespace(forward=forward, backward=backward)


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (softmax, "forward(x, *, axis=-1) -> (y, saved); backward(dy, saved) -> dx"),
        (
            attention,
            "forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0) -> (y, saved); "
            "backward(dy, saved) -> (dq, dk, dv, dmask)",
        ),
        (
            cross_entropy,
            "forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction='mean') -> (y, saved); "
            "backward(dy, saved) -> (dlogits, None)",
        ),
        (
            concatenate,
            "forward(*arrays, axis=0) -> (y, saved); backward(dy, saved) -> a tuple, one gradient for each of arrays",
        ),
    ],
    ids=["softmax", "attention", "cross_entropy", "concatenate"],
)
def test_the_contract_in_words(op, text):
    assert contract(op) == text


@pytest.mark.parametrize("op", OPS)
def test_every_reference_keeps_its_own_contract(op):
    module = registry.reference(op)
    assert disagreements(module, module) == []
    assert contract(module).startswith("forward(") and file_of(module).endswith(f"{op}.py")
    for version in registry.versions(op):
        assert disagreements(module, version) == [], version


def test_which_gradients_are_none_is_read_off_the_references():
    found = {
        op: contract(registry.reference(op)).count("None", contract(registry.reference(op)).index("-> (y"))
        for op in OPS
    }
    assert {op for op, count in found.items() if count} == {
        "cross_entropy",
        "embedding",
        "gather",
        "linear_cross_entropy",
        "shift_rows",
        "where",
    }


def test_what_is_an_array_and_what_a_setting():
    takes = inputs(lambda x, bias=None, eps=1e-5, *more, axis, keep=True, **others: 0)
    assert (takes.arrays, takes.required, takes.many) == (("x", "bias"), 1, "more")
    assert list(takes.settings) == ["eps", "axis", "keep"] and takes.open
    assert inputs(dict) is None  # Python cannot tell


@pytest.mark.parametrize(
    ("op", "wrong", "said"),
    [
        (softmax, pair(lambda x: 0), ["forward lacks the setting axis=-1"]),
        (softmax, pair(lambda x, axis: 0), ["forward's setting axis has no default, and should have axis=-1"]),
        (softmax, pair(lambda x, *, axis: 0), ["forward's setting axis has no default, and should have axis=-1"]),
        (softmax, pair(lambda x, *, axis=-1, dim: 0), ["forward needs a setting dim, which the op does not have"]),
        (softmax, pair(lambda x, y, *, axis=-1: 0), ["forward needs 2 arrays (x, y), the op has 1"]),
        (softmax, pair(lambda x, *, axis=-1: 0, lambda dy: 0), ["backward is called with (dy, saved), and takes (dy)"]),
        (softmax, pair(lambda x, *, axis=-1: 0, None), ["backward should be a function, it is None"]),
        (softmax, types.SimpleNamespace(forward=len), ["the pair has no backward"]),
        (layer_norm, pair(lambda x, weight, eps=1e-5: 0), ["forward does not take bias: it takes x, weight"]),
        (
            attention,
            pair(lambda q, k, v, *, causal=False, scale=None, **settings: 0),
            ["forward does not take mask: it takes q, k, v"],
        ),
        (
            cross_entropy,
            pair(lambda logits, targets: 0),
            [
                "forward lacks the setting ignore_index=-100",
                "forward lacks the setting label_smoothing=0.0",
                "forward lacks the setting reduction='mean'",
            ],
        ),
        (concatenate, pair(lambda a, b, *, axis=0: 0), ["forward takes a, b, and should take any number: *arrays"]),
    ],
)
def test_signatures_that_do_not_keep_it(op, wrong, said):
    assert disagreements(op, wrong) == said


@pytest.mark.parametrize(
    "forward",
    [
        lambda x, axis=-1: 0,
        lambda x, *, axis=-1, more=3: 0,
        lambda *arrays, **settings: 0,
        lambda x, **settings: 0,
        lambda array, scale=None, axis=-1: 0,
        dict,  # Python cannot tell
    ],
)
def test_signatures_that_do(forward):
    assert disagreements(softmax, pair(forward)) == []


def test_where_it_stands_names_the_file_and_the_command():
    text = where_it_stands("softmax", softmax)
    assert softmax.__file__ in text and text.endswith("or run `tinygrad-gpt op softmax`")
    typed_in = {}
    exec("def forward(x): return x, None\ndef backward(dy, saved): return dy", typed_in)
    mine = types.SimpleNamespace(**typed_in)
    assert (
        where_it_stands("mine", mine) == "the contract of mine is forward(x) -> (y, saved); backward(dy, saved) -> dx"
    )
    mine = types.SimpleNamespace(forward=softmax.forward, backward=softmax.backward)
    assert where_it_stands("mine", mine).endswith(f"; its first pair is in {softmax.__file__}")


@pytest.mark.parametrize("wrong", [pair(dict, 3), pair(None, None), types.SimpleNamespace()])
def test_a_pair_that_is_none_has_the_contract_of_all_pairs(wrong):
    assert contract(wrong).startswith("forward(*arrays, **settings) -> (y, saved); backward(dy, saved) -> a tuple")
