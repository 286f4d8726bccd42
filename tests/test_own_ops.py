"""An op of one's own: made, run, checked, given another version."""

import ast
import re
import types
from pathlib import Path

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.cases import Case, cases
from tinygrad_gpt.check import GradcheckError, check_op, gradcheck
from tinygrad_gpt.kernels import catalogue, registry

rng = np.random.default_rng(0)
X, WEIGHT = rng.standard_normal((3, 5)), rng.standard_normal(5)


def forward(x, weight, *, eps=1e-5):
    """x over the root of its mean square, times weight."""
    rstd = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)
    return x * rstd * weight, (x, weight, rstd)


def backward(dy, saved):
    x, weight, rstd = saved
    x_hat, dx_hat = x * rstd, dy * weight
    dx = rstd * (dx_hat - x_hat * np.mean(dx_hat * x_hat, axis=-1, keepdims=True))
    return dx, np.sum(dy * x_hat, axis=tuple(range(dy.ndim - 1)))


def without_the_mean(dy, saved):
    _, weight, rstd = saved
    return rstd * dy * weight, backward(dy, saved)[1]


PAIR = types.SimpleNamespace(forward=forward, backward=backward)


@pytest.fixture(autouse=True)
def forgotten():
    """Ops that a test makes are gone after it."""
    yield
    for op in catalogue.own_ops():
        registry.undefine(op)


@pytest.fixture
def my_norm():
    return tg.op("my_norm", forward, backward, cases=[((3, 5), (5,)), ((2, 3, 7), (7,), {"eps": 0.1})])


# --- made and run ------------------------------------------------------------------------------------------------


def test_a_pair_becomes_a_function_of_tensors(my_norm):
    x, weight = tg.Tensor(X, requires_grad=True), tg.Tensor(WEIGHT, requires_grad=True)
    y = my_norm(x, weight, eps=0.1)
    assert np.array_equal(y.data, forward(X, WEIGHT, eps=0.1)[0])
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    for got, right in zip((x.grad, weight.grad), backward(dy, forward(X, WEIGHT, eps=0.1)[1]), strict=True):
        assert np.array_equal(got, right)
    assert my_norm.__name__ == "my_norm" and my_norm.__doc__ == forward.__doc__


def test_arrays_and_settings_go_by_place_or_by_name(my_norm):
    right = my_norm(X, WEIGHT, eps=0.1).data
    assert np.array_equal(my_norm(weight=WEIGHT, x=X, eps=0.1).data, right)
    with_place = tg.op("with_place", lambda x, eps=1e-5: (x + eps, None), lambda dy, saved: dy)
    assert np.array_equal(with_place(X, 0.5).data, X + 0.5)
    single = X.astype(np.float32), WEIGHT.astype(np.float32)
    assert np.array_equal(my_norm(X.tolist(), single[1]).data, my_norm(*single).data)


def test_a_parameter_with_a_default_is_a_setting_and_one_with_none_an_array_that_may_be_left_out():
    def shifted(x, bias=None, scale=2.0):
        return scale * x if bias is None else scale * x + bias, (scale, bias is None)

    def back(dy, saved):
        return saved[0] * dy, None if saved[1] else dy

    op = tg.op("shifted", shifted, back)
    x, bias = tg.Tensor(X, requires_grad=True), tg.Tensor(X, requires_grad=True)
    (op(x) + op(x, bias, 3.0) + op(x, bias=bias, scale=3.0)).sum().backward()
    assert np.all(x.grad == 8) and np.all(bias.grad == 2)


def test_several_outputs_any_number_of_arrays_and_a_class_as_the_pair():
    class Pair:
        def forward(*arrays, factor=1.0):
            return tuple(factor * a for a in arrays), factor

        def backward(dys, factor):  # noqa: N805
            return tuple(factor * d for d in dys)

    scaled = tg.op("scaled", Pair)
    x = tg.Tensor(X, requires_grad=True)
    a, b, _ = scaled(x, x, X, factor=3.0)
    (a + b).sum().backward()
    assert np.all(x.grad == 6)


def test_the_op_is_in_every_list(my_norm):
    x = tg.Tensor(X, requires_grad=True)
    assert tg.explain("my_norm", x, WEIGHT).splitlines() == [
        "my_norm on float64(3, 5), float64(5,)",
        "  reference: runs",
    ]
    assert [v.name for v in registry.versions("my_norm")] == ["reference"] and "my_norm" in registry.all_ops()
    (step,) = my_norm(x, WEIGHT).backward_steps(X)
    assert (step.op, step.version) == ("my_norm", "reference")
    with tg.using(my_norm="reference"), tg.using("reference"):
        my_norm(x, WEIGHT)
    assert "my_norm" not in registry.op_names()


