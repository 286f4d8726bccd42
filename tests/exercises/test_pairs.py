"""Kind pair: what is said of forward and of backward, as text and in a notebook; hints with the learner's numbers."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_gpt import exercises
from tinygrad_gpt.exercises.exercise import find, module_of
from tinygrad_gpt.exercises.hints import ladder
from tinygrad_gpt.exercises.verdict import UNWRITTEN, WRONG, filled

SOFTMAX = find("softmax")


def softmax(backward=SOFTMAX.solution.backward, forward=SOFTMAX.solution.forward):
    return SimpleNamespace(forward=forward, backward=backward)


@pytest.fixture(scope="module")
def diagonal():
    return exercises.check(softmax(lambda dy, saved: (dy * saved[0] * (1 - saved[0]),)), "softmax")


def test_right():
    verdict = exercises.check(softmax(), "softmax")
    assert verdict.ok and str(verdict).splitlines()[1].strip().startswith("backward right in")


def test_a_wrong_backward_is_named_and_placed(diagonal):
    lines = str(diagonal).splitlines()
    assert lines[0].startswith("softmax  forward  right in") and "backward WRONG in" in lines[1]
    assert lines[3].startswith("  S01  only the diagonal of the Jacobian: y (1 - y) (equal in every case)")
    assert "of case" in lines[4] and "should be" in lines[4]
    assert "S01" not in "".join(text for line in diagonal.lines(names=False) for text, _ in line)


RETURNED = {  # what backward of exp returns -> a part of what is said
    "an array alone": (lambda dy, y: dy * y * y, "it is "),
    "y alone": (lambda dy, y: y, "G01"),
    "a tuple": (lambda dy, y: (dy * y * y,), "it is "),
    "a list": (lambda dy, y: [dy * y], "is list"),
    "a list in a tuple": (lambda dy, y: ([2.0],), "is list"),
    "a number": (lambda dy, y: 2.0, "is float"),
    "a text": (lambda dy, y: "dx", "is str"),
    "nothing": (lambda dy, y: None, "None"),
    "another shape": (lambda dy, y: (dy * y)[..., np.newaxis], "shape"),
    "one too many": (lambda dy, y: (dy * y, dy), "returned 2 gradients"),
    "none": (lambda dy, y: (), "returned 0 gradients"),
}


@pytest.mark.parametrize("what", RETURNED)
def test_whatever_backward_returns_is_spoken_of(what):
    backward, part = RETURNED[what]
    solution = find("exp").solution
    verdict = exercises.check((solution.forward, backward), "exp")
    assert verdict.state == WRONG and part in str(verdict), str(verdict)
    assert ladder(find("exp"), verdict)


def test_in_a_notebook(diagonal):
    drawn = diagonal._repr_html_()
    assert drawn.startswith("<pre>") and "S01" in drawn and "<span style=" in drawn
    verdict = exercises.check(softmax(lambda dy, saved: 1 / 0), "softmax")
    assert "ZeroDivisionError" in verdict._repr_html_() and "<lambda>" not in verdict._repr_html_()


def test_a_wrong_forward():
    def forward(x, *, axis=-1):
        y, saved = SOFTMAX.solution.forward(x, axis=axis)
        return 2 * y, saved

    verdict = exercises.check(softmax(forward=forward), "softmax")
    assert verdict.state == WRONG and "forward" in verdict.judged[0][0] and not verdict.judged[0][2]


def test_what_is_missing_or_not_written():
    stub = module_of(SOFTMAX.cut.stub, "stub")
    verdict = exercises.check(stub, "softmax")
    assert verdict.state == UNWRITTEN and verdict.judged[1][1] == "not written yet" and verdict.judged[0][2]
    assert exercises.check(SimpleNamespace(forward=stub.forward), "softmax").state == WRONG


def test_the_packages_own_file_is_not_pointed_to():
    for pair in (
        SimpleNamespace(forward=SOFTMAX.solution.forward),
        softmax(forward=lambda x: x),
        softmax(forward=lambda: 1),
    ):
        verdict = exercises.check(pair, "softmax")
        assert verdict.state == WRONG and "softmax.py" not in "".join(verdict.places)


def test_a_tuple_is_a_pair():
    assert exercises.check((SOFTMAX.solution.forward, SOFTMAX.solution.backward), "softmax").ok


def test_hints_speak_of_the_place_that_the_verdict_names():
    exp = find("exp").solution
    verdict = exercises.check(
        (exp.forward, lambda dy, saved: (dy * np.log(np.abs(saved[0] if isinstance(saved, tuple) else saved)),)), "exp"
    )
    at, example = verdict.example["at"], verdict.example
    numbers = f"it is {example['got'][tuple(at)]:.4g} and should be {example['right'][tuple(at)]:.4g}"
    assert f'at {at} of case "{example["case"]}": {numbers}' in verdict.places[0]
    assert f"farthest off at {at}: x is" in dict(ladder(find("exp"), verdict))["why"]


def test_a_pair_may_decline_nothing():
    pair = softmax(lambda dy, saved: (dy,))
    pair.why_not = lambda *arrays, **settings: "not now"
    assert exercises.check(pair, "softmax").state == WRONG


def test_the_ladder(diagonal):
    steps = dict(ladder(SOFTMAX, diagonal))
    assert list(steps) == ["look", "why", "derivation"] and "for a j that is not i" in steps["look"]
    assert "where x has shape (" in steps["why"] and "{" not in steps["why"]
    assert ladder(SOFTMAX, diagonal, names=False)[0].text.startswith("S01: only the diagonal")
    steps = dict(ladder(SOFTMAX, None))
    assert "If one x_j of a row grows" in steps["look"] and "{" not in steps["why"]


def test_a_paragraph_that_cannot_be_filled_is_left_out():
    text = "one {x.shape}\n\ntwo {missing}\n\nthree {np.sum(x)}\n\nfour {x @ x}"
    assert filled(text, {"x": np.ones((2, 3)) / 3}) == "one (2, 3)\n\nthree 2"
