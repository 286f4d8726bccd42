"""The checker where measuring alone sees nothing: at kinks, in the last digits, far out, and for any dy in memory."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_gpt.functional as F
from tinygrad_gpt.cases import Case, cases
from tinygrad_gpt.check import check_op, gradcheck
from tinygrad_gpt.check.layouts import turned
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops import cross_entropy, exp, layer_norm, linear, maximum, mul, relu, sqrt
from tinygrad_gpt.ops import max as max_op

rng = np.random.default_rng(11)


def pair(module, backward=None, forward=None):
    return SimpleNamespace(forward=forward or module.forward, backward=backward or module.backward)


def failures(op, wrong, which=None) -> list:
    return list(check_op(op, wrong, which).failures)


# --- kinks -------------------------------------------------------------------------------------------------------


def max_to_all(dy, saved):
    is_largest, axes = saved
    return (np.where(is_largest, dy.reshape([1 if i in axes else n for i, n in enumerate(is_largest.shape)]), 0.0),)


def max_to_the_first(dy, saved):
    is_largest, axes = saved
    order = np.arange(is_largest.size).reshape(is_largest.shape)
    first = np.min(np.where(is_largest, order, order.size), axis=axes, keepdims=True, initial=order.size)
    return max_to_all(dy, max_op.Saved(order == first, axes))


def maximum_to(side):
    def backward(dy, saved):
        da = np.where(saved.a >= saved.b if side == "a" else saved.a > saved.b, dy, 0.0)
        return maximum.sum_to_shape(da, saved.a.shape), maximum.sum_to_shape(dy - da, saved.b.shape)

    return backward


def relu_that_saves_x(gradient):
    return pair(relu, lambda dy, x: (gradient(dy, x),), lambda x: (np.maximum(x, 0), x.copy()))


WRONG_AT_KINKS = {
    "max: dy to every tie": ("max", pair(max_op, max_to_all), "an equal share of dy"),
    "max: dy to the first": ("max", pair(max_op, max_to_the_first), "an equal share of dy"),
    "maximum: all to a": ("maximum", pair(maximum, maximum_to("a")), "each gets half of dy"),
    "maximum: all to b": ("maximum", pair(maximum, maximum_to("b")), "each gets half of dy"),
    "relu: slope 1 at 0": ("relu", relu_that_saves_x(lambda dy, x: np.where(x >= 0, dy, 0.0)), "the gradient is 0"),
    "relu: slope half at 0": ("relu", relu_that_saves_x(lambda dy, x: dy * np.heaviside(x, 0.5)), "the gradient is 0"),
    "relu: slope by sign bit": ("relu", relu_that_saves_x(lambda dy, x: dy * ~np.signbit(x)), "the gradient is 0"),
    "sqrt: slope 0 at 0": (
        "sqrt",
        pair(sqrt, lambda dy, s: (np.divide(dy, 2 * s.y, out=np.zeros_like(dy), where=s.y > 0),)),
        "the slope is infinite",
    ),
}


@pytest.mark.parametrize("name", WRONG_AT_KINKS)
def test_a_gradient_that_breaks_the_contract_at_a_kink_is_told_in_its_words(name):
    op, wrong, words = WRONG_AT_KINKS[name]
    smooth = [case for case in cases(op) if not case.kink]
    assert check_op(op, wrong, smooth).ok, "it is wrong elsewhere too: then this test shows nothing"
    report = check_op(op, wrong)
    assert report.failures and all("wrong numbers at a kink" in f.problem for f in report.failures)
    message = str(report)
    assert "there is no derivative to measure here, so the contract decides: " in message and words in message


def test_every_version_keeps_the_contract_at_kinks(monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.kernels.small.LEAST", 0)  # kernels take small arrays too
    for op in registry.op_names():
        at_kinks = [case for case in cases(op) if case.kink]
        for version in registry.versions(op):
            if at_kinks and version.name not in registry.ROUNDING:
                check_op(op, version, at_kinks).raise_if_failed()


def test_what_a_case_states_about_a_kink_stands_in_the_file_of_the_op():
    """In other words; at least the file says that there is something."""
    said = {"max": "tie", "maximum": "tie", "relu": "kink", "sqrt": "infinite", "pow": "infinite"}
    said |= {"log": "infinite", "div": "zero in b", "log_softmax": "-inf", "cross_entropy": "0 for ignored rows"}
    said |= {"clamp": "kink"}
    assert {op for op in registry.op_names() if any(case.kink for case in cases(op))} == set(said)
    for op, word in said.items():
        assert word in registry.reference(op).__doc__, op


def test_a_case_of_one_s_own_may_sit_at_a_kink():
    x = np.array([3.0, 3.0, 1.0])
    tie = Case("tie", (x,), {}, kink="dy is shared")
    assert check_op("max", max_op, [tie]).ok
    assert "so the contract decides: dy is shared" in str(check_op("max", pair(max_op, max_to_all), [tie]))
    without_words = SimpleNamespace(name="no tie", arrays=(np.array([3.0, 2.0, 1.0]),), settings={})
    assert check_op("max", max_op, [without_words]).ok


def test_a_wrong_value_at_a_kink_is_found_too():
    doubled = pair(max_op, forward=lambda x, **settings: (2 * max_op.forward(x, **settings)[0], None))
    found = failures("max", doubled, [Case("tie", (np.ones(3),), {}, kink="dy is shared")])
    assert [f.subject for f in found][:1] == ["the output"]


def test_infinite_gradients_have_signs():
    wrong = pair(sqrt, lambda dy, saved: (np.abs(dy / (2 * saved.y)) * np.where(saved.y > 0, np.sign(dy), 1),))
    assert not check_op("sqrt", wrong).ok


def test_checking_at_the_edge_of_a_domain_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_op("sqrt", sqrt).ok and check_op("div", registry.reference("div")).ok


# --- the last digits ---------------------------------------------------------------------------------------------


def single(x):
    return np.asarray(x, np.float32)


def exp_in_float32(x):
    y = np.exp(single(x))
    return y.astype(x.dtype), exp.Saved(y)


IN_FLOAT32 = {
    "forward": pair(exp, lambda dy, s: (dy * s,), lambda x: (np.exp(single(x)).astype(x.dtype), np.exp(x))),
    "backward": pair(exp, lambda dy, s: ((single(dy) * single(s.y)).astype(dy.dtype),)),
    "what is saved": pair(exp, lambda dy, s: (dy * s.y.astype(dy.dtype),), lambda x: (np.exp(x), exp_in_float32(x)[1])),
    "both": pair(exp, lambda dy, s: ((single(dy) * s.y).astype(dy.dtype),), exp_in_float32),
}


@pytest.mark.parametrize("where", IN_FLOAT32)
def test_float32_inside_is_told(where):
    report = check_op("exp", IN_FLOAT32[where])
    assert {f.problem for f in report.failures} == {"as exact as float32 only"}
    assert "is something computed in float32 inside" in str(report)
    outputs = {f.subject for f in report.failures if f.subject == "the output"}
    assert outputs == ({"the output"} if where in ("forward", "both") else set())


def test_a_mean_in_float32_is_told():
    """One small part of a pair, whose error is a fraction of float32's rounding."""

    def forward(x, weight, bias=None, *, eps=1e-5):
        mean = np.mean(single(x), axis=-1, keepdims=True).astype(x.dtype)
        rstd = 1 / np.sqrt(np.mean((x - mean) ** 2, axis=-1, keepdims=True) + eps)
        y = weight * (x - mean) * rstd + (0 if bias is None else bias)
        return y, layer_norm.Saved((x - mean) * rstd, rstd, weight, bias is not None)

    batches = [case for case in cases("layer_norm") if case.name == "batches"]
    found = failures("layer_norm", pair(layer_norm, forward=forward), batches)
    assert {f.problem for f in found} == {"as exact as float32 only"}


