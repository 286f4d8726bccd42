"""The checker can fail: each kind of mistake is found, and where it has a signature, named."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_gpt.functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.cases import Case
from tinygrad_gpt.check import GradcheckError, check_op, gradcheck
from tinygrad_gpt.check.layouts import as_float, other_layout, with_layout_of
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops import add, exp, layer_norm, matmul, mul, softmax, split
from tinygrad_gpt.ops import sum as sum_op

rng = np.random.default_rng(7)
LAYER_NORM = [
    Case("with bias", (rng.normal(size=(3, 2, 5)), rng.normal(size=5), rng.normal(size=5)), {}),
    Case("no bias", (rng.normal(size=(4, 7)), rng.normal(size=7), None), {"eps": 0.1}),
]
LARGE = [Case("large", (rng.normal(size=(20, 30)),), {})]


def pair(module, backward=None, forward=None):
    return SimpleNamespace(forward=forward or module.forward, backward=backward or module.backward)


def text(op, wrong, cases=None) -> str:
    report = check_op(op, wrong, cases)
    assert not report.ok
    return str(report)


# --- verdicts ----------------------------------------------------------------------------------------------------


def test_a_right_pair_passes_with_every_input_measured():
    report = check_op("layer_norm", layer_norm, LAYER_NORM).raise_if_failed()
    assert report.ok and report.cases == 2 and report.worst_error < 1e-8
    measured = {f.subject for f in report.findings if f.error is not None}
    assert {"the output", "the gradient of x", "the gradient of weight", "the gradient of bias"} <= measured
    assert re.fullmatch(r"layer_norm\[yours\]: right in 2 cases, worst error \d\.\de-\d\d", str(report))


def test_a_wrong_element_is_named_with_both_values():
    def backward(dy, saved):
        dx, dweight, dbias = layer_norm.backward(dy, saved)
        dx[-1, ..., 2] += 0.125
        return dx, dweight, dbias

    report = check_op("layer_norm", pair(layer_norm, backward), LAYER_NORM[1:])
    finding = report.failures[0]
    assert (finding.case, finding.subject, finding.index) == ("no bias", "the gradient of x", (3, 2))
    assert finding.got - finding.right == pytest.approx(0.125, abs=1e-6)
    assert finding.error == pytest.approx(0.125 / finding.scale, rel=1e-5) and finding.error > finding.tolerance
    assert "all its other elements are right" in str(report)
    with pytest.raises(GradcheckError, match="the gradient of x") as caught:
        report.raise_if_failed()
    assert caught.value.report is report


@pytest.mark.parametrize("amount, ok", [(1e-12, True), (1e-8, False), (1e-5, False)])
def test_the_tolerance_lies_between_rounding_and_mistakes(amount, ok):
    wrong = pair(exp, lambda dy, saved: (dy * saved.y * (1 + amount),))
    assert check_op("exp", wrong, [Case("plain", (rng.normal(size=(3, 4)),), {})]).ok is ok


def test_large_inputs_are_measured_at_places_and_along_directions():
    assert check_op("exp", exp, LARGE).ok

    def one_wrong(dy, saved):
        dx = dy * saved.y
        dx[13, 17] *= 1.1
        return (dx,)

    report = check_op("exp", pair(exp, one_wrong), LARGE)
    assert any(f.index is None for f in report.failures), "no direction saw the wrong element"


def test_nan_is_an_error_and_not_a_pass():
    wrong = pair(exp, lambda dy, saved: (dy * np.nan,))
    assert "12 of 12 elements are nan or inf" in text("exp", wrong, [Case("plain", (rng.normal(size=(3, 4)),), {})])


def test_nothing_checked_is_not_ok():
    declining = SimpleNamespace(forward=exp.forward, backward=exp.backward, why_not=lambda *a, **s: "not today")
    report = check_op("exp", declining, LARGE)
    assert not report.ok and report.skipped == (("large", "not today"),)
    assert "nothing was checked (large: not today)" in str(report)
    assert not check_op("exp", exp, []).ok


def test_unknown_ops_are_refused():
    with pytest.raises(ValueError, match="there is no op 'layernorm'"):
        check_op("layernorm", layer_norm)


def test_a_zero_gradient_is_right_where_zero_is_right():
    """With one channel layer norm forgets x: 0 against the noise of the measurement, which the scale must cover."""
    assert check_op("layer_norm", layer_norm, [Case("one", (rng.normal(size=(3, 1)), np.ones(1), None), {})]).ok


# --- hints -------------------------------------------------------------------------------------------------------


def test_hint_dy_ignored():
    wrong = pair(layer_norm, lambda dy, saved: layer_norm.backward(np.ones_like(dy), saved))
    assert "it equals the gradient for an upstream gradient of ones: is dy ignored?" in text(
        "layer_norm", wrong, LAYER_NORM
    )


def test_hint_sign_and_factor():
    plain = [Case("plain", (rng.normal(size=(3, 4)),), {})]
    assert "the sign is flipped" in text("exp", pair(exp, lambda dy, s: (-dy * s.y,)), plain)
    assert "multiplied by 0.4, it would be right" in text("exp", pair(exp, lambda dy, s: (2.5 * dy * s.y,)), plain)


def test_hint_sum_where_a_mean_is_meant():
    wrong = pair(registry.reference("mean"), sum_op.backward, lambda x: (np.mean(x), sum_op.forward(x)[1]))
    message = text("mean", wrong, [Case("plain", (rng.normal(size=(3, 5)),), {})])
    assert "the gradient of a sum" in message


def test_hint_local_derivative_missing():
    wrong = pair(exp, lambda dy, saved: (dy,))
    assert "is left out: dy is passed on" in text("exp", wrong, [Case("plain", (rng.normal(size=(3, 4)),), {})])


def test_hint_missing_factor():
    def backward(dy, saved):
        return *layer_norm.backward(dy, saved)[:2], np.sum(dy, axis=(0, 1)) / saved.weight

    message = text("layer_norm", pair(layer_norm, backward), LAYER_NORM[:1])
    assert "the gradient of bias: wrong numbers" in message
    assert "multiplied by weight, it would be right: is that factor missing?" in message


def test_hint_broadcast_axis_not_summed():
    wrong = pair(add, lambda dy, saved: (dy, dy))
    message = text("add", wrong, [Case("row", (rng.normal(size=(3, 4)), rng.normal(size=4)), {})])
    assert "the gradient of b: has shape (3, 4) instead of (4,)" in message
    assert "it is dy, of shape (3, 4), not summed; b has shape (4,): sum over axis 0 too" in message
    assert "besides" not in message


def test_hint_transposed():
    def backward(dy, saved):
        a, b = saved
        return dy @ b.T, (a.T @ dy).T

    shapes = [Case("shapes", (rng.normal(size=(3, 4)), rng.normal(size=(4, 5))), {})]
    square = [Case("square", (rng.normal(size=(3, 4)), rng.normal(size=(4, 4))), {})]
    assert "db is transposed: dyᵀ @ a" in text("matmul", pair(matmul, backward), shapes)
    assert "db is transposed: dyᵀ @ a" in text("matmul", pair(matmul, backward), square)


def test_hint_missing_sum_term():
    def backward(dy, saved):
        return (saved.y * (dy + np.sum(saved.y * dy, axis=-1, keepdims=True)),)

    message = text("softmax", pair(softmax, backward), [Case("plain", (rng.normal(size=(3, 6)),), {})])
    assert "S14: the sum is added, not subtracted" in message


def test_hint_missing_mean_term():
    def backward(dy, saved):
        x_hat, rstd, weight, _ = saved
        dx_hat = dy * weight
        dx = rstd * (dx_hat - x_hat * np.mean(dx_hat * x_hat, axis=-1, keepdims=True))
        return dx, *layer_norm.backward(dy, saved)[1:]

    message = text("layer_norm", pair(layer_norm, backward), LAYER_NORM)
    assert "N01: the path through the mean is lost" in message


def test_hint_swapped_gradients():
    wrong = pair(mul, lambda dy, saved: mul.backward(dy, saved)[::-1])
    message = text("mul", wrong, [Case("alike", (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))), {})])
    assert "E01: the factors are not exchanged" in message


def test_hint_state_outside_saved():
    state = {}

    def forward(x):
        y, state["saved"] = exp.forward(x)
        return y, None

    wrong = pair(exp, lambda dy, _: exp.backward(dy, state["saved"]), forward)
    assert "is something kept in a global or an attribute instead of in saved?" in text(
        "exp", wrong, [Case("plain", (rng.normal(size=(3, 4)),), {})]
    )


def test_hint_remembered_from_the_first_call():
    first = []

    def backward(dy, saved):
        first.append(saved.y)
        return (dy * first[0],)

    message = text("exp", pair(exp, backward), [Case("plain", (rng.normal(size=(3, 4)),), {})])
    assert "a first call is right and a second with fresh data is wrong" in message


# --- the contract ------------------------------------------------------------------------------------------------

PLAIN = [Case("plain", (rng.normal(size=(3, 4)),), {})]
TWO = [Case("two", (rng.normal(size=(3, 4)), rng.normal(size=(3, 4))), {})]


def in_place_forward(x):
    y, saved = exp.forward(x)
    x += 1
    return y, saved


def spoils(what):
    def backward(dy, saved):
        grads = (dy * saved.y,)
        (dy if what == "dy" else saved.y)[...] = 0
        return grads

    return backward


def scratch(dy, saved, buffer=np.empty((3, 4))):  # noqa: B008 - the shared buffer is the mistake
    return (np.multiply(dy, saved.y, out=buffer),)


def saved_memory(dy, saved):
    np.multiply(saved.y, dy, out=saved.y)
    return (saved.y,)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (pair(exp, forward=lambda x: np.exp(x)), r"forward: should return \(y, saved\), returned ndarray"),
        (pair(exp, forward=lambda x: (2.0, None)), "y should be an array, it is float"),
        (pair(exp, forward=lambda x: (np.exp(x)[0], None)), r"the output: has shape \(4,\) instead of \(3, 4\)"),
        (pair(exp, forward=lambda x: (np.exp(x).astype("f4"), exp.forward(x)[1])), "is float32 instead of float64"),
        (pair(exp, forward=lambda x: (np.exp(x) + 1e-4, exp.forward(x)[1])), "the output: wrong numbers"),
        (pair(exp, forward=in_place_forward), "forward: changes an input in place"),
        (pair(exp, lambda dy, saved: None), "the gradient of x: is None, and a float input needs one"),
        (pair(exp, lambda dy, saved: (dy, dy)), r"returned 2 gradients for 1 inputs \(x\)"),
        (pair(exp, lambda dy, saved: ([1.0],)), "should be an array or None, is list"),
        (pair(exp, lambda dy, saved: ((dy * saved.y).astype("f4"),)), "is float32 instead of float64"),
        (pair(exp, lambda dy, saved: ((dy * saved.y).astype("f8"),)), "is float64 instead of float32"),
        (pair(exp, spoils("dy")), "backward changes dy in place"),
        (pair(exp, spoils("saved")), "backward changes the output and a saved array in place"),
        (pair(exp, scratch), "a later call overwrites it"),
        (pair(exp, saved_memory), "shares memory with a saved array"),
        (pair(exp, lambda dy, saved: 1 / 0), "backward: raised ZeroDivisionError: division by zero"),
        (SimpleNamespace(forward=exp.forward), "the signature: the pair has no backward"),
    ],
)
def test_a_broken_contract_is_reported(wrong, message):
    assert re.search(message, text("exp", wrong, PLAIN))


def test_an_error_in_a_pair_is_reported_with_its_line():
    def backward(dy, saved):
        return dy @ saved.y

    message = text("exp", pair(exp, backward), PLAIN)
    assert "it was raised by `return dy @ saved.y`" in message and "test_check.py, line" in message


def test_a_gradient_for_integers_is_refused():
    def backward(dy, saved):
        dweight = registry.reference("embedding").backward(dy, saved)[1]
        return np.zeros(3), dweight

    case = Case("ids", (np.array([1, 4, 1]), rng.normal(size=(5, 2))), {})
    message = text("embedding", pair(registry.reference("embedding"), backward), [case])
    assert "the gradient of ids: should be None: ids is int64" in message


def test_a_lone_array_is_no_tuple_for_two_inputs():
    assert "should return a tuple of gradients" in text("mul", pair(mul, lambda dy, saved: dy), TWO)


def test_dy_itself_and_views_of_it_are_allowed_as_gradients():
    assert check_op("add", pair(add, lambda dy, saved: (dy, dy[...])), TWO).ok


def test_a_backward_that_needs_dy_contiguous_is_found():
    def backward(dy, saved):
        flat = np.frombuffer(dy.copy() if dy.flags.c_contiguous else dy.base.copy(), dy.dtype)[: dy.size]
        return (flat.reshape(dy.shape) * saved.y,)

    assert "a first call is right and a second with fresh data is wrong" in text("exp", pair(exp, backward), PLAIN)


def test_a_backward_that_cannot_take_a_broadcast_dy_is_found():
    def backward(dy, saved):
        if 0 in dy.strides:
            raise ValueError("no strides")
        return exp.backward(dy, saved)

    assert "raised ValueError: no strides" in text("exp", pair(exp, backward), PLAIN)


def test_several_outputs():
    cases = [Case("thirds", (rng.normal(size=(2, 6)),), {"sizes": (2, 2, 2), "axis": -1})]
    assert check_op("split", split, cases).ok
    assert "returned 1 outputs instead of 3" in text(
        "split", pair(split, forward=lambda x, sizes, axis: (x, None)), cases
    )
    wrong = pair(split, lambda dys, saved: split.backward((dys[0], dys[2], dys[1]), saved))
    assert "the gradient of x: wrong numbers" in text("split", wrong, cases)


def test_infinite_inputs_are_left_alone():
    """An additive mask of -inf has gradient 0 there, and cannot be moved by a finite step."""
    mask = np.where(np.tri(3, 4, 1) > 0, rng.normal(size=(3, 4)), -np.inf)
    case = Case("mask", (*(rng.normal(size=(1, 2, t, 5)) for t in (3, 4, 4)), mask), {})
    assert check_op("attention", registry.reference("attention"), [case]).ok


def test_a_gradient_for_a_bias_that_is_none_is_a_finding():
    def backward(dy, saved):
        return *layer_norm.backward(dy, saved)[:2], np.sum(dy, axis=0)

    assert "the gradient of bias: should be None: bias is None" in text(
        "layer_norm", pair(layer_norm, backward), LAYER_NORM[1:]
    )


def test_an_exit_is_a_finding():
    def backward(dy, saved):
        raise SystemExit(1)

    assert "backward: raised SystemExit: 1" in text("exp", pair(exp, backward), PLAIN)


def test_a_mean_over_no_rows_warns_of_nothing(recwarn):
    wrong = pair(exp, lambda dy, saved: (dy * np.mean(saved.y, axis=0),))
    assert not check_op("exp", wrong, [Case("no rows", (np.zeros((0, 3)),), {}), *PLAIN]).ok
    assert not recwarn.list


def test_a_gradient_in_anothers_place_is_told():
    reference = registry.reference("embedding")
    wrong = pair(reference, lambda dy, saved: reference.backward(dy, saved)[::-1])
    said = text("embedding", wrong)
    assert "G05: it is returned in the place of another" in said and "G03" not in said


# --- gradcheck ---------------------------------------------------------------------------------------------------


def test_gradcheck_of_composed_functions():
    x, w = rng.normal(size=(3, 4)), rng.normal(size=4)
    report = gradcheck(lambda x, w: F.exp(F.layer_norm(x, w.shape, w)) * x + w, x, w)
    assert report.ok and {"the gradient of x", "the gradient of w"} <= {f.subject for f in report.findings}
    assert gradcheck(lambda x: F.split(x, 2, 1), rng.normal(size=(3, 4))).ok
    assert gradcheck(lambda ids, table: F.embedding(ids, table), np.array([0, 2, 2]), rng.normal(size=(3, 2))).ok
    assert gradcheck(lambda x: x * 2.0, [1.0, 2.0]).ok  # a list, float32 by default, is checked in float64


def test_gradcheck_raises_for_a_wrong_pair_deep_inside():
    version = registry.register("exp", exp.forward, lambda dy, saved: (dy * saved.y * 1.01,))
    try:
        with pytest.raises(GradcheckError, match="the gradient of x: wrong numbers"):
            gradcheck(lambda x: F.exp(x) * x, rng.normal(size=(3, 4)))
    finally:
        registry.unregister(version)


def test_gradcheck_sees_an_unused_input_as_zero():
    assert gradcheck(lambda x, unused: x * 3.0, rng.normal(size=3), rng.normal(size=2)).ok


def test_gradcheck_repeats_random_draws():
    random_stream.manual_seed(3)
    assert gradcheck(lambda x: F.dropout(x, 0.5, True), rng.normal(size=(6, 7))).ok
    assert random_stream.random_state() == {"seed": 3, "drawn": 0}


def test_gradcheck_reports_what_fn_raises_and_wrong_returns():
    with pytest.raises(GradcheckError, match="raised ValueError: mul: expected shapes that broadcast"):
        gradcheck(lambda a, b: a * b, np.ones(3), np.ones(4))
    with pytest.raises(GradcheckError, match="should return a Tensor"):
        gradcheck(lambda a: a.data, np.ones(3))


# --- layouts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", [np.s_[:], np.s_[::2], np.s_[::-1, ::3], np.s_[:, 1:2], np.s_[0:0]])
def test_copies_keep_values_and_strides(view):
    a = np.arange(60.0).reshape(6, 10)[view]
    for x in (a, a.T):
        copied = with_layout_of(x, x)
        assert np.array_equal(copied, x) and not np.shares_memory(copied, x)
        assert x.size == 0 or copied.strides == x.strides
        single = as_float(x, np.float32)
        assert single.dtype == np.float32 and (x.size == 0 or single.strides == tuple(s // 2 for s in x.strides))
        assert np.array_equal(other_layout(x), x)
        assert x.size < 2 or not other_layout(x).flags.c_contiguous


def test_copies_of_broadcast_views_can_be_written_element_by_element():
    copied = with_layout_of(np.broadcast_to(np.arange(3.0), (2, 3)), np.broadcast_to(np.arange(3.0), (2, 3)))
    copied[0, 0] = 9
    assert copied[1, 0] == 0


# --- the contract at hand ----------------------------------------------------------------------------------------


def test_a_missing_setting_is_told_with_the_contract_and_the_other_cases_are_checked():
    from tinygrad_gpt.ops import softmax

    wrong = lambda dy, saved: tuple(-g for g in softmax.backward(dy, saved))  # noqa: E731
    report = check_op("softmax", SimpleNamespace(forward=lambda x: softmax.forward(x), backward=wrong))
    signature = report.failures[0]
    assert (signature.case, signature.problem) == ("", "forward lacks the setting axis=-1")
    assert "forward(x, *, axis=-1) -> (y, saved)" in signature.hint and softmax.__file__ in signature.hint
    assert "the sign is flipped" in str(report) and "raised" not in str(report)
    assert report.cases >= 8 and len(report.skipped) == 4  # those along another axis
    assert str(report).endswith("\nnot checked:\n  4 cases: forward lacks the setting axis")


def test_a_missing_mask_leaves_the_cases_without_one():
    from tinygrad_gpt.ops import attention

    def forward(q, k, v, *, causal=False, scale=None, dropout=0.0, seed=0):
        return attention.forward(q, k, v, causal=causal, scale=scale, dropout=dropout, seed=seed)

    pair = SimpleNamespace(forward=forward, backward=lambda dy, saved: attention.backward(dy, saved)[:3])
    report = check_op("attention", pair)
    assert [f.problem for f in report.failures] == ["forward does not take mask: it takes q, k, v"]
    assert report.cases > 20 and {reason for _, reason in report.skipped} == {"forward takes 3 arrays"}


def test_a_backward_that_cannot_be_called_leaves_the_checks_of_forward():
    report = check_op("exp", SimpleNamespace(forward=lambda x: (np.exp(x) + 1, x), backward=lambda dy: dy))
    subjects = {f.subject for f in report.failures}
    assert subjects == {"the signature", "the output", "the output in float32"}
    assert "backward is called with (dy, saved), and takes (dy)" in str(report)


@pytest.mark.parametrize(
    ("grads", "said", "also"),
    [
        (lambda dx, dw, db: (-dx, dw), "returned 2 gradients for 3 inputs (x, weight, bias)", "the sign is flipped"),
        (lambda dx, dw, db: (dx, dw, db, dx), "returned 4 gradients for 3 inputs (x, weight, bias)", ""),
        (lambda dx, dw, db: dx, "should return a tuple of gradients, returned ndarray", ""),
        (lambda dx, dw, db: (dx,), "returned 1 gradient for 3 inputs", ""),
    ],
)
def test_a_wrong_number_of_gradients_is_told_with_the_contract(grads, said, also):
    from tinygrad_gpt.ops import layer_norm

    wrong = pair(layer_norm, lambda dy, saved: grads(*layer_norm.backward(dy, saved)))
    report = check_op("layer_norm", wrong)
    message = str(report)
    assert said in message and also in message and "backward(dy, saved) -> (dx, dweight, dbias)" in message
    assert {f.subject for f in report.failures} <= {"backward", "the gradient of x"}
    assert any(f.ok and f.subject == "the output" for f in report.findings)


def test_a_forward_that_returns_y_alone_is_told_with_the_contract():
    assert "the contract of exp is forward(x) -> (y, saved)" in text("exp", pair(exp, forward=np.exp), PLAIN)


def test_numbers_that_drift_to_float64_are_explained_once():
    def forward(x):
        y, saved = exp.forward(x)
        return y * np.sqrt(4), saved

    message = text("exp", pair(exp, lambda dy, saved: (dy * saved.y * np.sqrt(4),), forward=forward), PLAIN)
    assert "the output in float32: is float64 instead of float32" in message
    assert message.count("np.sqrt(64) of a Python number") == 1 and "G18: the same" in message


def test_nan_in_the_output_is_named_and_its_gradient_not_measured():
    """Softmax over a row that a mask has made -inf: nan, where attention's contract says 0."""
    from tinygrad_gpt.ops import attention

    def forward(q, k, v, mask=None, *, causal=False, scale=None, dropout=0.0, seed=0):
        y, saved = attention.forward(q, k, v, mask, causal=causal, scale=scale, dropout=dropout, seed=seed)
        return np.where(np.all(y == 0, axis=-1, keepdims=True), np.nan, y), saved

    message = text("attention", pair(attention, forward=forward))
    assert "elements are nan or inf: a division by zero, or inf - inf, as in a row that is -inf all along?" in message
    assert "cannot be measured: the output is nan" in message
    assert "should be nan" not in message and "its forward is wrong, or not defined here: put that right" in message