def test_another_version_runs_ahead_of_the_first(my_norm):
    calls = []

    def faster(x, weight, *, eps=1e-5):
        calls.append(eps)
        return forward(x, weight, eps=eps)

    version = tg.register("my_norm", faster, backward, name="faster")
    my_norm(X, WEIGHT)
    assert calls == [1e-5] and "faster: runs\n  reference: not needed" in tg.explain("my_norm", X, WEIGHT)
    with tg.using("reference"):
        my_norm(X, WEIGHT)
    tg.unregister(version)
    my_norm(X, WEIGHT)
    assert len(calls) == 1  # explain calls no forward, and the others took the first


def test_an_op_that_is_made_again_is_the_new_one_wherever_it_is_held(my_norm):
    tg.register("my_norm", forward, backward)
    again = tg.op("my_norm", lambda x, factor=2.0: (factor * x, factor), lambda dy, factor: factor * dy)
    assert np.array_equal(my_norm(X, factor=5.0).data, 5 * X) and np.array_equal(again(X).data, 2 * X)
    assert [v.name for v in registry.versions("my_norm")] == ["reference"]
    with pytest.raises(TypeError, match="expected at most 2 arguments"):
        my_norm(X, WEIGHT, 1, 2)


def test_the_name_alone_gives_the_function_of_an_op_that_may_be_made_later():
    later = tg.op("my_norm")
    with pytest.raises(ValueError, match=r"there is no op 'my_norm' of your own: make it with op\('my_norm', forward"):
        later(X, WEIGHT)
    tg.op("my_norm", forward, backward)
    assert np.array_equal(later(X, WEIGHT).data, forward(X, WEIGHT)[0])
    with pytest.raises(ValueError, match=r"'my_nrm' of your own \(did you mean my_norm\?\)"):
        tg.op("my_nrm")(X)


# --- refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            ("softmax", forward, backward),
            ValueError,
            r"has softmax already: register\('softmax', forward, backward\) runs",
        ),
        (("softmax",), ValueError, "functional.softmax is its function"),
        (("adamw", forward, backward), ValueError, "adamw is a routine of the package"),
        (("my norm", forward, backward), ValueError, "expected a name such as 'my_norm', got 'my norm'"),
        ((3, forward, backward), ValueError, "expected a name such as 'my_norm', got 3"),
        (("_norm", forward, backward), ValueError, "expected a name such as 'my_norm', got '_norm'"),
        (("my_norm", 3, backward), TypeError, "op my_norm: expected a function as forward, got 3"),
        (("my_norm", forward), TypeError, "op my_norm: backward should be a function, it is None"),
        (("my_norm", lambda *, eps=1.0: 0, backward), TypeError, "takes an array at least"),
        (("my_norm", forward, lambda dy: dy), TypeError, r"backward is called with \(dy, saved\), and takes \(dy\)"),
    ],
)
def test_what_is_no_op_is_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        tg.op(*arguments)
    assert not catalogue.own_ops()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda op: op(X), r"my_norm\(x, weight, \*, eps=1e-05\): expected 2 arrays, and weight is missing"),
        (lambda op: op(X, WEIGHT, 0.1), r"\*, eps=1e-05\): expected at most 2 arguments without a name, got 3"),
        (lambda op: op(X, WEIGHT, epss=1), r"there is no setting epss \(did you mean eps\?\)"),
        (lambda op: op(X, WEIGHT, x=X), "got x twice, by its place and by its name"),
        (lambda op: op(X, None), "my_norm: expected Tensors or arrays, got None as weight"),
    ],
)
def test_wrong_calls(my_norm, call, message):
    with pytest.raises(TypeError, match=message):
        call(my_norm)


def test_a_forward_that_returns_no_pair_is_named():
    with pytest.raises(TypeError, match=r"halved\[yours\]: forward should return \(y, saved\), and returned array of"):
        tg.op("halved", lambda x: x / 2, lambda dy, saved: dy / 2)(np.ones((2, 3)))


@pytest.mark.parametrize("y", [0.5, [1.0], None, tg.ones(3)])
def test_a_forward_that_returns_no_array_is_named(y):
    with pytest.raises(TypeError, match=r"halved\[yours\]: forward should return an array as y, and returned"):
        tg.op("halved", lambda x: (y, None), lambda dy, saved: dy)(np.ones(3))


def test_a_backward_that_forgets_to_return_is_named():
    def back(dy, saved):
        dy * 2

    x = tg.Tensor(X, requires_grad=True)
    with pytest.raises(ValueError, match=r"doubled\[yours\]: backward returned None: does it end with return\?"):
        tg.op("doubled", lambda x: (x * 2, None), back)(x).sum().backward()
    assert x.grad is None
    tg.op("doubled", lambda x: (x * 2, None), lambda dy, saved: (None,))(x).sum().backward()
    assert x.grad is None