def test_float64_inside_a_float32_call_is_fine():
    def forward(x):
        y = np.exp(x.astype(np.float64))
        return y.astype(x.dtype), (y, x.dtype)

    assert check_op("exp", pair(exp, lambda dy, s: ((dy * s[0]).astype(s[1]),), forward)).ok


def test_where_the_forward_is_another_function_its_own_derivative_is_measured():
    """exp of twice x, with the right gradient of that: the output is wrong, the gradient is not."""

    def forward(x):
        return np.exp(2 * x), np.exp(2 * x)

    found = failures("exp", pair(exp, lambda dy, y: (2 * dy * y,), forward))
    assert found and {f.subject for f in found} <= {"the output", "the output in float32"}


# --- far out -----------------------------------------------------------------------------------------------------


def test_a_linear_layer_that_is_wrong_from_row_257_on():
    def backward(dy, saved):
        dx, dweight, dbias = linear.backward(dy, saved)
        dx.reshape(-1, dx.shape[-1])[256:] = 0
        return dx, dweight, dbias

    report = check_op("linear", pair(linear, backward))
    assert {f.subject for f in report.failures} == {"the gradient of x"}
    places = {f.index for f in report.failures if f.index is not None}
    assert places and all(len(place) > 2 or place[0] >= 256 for place in places), "the place is told"