def test_an_error_inside_numpy_is_placed_in_the_pairs_own_code():
    def backward(dy, saved):
        return np.linalg.inv(dy)

    assert "it was raised by `return np.linalg.inv(dy)`" in text("exp", pair(exp, backward), PLAIN)


def test_the_pair_that_runs_is_checked_if_none_is_given():
    version = registry.register("exp", exp.forward, lambda dy, saved: (dy,))
    try:
        assert check_op("exp").version == "yours" and not check_op("exp").ok
    finally:
        registry.unregister(version)


def test_gradients_in_another_order_are_told_by_their_shapes():
    from tinygrad_gpt.ops import layer_norm

    wrong = pair(layer_norm, lambda dy, saved: (*layer_norm.backward(dy, saved)[1::-1], None))
    case = Case("plain", (rng.normal(size=(3, 5)), rng.normal(size=5), None), {})
    message = text("layer_norm", wrong, [case])
    assert "it is the gradient of weight: are the gradients returned in the order of forward's inputs?" in message


def test_the_first_ordinary_case_that_fails_is_shown():
    said = text("softmax", pair(softmax, lambda dy, s: (dy * s.y * (1 - s.y),)))
    assert "\naxis 0: the gradient of x: wrong numbers" in said and "elements are right" not in said


def test_a_backward_that_returns_nothing_is_asked_whether_it_does():
    assert "G03: did backward return anything?" in text("exp", pair(exp, lambda dy, s: None))
    assert "returned None: does it return?" in text("mul", pair(mul, lambda dy, s: None), TWO)


def test_a_setting_that_is_ignored_is_named():
    def forward(x, *, axis=-1):
        return softmax.forward(x)

    said = text("softmax", SimpleNamespace(forward=forward, backward=softmax.backward))
    assert "hint: it is right for axis=-1 only: what does the pair do for another axis?" in said


@pytest.mark.parametrize("limit", [5.0, 50.0])
def test_a_gradient_that_is_clipped_is_not_linear_in_dy(limit):
    pair = SimpleNamespace(
        forward=softmax.forward, backward=lambda dy, saved: (np.clip(softmax.backward(dy, saved)[0], -limit, limit),)
    )
    found = [f for f in check_op("softmax", pair).failures if "times as large" in f.problem]
    assert found and all("is something clipped" in f.hint for f in found)
    assert check_op("softmax", softmax).ok
