"""A diagnosis is said only if all cases agree: of mistakes that the bank does not know, and of those it does."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_gpt.cases import Case, cases
from tinygrad_gpt.check import check_op, mistakes
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops import layer_norm

rng = np.random.default_rng(3)


def changed(op, change):
    """The reference's pair, with `change(gradients, dy, saved)` for its backward."""
    module = registry.reference(op)
    return SimpleNamespace(
        forward=module.forward, backward=lambda dy, saved: change(module.backward(dy, saved), dy, saved)
    )


def hints(op, pair, which=None) -> dict[str, set[str]]:
    """subject -> what is said of it, in all cases."""
    report = check_op(op, pair, cases(op, large=False) if which is None else which)
    assert not report.ok
    said = {}
    for f in report.failures:
        said.setdefault(f.subject, set()).update({f.hint} - {""})
    return said


@pytest.fixture
def empty_bank(monkeypatch):
    monkeypatch.setattr(mistakes, "of", lambda op: ())


# --- consensus -------------------------------------------------------------------------------------------------------


def evidence(case, degenerate=False, size=10, **more):
    right = np.arange(1.0, 7)
    return SimpleNamespace(
        case=case, degenerate=degenerate, size=size, silent=False, right=right, kink=False, is_zero=False, **more
    )


def agree(answers, denied=(), degenerate=()):
    failed = [evidence(name, name in degenerate) for name in answers]
    right = [evidence(name) for name in denied]
    hypothesis = Hypothesis("", lambda e: "said", lambda e: answers[e.case], lambda e: e.case in denied)
    features = dict(used={}, inputs={}, check=SimpleNamespace(names=[]), call=SimpleNamespace(arrays=()))
    for e in (*failed, *right):
        vars(e).update(features)
    return Cases(failed, right).agree(hypothesis)


def test_one_case_that_says_no_is_enough():
    assert agree({"a": True, "b": True, "c": None})
    assert agree({"a": True, "b": True, "c": False}) is None


def test_degenerate_cases_do_not_speak_alone():
    assert agree({"a": None, "one row": True}, degenerate=["one row"]) is None
    assert agree({"a": True, "one row": True}, degenerate=["one row"])
    assert agree({"one row": True}, degenerate=["one row"]), "where there are no others, they may"


def test_a_right_case_that_would_have_to_be_wrong_denies():
    assert agree({"a": True, "b": True}, denied=["c"]) is None


# --- factors ---------------------------------------------------------------------------------------------------------


def test_a_root_of_a_size_is_no_other_size(empty_bank):
    """With D = 4 a lost 1/√D doubles the gradient, and 2 is the size of something in that case."""

    def backward(grads, dy, saved):
        return (grads[0] / saved.scale, *grads[1:])

    said = hints("attention", changed("attention", backward))
    assert all("1/scale = " in hint for hint in said["the gradient of q"])
    assert said["the gradient of q"]


@pytest.mark.parametrize(
    ("op", "change", "words"),
    [
        ("dropout", lambda g, dy, s: (g[0] * (1 - s.p),), "1-p"),
        ("pow", lambda g, dy, s: (g[0] / s.exponent,) if s.exponent else g, "1/exponent"),
        ("var", lambda g, dy, s: (g[0] / 2,), "multiplied by 2, it would be right, in every case"),
        ("mean", lambda g, dy, s: (g[0] * g[0].size / max(1, dy.size),), "the number of elements that each output"),
        ("linear", lambda g, dy, s: (g[0], -g[1], g[2]), "the sign is flipped"),
    ],
)
def test_one_explanation_of_a_factor_fits_all_cases(empty_bank, op, change, words):
    said = set.union(*hints(op, changed(op, change)).values())
    assert said and all(words in hint for hint in said if "nan" not in hint)


def test_a_factor_that_nothing_explains_is_not_spoken_of(empty_bank):
    def backward(grads, dy, saved):
        return (grads[0] * (1 + dy.size % 7 / 3),)

    assert not hints("exp", changed("exp", backward)).get("the gradient of x")


# --- what the bank names ---------------------------------------------------------------------------------------------


def test_an_entry_and_a_factor_at_once():
    wrong = mistakes.by_id("S01").pair()
    twice = SimpleNamespace(forward=wrong.forward, backward=lambda dy, s: tuple(-2 * g for g in wrong.backward(dy, s)))
    report = check_op("softmax", twice)
    assert report.mistakes == ("S01",)
    assert "S01: only the diagonal of the Jacobian: y (1 - y); and besides, multiplied by -0.5" in str(report)