@pytest.mark.parametrize("rows", [257, 520])
def test_a_weight_gradient_that_forgets_rows(rows):
    def backward(dy, saved):
        x = saved.x.reshape(-1, saved.x.shape[-1])[:rows]
        dx, _, dbias = linear.backward(dy, saved)
        return dx, dy.reshape(-1, dy.shape[-1])[:rows].T @ x, dbias

    assert {f.subject for f in failures("linear", pair(linear, backward))} == {"the gradient of weight"}


def test_targets_as_files_hold_them():
    """-1 for what is ignored, in an unsigned dtype: 65535, another class or another place in memory."""

    def forward(logits, targets, *, ignore_index=-100, **settings):
        marked = np.where(targets != ignore_index, targets, 0)
        if targets.dtype.kind == "u" and (targets == ignore_index).any():
            ignore_index = -1  # and so nothing is
        return cross_entropy.forward(logits, marked, ignore_index=ignore_index, **settings)

    found = {f.case for f in failures("cross_entropy", pair(cross_entropy, forward=forward))}
    assert {"uint8, ignoring class 0", "uint16, ignoring class 0", "uint32, ignoring class 0"} <= found


# --- how dy lies in memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_backward_that_reads_dy_by_its_address(dtype):
    """Right for a dy that lies row by row, with gaps between its elements too."""

    def backward(dy, saved):
        if dy.dtype == dtype:
            dy = dy.ravel(order="K").reshape(dy.shape)
        return mul.backward(dy, saved)

    two = [Case("two", (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))), {})]
    found = failures("mul", pair(mul, backward), two)
    single_precision = " in float32, for" if dtype == np.float32 else " for"
    assert found and all(f"{single_precision} a dy in another order in memory" in f.subject for f in found)


def test_turned():
    for shape in ((), (5,), (2, 3, 4), (0, 3), (3, 1)):
        a = rng.normal(size=shape)
        assert np.array_equal(turned(a), a) and turned(a).shape == shape and not np.shares_memory(turned(a), a)
    a = rng.normal(size=(2, 3, 4))
    assert turned(a).strides == (-8, -16, -48)


# --- gradcheck ---------------------------------------------------------------------------------------------------


def test_gradcheck_of_a_large_input_tells_a_place_where_many_are_wrong():
    """There is no reference: random places are measured as well."""
    version = registry.register("exp", exp.forward, lambda dy, saved: (dy * saved.y * 1.01,))
    try:
        with pytest.raises(AssertionError, match=r"worst at \[\d+, \d+\]"):
            gradcheck(F.exp, rng.normal(size=(20, 30)))
    finally:
        registry.unregister(version)
