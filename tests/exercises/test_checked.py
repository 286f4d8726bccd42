"""Kinds other than pair: outcomes compared, mistakes named only where they explain all that is wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_gpt import exercises
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.exercises import checked
from tinygrad_gpt.exercises.exercise import find, module_of
from tinygrad_gpt.exercises.verdict import RIGHT, UNWRITTEN, WRONG


def changed(id, *changes):
    """The solution of an exercise with some of its text replaced."""
    text = find(id).cut.solution
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return module_of(text, "changed")


@pytest.mark.parametrize(
    ("got", "right", "equal"),
    [
        (np.ones(3), np.ones(3) + 1e-9, True),
        (np.ones(3), np.ones(3) + 1e-6, False),
        (np.ones((1, 3)), np.ones(3), False),
        (np.array([1e-9, 1e6]), np.array([0, 1e6]), True),  # beside the largest
        (np.array([np.nan, np.inf]), np.array([np.nan, np.inf]), True),
        (np.nan, 1.0, False),
        (2, 2.0, True),
        (2.0, 2, False),
        (np.int64(2), 2, True),
        ((1, "a"), [1, "a"], True),
        ((1,), (1, 2), False),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}, False),
        (None, 0.0, False),
        (True, 1, False),
        ("x", np.ones(3), False),
        (checked.Raised("ValueError", "a"), checked.Raised("ValueError", "b"), True),
        (checked.Raised("TypeError", "a"), checked.Raised("ValueError", "a"), False),
    ],
)
def test_same(got, right, equal):
    assert checked.same(got, right) is equal


def test_a_mistake_with_another_beside_it_is_not_named():
    both = changed("adamw_step", ("1 - beta1**step", "1"), ("1 - beta2**step", "1"), ("w = w * (1 - lr * decay)", ""))
    assert exercises.check(both, "adamw_step").named == ()


def test_several_wrong_answers_are_each_named():
    answers = find("broken_runs").solution.ANSWERS
    given = SimpleNamespace(ANSWERS=answers | {"one": "a13", "four": " T07 "})
    assert [m.id for m in exercises.check(given, "broken_runs").named] == ["BK01", "BK03"]
    given = SimpleNamespace(ANSWERS=answers | {"one": "A13", "four": "M05"})
    assert exercises.check(given, "broken_runs").named == ()


@pytest.mark.parametrize(("answer", "right"), [(4.174, True), (4.2, True), (4.1, True), (4.4, False), (42.0, False)])
def test_a_number_is_right_to_two_digits(answer, right):
    answers = find("before_running").solution.ANSWERS | {"loss_at_start": answer}
    assert exercises.check(SimpleNamespace(ANSWERS=answers), "before_running").ok is right


@pytest.mark.parametrize("given", [{}, None, {"loss_at_start": ...}])
def test_answers_that_are_missing(given):
    assert exercises.check(SimpleNamespace(ANSWERS=given), "before_running").state == UNWRITTEN


def test_some_answers_are_judged_before_the_others_are_given():
    verdict = exercises.check(SimpleNamespace(ANSWERS={"loss_at_start": 4.17, "first_step": 1.0}), "before_running")
    assert verdict.judged == (("answers", "WRONG in 1 of 5, 3 left", False),)
    assert [m.id for m in verdict.named] == ["BR02"]
    assert "loss_of_zeros (and 2 more): no answer yet" in verdict.places
    verdict = exercises.check(SimpleNamespace(ANSWERS={"loss_at_start": 4.17}), "before_running")
    assert verdict.judged == (("answers", "1 right, 4 left", False),)


def test_no_answer_stands_in_the_files():
    exercise = find("before_running")
    shown = exercise.cut.stub + exercise.text("exercise.toml")
    assert "4.17" not in shown and "ln(65)" not in shown


def test_the_first_wrong_intermediate_is_named():
    verdict = exercises.check(
        changed("attention_backward", ("dk = ds.T @ q * scale", "dk = ds.T @ q")), "attention_backward"
    )
    assert verdict.places[0].startswith(
        "as many queries as keys (and 3 more cases): dk is the first that is wrong (dv, dp, ds, dq right): at ["
    )
    assert len(verdict.places) == 1
    verdict = exercises.check(changed("attention_backward", ('"dq": dq, ', "")), "attention_backward")
    assert "dq is missing (dv, dp, ds right)" in verdict.places[0] and verdict.state == WRONG


def test_a_dictionary_that_ends_early_is_right_so_far():
    verdict = exercises.check(changed("attention_backward", (', "dq": dq, "dk": dk', "")), "attention_backward")
    assert verdict.state == UNWRITTEN and not verdict.places
    assert verdict.judged == (("attention_backward", "so far right: dv, dp, ds; next dq", False),)
    early = changed("attention_backward", (', "dq": dq, "dk": dk', ""), ("dv = p.T", "dv = 2 * p.T"))
    assert "dv is the first that is wrong" in exercises.check(early, "attention_backward").places[0]


def test_an_item_of_a_list_has_a_name():
    verdict = exercises.check(lambda grads, max_norm: [g * 2 for g in grads], "clip_gradients")
    assert "too long: gradient 0, at [" in verdict.places[0]


def test_a_check_that_objects_to_a_right_pair_is_void():
    def never_content(pair):
        raise AssertionError("no")

    verdict = exercises.check(never_content, "softmax_checks")
    assert verdict.judged[0] == ("lets right ones pass", "0 of 2", False) and verdict.judged[1][2]
    verdict = exercises.check(lambda pair: None, "softmax_checks")
    assert verdict.judged[0][2] and not verdict.judged[1][2]
    assert verdict.named == (), "several mistakes together would explain it, and none was made"


def test_an_error_is_no_objection():
    def broken(pair):
        raise KeyError("x")

    verdict = exercises.check(broken, "softmax_checks")
    assert not any(right for _, _, right in verdict.judged) and "raised KeyError" in verdict.places[0]


def test_what_is_missing_altogether():
    verdict = exercises.check(SimpleNamespace(), "adamw_step")
    assert verdict.judged == (("adamw_step", "missing", False),) and "no adamw_step in it" in verdict.places[0]


def test_an_array_that_is_given_stays_as_it_is():
    in_place = "    m *= beta1\n    m += (1 - beta1) * g"
    verdict = exercises.check(changed("adamw_step", ("    m = beta1 * m + (1 - beta1) * g", in_place)), "adamw_step")
    assert "arrays that must stay as they are: raised ValueError" in "".join(verdict.places)


def test_the_function_itself_may_be_checked():
    assert exercises.check(find("adamw_step").solution.adamw_step, "adamw_step").state == RIGHT
    with pytest.raises(UserError, match="did you mean adamw_step"):
        exercises.check(None, "adamw_stp")