def test_a_backward_that_is_not_written_has_no_name():
    def backward(dy, saved):
        raise NotImplementedError("softmax: backward is yours to write")

    report = check_op("softmax", SimpleNamespace(forward=registry.reference("softmax").forward, backward=backward))
    assert report.mistakes == () and "raised NotImplementedError" in str(report)


def test_the_report_says_id_sentence_and_why_once():
    message = str(check_op("softmax", mistakes.by_id("S02").pair()))
    assert message.count("S02") == 2, "as the version's name, and as the mistake's"
    assert "(equal in every case)" in message and message.count("\n  why: ") == 1


# --- places ----------------------------------------------------------------------------------------------------------


def test_places_are_named_by_sets(empty_bank):
    def last_only(grads, dy, saved):
        g = np.zeros_like(grads[1])
        g[saved.ids] = dy
        return None, g

    said = hints("embedding", changed("embedding", last_only))["the gradient of weight"]
    assert said == {"it is wrong in the rows whose id occurs twice or more, and only there"}

    def everywhere_above(grads, dy, saved):
        return (np.where(saved.y > 0, dy, 0.01 * dy),)

    smooth = [case for case in cases("relu", large=False) if not case.kink]
    assert hints("relu", changed("relu", everywhere_above), smooth)["the gradient of x"] == {
        "it is wrong where x < 0, and only there: it should be 0 there"
    }


def test_nothing_is_said_of_noise(empty_bank):
    def backward(grads, dy, saved):
        noise = np.random.default_rng(dy.size).normal(size=dy.shape)
        return ((grads[0] * np.exp(noise)).astype(dy.dtype),)

    assert not any(hints("tanh", changed("tanh", backward)).values())


def test_a_single_case_is_read_with_care(empty_bank):
    """√, n/(n-1) and settings fit too much by chance where there is only one case."""
    case = Case("one", (rng.normal(size=(3, 4)),), {})
    (said,) = hints("exp", changed("exp", lambda g, dy, s: (2 * g[0],)), [case])["the gradient of x"]
    assert said == "multiplied by 0.5, it would be right: is a constant missing, or one too many?"


# --- sums over other axes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "change", "name", "words"),
    [
        (
            "layer_norm",
            lambda g, dy, s: (*g[:2], np.sum(dy, axis=0) if s.has_bias else None),
            "bias",
            "sum over axis 1 too",
        ),
        (
            "layer_norm",
            lambda g, dy, s: (g[0], np.sum(dy * s.x_hat, axis=0), g[2]),
            "weight",
            "it is dy · x_hat, of shape (3, 7, 5), summed over axis 0; weight has shape (5,): sum over axis 1 too",
        ),
        (
            "linear",
            lambda g, dy, s: (*g[:2], np.sum(dy, axis=-1) if s.has_bias else None),
            "bias",
            "summed over axis 1; bias has shape (3,): sum over axis 0 too, keep axis 1",
        ),
        (
            "linear",
            lambda g, dy, s: (*g[:2], np.sum(dy, axis=-2) if s.has_bias and dy.ndim > 2 else g[2]),
            "bias",
            "summed over axis 1; bias has shape (4,): sum over axis 0 too",
        ),
        ("add", lambda g, dy, s: (dy.copy(), g[1]), "a", "not summed; a has shape (3, 1, 7): sum over axis 1 too"),
    ],
)
def test_which_axes_are_left_to_be_summed(empty_bank, op, change, name, words):
    said = hints(op, changed(op, change))[f"the gradient of {name}"]
    assert any(words in hint for hint in said), said


def test_right_numbers_with_axes_of_1_are_only_to_be_reshaped():
    def backward(grads, dy, saved):
        return *grads[:2], None if grads[2] is None else grads[2].reshape((1,) * (dy.ndim - 1) + grads[2].shape)

    said = hints("linear", changed("linear", backward))["the gradient of bias"]
    assert said and all("the numbers are right: reshape it" in hint for hint in said)


# --- one array in the place of another -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "backward", "name", "words"),
    [
        ("sigmoid", lambda y, dy, s: (y * y * (1 - y),), "x", "for dy = the output: is y used in the place of dy?"),
        ("sigmoid", lambda y, dy, s: (dy * s.x * (1 - s.x),), "x", "with x in the place of y"),
        ("sin", lambda y, dy, s: (dy * np.cos(y),), "x", "the derivative at the output instead of at x"),
        ("silu", lambda y, dy, s: registry.reference("silu").backward(s.x, s), "x", "is x used in the place of dy?"),
    ],
)
def test_one_array_in_the_place_of_another(empty_bank, op, backward, name, words):
    def forward(x):
        y, saved = registry.reference(op).forward(x)
        return y, (y, saved._replace() if op != "sigmoid" else SimpleNamespace(x=x))

    pair = SimpleNamespace(forward=forward, backward=lambda dy, saved: backward(saved[0], dy, saved[1]))
    (said,) = hints(op, pair)[f"the gradient of {name}"]
    assert words in said


