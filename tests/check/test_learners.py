"""Wrong backwards as learners write them: nearly all get a true reason, and no reason is a false one."""

from functools import lru_cache
from types import SimpleNamespace

import pytest

from tests.check.learners import LEARNERS
from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import case, check_op
from tinygrad_gpt.check.call import quietly

pytestmark = pytest.mark.long

SHARE = 0.85  # of them that get a true reason


@lru_cache(None)
def reasons(name: str) -> tuple[tuple[str, str, str], ...]:
    """(subject, id, hint) of each diagnosis of wrong numbers, once."""
    op, forward, backward = next((x.op, x.forward, x.backward) for x in LEARNERS if x.name == name)
    with pytest.MonkeyPatch.context() as patched, quietly():
        patched.setattr(case, "ELEMENTS", 0)
        patched.setattr(case, "DIRECTIONS", 1)
        report = check_op(op, SimpleNamespace(forward=forward, backward=backward), cases(op, large=False))
    assert not report.ok, f"{name} passes"
    return tuple(dict.fromkeys((f.subject, f.mistake, f.hint) for f in report.failures if f.hint))


def is_true(learner, id: str, hint: str) -> bool:
    """Whether a diagnosis is one of those that are true of this backward: an id, all ids of a letter ("E*"), words."""
    return any(
        id == said or (said[1:] == "*" and id[:1] == said[0]) or (len(said) > 3 and said in hint)
        for said in learner.says
    )


def about_numbers(name: str) -> list:
    """The diagnoses, but for those of the contract, which are true of any pair (nan, dtypes, an error's line)."""
    beside = ("are nan or inf", "numbers that NumPy makes are float64", "it was raised by")
    return [(s, id, hint) for s, id, hint in reasons(name) if not any(words in hint for words in beside)]


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda x: x.name)
def test_no_reason_is_a_false_one(learner):
    false = [told for told in about_numbers(learner.name) if not is_true(learner, *told[1:])]
    assert not false, f"{learner.name}: {false}"


def test_nearly_all_get_a_true_reason():
    told = [x.name for x in LEARNERS if any(is_true(x, id, hint) for _, id, hint in reasons(x.name))]
    silent = sorted({x.name for x in LEARNERS} - {*told})
    print(f"{len(told)} of {len(LEARNERS)} wrong backwards get a true reason; without one: {', '.join(silent)}")
    assert len(told) >= SHARE * len(LEARNERS)