def test_explain_without_inputs_says_what_to_pass(my_norm):
    with pytest.raises(TypeError, match=r"expected the inputs of my_norm after its name: explain\('my_norm', x"):
        tg.explain("my_norm")
    with pytest.raises(ValueError, match="no op 'my_nrom'"):
        tg.explain("my_nrom")


def test_a_backward_with_too_few_gradients_is_named():
    op = tg.op("my_norm", forward, lambda dy, saved: backward(dy, saved)[0])
    y = op(tg.Tensor(X, requires_grad=True), WEIGHT)
    with pytest.raises(ValueError, match=r"my_norm\[yours\]: backward must return one gradient per input"):
        y.backward(X)


def test_register_refuses_a_name_that_no_op_has(my_norm):
    with pytest.raises(ValueError, match=r"there is no op 'my_nrm' \(did you mean my_norm\?\).*\. A new one is"):
        tg.register("my_nrm", forward, backward)


# --- checked -----------------------------------------------------------------------------------------------------


def test_an_op_is_checked_on_its_cases(my_norm):
    report = check_op("my_norm")
    assert report.ok and report.cases == 2 and report.version == "reference", report
    assert [case.settings for case in cases("my_norm")] == [{}, {"eps": 0.1}]
    assert check_op("my_norm", PAIR, [(X, WEIGHT)]).ok
    assert gradcheck(my_norm, X, WEIGHT).ok


def test_a_wrong_pair_is_found_without_anything_beside_it():
    op = tg.op("my_norm", forward, without_the_mean, cases=[((3, 5), (5,))])
    report = check_op("my_norm")
    assert {f.subject for f in report.failures} == {"the gradient of x"}
    with pytest.raises(GradcheckError, match="the gradient of x: wrong numbers"):
        gradcheck(op, X, WEIGHT)


def test_a_second_version_is_compared_with_the_first(my_norm):
    def halved(x, weight, *, eps=1e-5):
        y, saved = forward(x, weight, eps=eps)
        return y / 2, saved

    half = types.SimpleNamespace(forward=halved, backward=lambda dy, saved: tuple(g / 2 for g in backward(dy, saved)))
    assert "the output: wrong numbers" in str(check_op("my_norm", half))
    assert check_op("other_norm", half, [((3, 5), (5,))]).ok, "its gradient is that of its own forward"
    tg.register("my_norm", halved, half.backward)
    assert not check_op("my_norm").ok


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (types.SimpleNamespace(backward=backward), "the signature: the pair has no forward"),
        (types.SimpleNamespace(forward=forward), "the signature: the pair has no backward"),
        (types.SimpleNamespace(forward=forward, backward=lambda dy: dy), "backward is called with (dy, saved)"),
        (types.SimpleNamespace(forward=3, backward=backward), "forward should be a function, it is 3"),
    ],
)
def test_what_is_no_pair_is_a_finding(wrong, said):
    report = check_op("my_norm", wrong, [((3, 5), (5,))])
    assert not report.ok and said in str(report)


def test_float32_is_checked_too():
    def drifts(x, weight, *, eps=1e-5):
        y, saved = forward(x, weight, eps=eps)
        return y * np.sqrt(4), saved

    pair = types.SimpleNamespace(forward=drifts, backward=lambda dy, saved: tuple(2 * g for g in backward(dy, saved)))
    report = check_op("my_norm", pair, [((3, 5), (5,))])
    assert {f.subject for f in report.failures} == {
        "the output in float32",
        "the gradient of x",
        "the gradient of weight",
    }
    assert "np.sqrt(64) of a Python number" in str(report) and str(report).count("np.sqrt(64)") == 1


@pytest.mark.parametrize(
    ("given", "shapes"),
    [
        ([((3, 5), (5,))], [((3, 5), (5,))]),
        ([(X, WEIGHT), (X[:1], WEIGHT, {"eps": 1.0})], [((3, 5), (5,)), ((1, 5), (5,))]),
        ({"a row": ((5,), (5,))}, [((5,), (5,))]),
        ([(tg.Tensor(X), (5,))], [((3, 5), (5,))]),
        ([Case("mine", (X, WEIGHT), {})], [((3, 5), (5,))]),
    ],
)
def test_ways_to_give_cases(given, shapes):
    tg.op("my_norm", forward, backward, cases=given)
    made = cases("my_norm")
    assert [tuple(a.shape for a in case.arrays) for case in made] == shapes
    assert len({case.name for case in made}) == len(made)
    again = cases("my_norm")
    for one, two in zip(made, again, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one.arrays, two.arrays, strict=True))
    assert check_op("my_norm").ok