def test_v_in_the_place_of_k():
    def backward(grads, dy, saved):
        return registry.reference("attention").backward(dy, saved._replace(k=saved.v))[0], *grads[1:]

    said = hints("attention", changed("attention", backward))["the gradient of q"]
    assert said == {"it is the gradient with v in the place of k"}


# --- a part of the heads, of the batch, of the shapes ----------------------------------------------------------------


def test_the_first_head_alone():
    def backward(grads, dy, saved):
        dq = np.zeros_like(grads[0])
        dq[:, :1] = grads[0][:, :1]
        return dq, *grads[1:]

    said = hints("attention", changed("attention", backward))["the gradient of q"]
    assert said == {"it is what the first slab (along the heads) of dy gives, alone: is the rest left out?"}

    def for_all(grads, dy, saved):
        return np.repeat(grads[0][:, :1], grads[0].shape[1], axis=1), *grads[1:]

    said = hints("attention", changed("attention", for_all))["the gradient of q"]
    assert said == {"it is wrong after the first slab along axis 1, the heads, and only there"}


def test_right_for_a_batch_of_one():
    def backward(grads, dy, saved):
        return registry.reference("attention").backward(dy, saved._replace(k=saved.k[:1]))[0], *grads[1:]

    said = hints("attention", changed("attention", backward))["the gradient of q"]
    (said,) = said
    assert said.startswith("it is the gradient with the first slab (along its first axis) of k in the place of all")

    def as_they_are_kept(grads, dy, saved):
        return grads[0] if len(saved.q) == 1 else grads[0] * np.exp(saved.q), *grads[1:]

    said = hints("attention", changed("attention", as_they_are_kept))["the gradient of q"]
    assert said == {"it is right only where the size of q's first axis is 1: what does the pair do elsewhere?"}


def test_a_factor_of_each_row(empty_bank):
    def backward(grads, dy, saved):
        return (grads[0] / np.sum(np.abs(dy), axis=saved.axis, keepdims=True),)

    (said,) = hints("log_softmax", changed("log_softmax", backward))["the gradient of x"]
    assert said.startswith("along the op's axis each row is a multiple of the right one, by another number in each row")


def test_a_number_that_is_added():
    def backward(grads, dy, saved):
        return grads[0] + 1, *grads[1:]

    (said,) = hints("linear", changed("linear", backward))["the gradient of x"]
    assert said == "it is the right one and 1, everywhere: is a number added?"


def test_an_array_that_is_added(empty_bank):
    def with_decay(grads, dy, saved):
        return grads[0], grads[1] + 0.01 * saved.weight, *grads[2:]

    (said,) = hints("linear", changed("linear", with_decay))["the gradient of weight"]
    assert said == "it is the right one and 0.01 · weight: is that added by mistake?"

    def less_the_residual(grads, dy, saved):
        return grads[0] - dy, *grads[1:]

    (said,) = hints("layer_norm", changed("layer_norm", less_the_residual))["the gradient of x"]
    assert said == "it is the right one less dy: is that missing, or subtracted by mistake?"


def test_an_eps_that_is_left_out(empty_bank):
    def backward(grads, dy, saved):
        x = saved.x_hat / saved.rstd  # less its mean: the gradient is the same
        weight = saved.weight
        _, without = layer_norm.forward(x, weight, weight if saved.has_bias else None, eps=0.0)
        return layer_norm.backward(dy, without)

    (said,) = hints("layer_norm", changed("layer_norm", backward))["the gradient of x"]
    assert said == "it is the gradient for eps=0.0: does backward use eps?"


def test_the_report_shows_a_plain_case():
    """The first one of those that tell as much: cases are written down with the plain ones first."""
    message = str(check_op("cross_entropy", mistakes.by_id("C05").pair()))
    assert message.count("mean, smoothing 0.0: the gradient of logits: wrong numbers") == 1
    message = str(check_op("attention", mistakes.by_id("A01").pair()))
    assert "full: the gradient of q: wrong numbers" in message and "more queries" not in message