def test_a_shape_is_enough_for_an_op_of_one_array():
    tg.op("halved", lambda x: (x / 2, None), lambda dy, saved: dy / 2, cases=[(3, 5), (7,), ()])
    assert [case.arrays[0].shape for case in cases("halved")] == [(3, 5), (7,), ()]
    assert check_op("halved").ok


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([((3, 5),)], "case 1 of my_norm: expected an array or a shape for each of x, weight, got"),
        ([((3, 5), (5,), (5,))], "for each of x, weight, got"),
        (["words"], "expected arrays, shapes .tuples of integers. or None, got 'words'"),
        ("words", r"cases of my_norm: expected arrays such as \[\(x, weight\), ...\], or shapes"),
        (3, "cases of my_norm: expected arrays"),
        ([()], "for each of x, weight"),
        ([{"eps": 1}], "expected"),
    ],
)
def test_cases_that_are_none(given, message):
    with pytest.raises(TypeError, match=message):
        check_op("my_norm", PAIR, given)


def test_without_cases_it_says_how_to_give_some():
    tg.op("my_norm", forward, backward)
    with pytest.raises(
        ValueError, match=r"there are no cases for my_norm: give it cases=, arrays such as \[\(x, weight"
    ):
        check_op("my_norm")
    with pytest.raises(ValueError, match="there is no op 'new_norm'"):
        check_op("new_norm", PAIR)


# --- what gradcheck says of an op's mistake -------------------------------------------------------------------------


def refused(op, *arrays):
    with pytest.raises(GradcheckError) as error:
        gradcheck(op, *arrays)
    return str(error.value)


def test_a_backward_that_keeps_no_contract_is_told_the_contract():
    said = refused(tg.op("my_norm", forward, lambda dy, saved: backward(dy, saved)[0]), X, WEIGHT)
    assert (
        "hint: the contract of my_norm is forward(x, weight, *, eps=1e-05)" in said and "raise ValueError" not in said
    )


@pytest.mark.parametrize("around", [lambda y: y, lambda y: (y * 2).exp()], ids=["alone", "inside"])
def test_a_backward_that_changes_dy_is_told_so(around):
    def changes(dy, saved):
        _, dweight = backward(dy, saved)
        dy *= 2
        return dy, dweight

    op = tg.op("my_norm", forward, changes)
    said = refused(lambda x, weight: around(op(x, weight)), X, WEIGHT)
    assert "arrays in place: backward of my_norm[reference] changes dy in place" in said
    assert said.count("hint") == 1


def test_a_factor_that_is_a_size_by_chance_is_not_called_one():
    square = tg.op("square", lambda x: (x**2, x), lambda dy, x: dy * x)
    for said in (refused(square, X[:2]), str(check_op("square", cases=[(2, 3), (5, 7), (2, 4)]))):
        assert "hint: multiplied by 2, it would be right" in said and "size of" not in said


# --- the lesson's exercise ---------------------------------------------------------------------------------------


def test_the_exercise_of_lesson_3_can_be_done_as_it_is_worded():
    text = (
        (Path(__file__).parents[1] / "lessons" / "03_layer_norm.py")
        .read_text(encoding="utf-8")
        .rpartition("**Try it.**")[2]
    )
    make, check, shapes = re.findall(r"`([^`]*\(.*?\)\]?)`", text)
    scope = {"forward": forward, "backward": backward, "tg": tg, "x": X, "weight": WEIGHT}
    assert "from `tinygrad_gpt.check`" in text
    exec("from tinygrad_gpt.check import gradcheck", scope)
    exec(make, scope)
    assert eval(check, scope).ok
    exec(shapes, scope)
    assert check_op("my_norm", cases=scope["SHAPES"]).ok
    assert isinstance(ast.parse(make).body[0], ast.Assign)


@pytest.mark.parametrize("made", ["a new op", "a registered pair"])
def test_a_forward_that_makes_float64_of_float32_is_named(made):
    def drifts(x):
        return x * np.sqrt(4), ()

    def back(dy, saved):
        return (2 * dy,)

    if made == "a new op":
        f, version = tg.op("drifting", drifts, back), None
    else:
        tg.op("drifting", lambda x: (2 * x, ()), back)
        f, version = tg.op("drifting"), registry.register("drifting", drifts, back)
    with pytest.raises(TypeError, match=re.escape("drifting[yours]: forward made float64 of float32 arrays")):
        f(tg.tensor(X.astype(np.float32)))
    assert f(tg.tensor(X)).dtype == np.float64
    assert "the output in float32" in str(check_op("drifting", version, [((3, 5),)]))
