"""The line mutants of test_broken_ops.py under the diagnosis: none is misnamed, and most get more than a verdict."""

from functools import lru_cache

import numpy as np
import pytest

from tests.test_broken_ops import PARTICULAR, mapped, rewritten
from tinygrad_gpt import sparse_rows
from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import case, check_op, mistakes
from tinygrad_gpt.check.call import quietly
from tinygrad_gpt.check.evidence import largest

pytestmark = pytest.mark.long

MUTANTS = [(op, *damage) for op in PARTICULAR for damage in PARTICULAR[op]]
NAMED, EXPLAINED = 0.4, 0.85  # at least this share is named by an id of the bank; gets an id, a reason or a place


@lru_cache(None)
def reasons(op: str, old: str, new: str) -> tuple[tuple[str, str, str], ...]:
    """(subject, id, hint) of each finding, once."""
    with pytest.MonkeyPatch.context() as patched, quietly():
        patched.setattr(case, "ELEMENTS", 0)
        patched.setattr(case, "DIRECTIONS", 1)
        report = check_op(op, rewritten(op, old, new), cases(op, large=False))
    return tuple(dict.fromkeys((f.subject, f.mistake, f.hint) for f in report.failures))


def gradient(pair, given, name: str):
    """The gradient of an input, in one case; None if it raises an error there."""
    takes = [*mistakes.entry.registry.reference(given[0]).forward.__code__.co_varnames]
    rng = np.random.default_rng(5)
    try:
        y, saved = pair.forward(*given[1].arrays, **given[1].settings)
        grads = pair.backward(mapped(y, lambda part: rng.normal(size=part.shape)), saved)
    except ValueError:
        return None
    return sparse_rows.dense(grads[takes.index(name) if name in takes else 0])


@pytest.mark.parametrize("op, old, new", MUTANTS)
def test_a_name_is_true_in_cases_that_the_diagnosis_did_not_see(op, old, new):
    """The entry gives what the mutant gives, in the large cases too."""
    small = len(cases(op, large=False))
    for subject, id, _ in reasons(op, old, new):
        if id and not id.startswith("G") and subject.startswith("the gradient of "):
            for large in cases(op)[small:]:
                with quietly():
                    ours, theirs = (
                        gradient(pair, (op, large), subject.removeprefix("the gradient of ").split()[0])
                        for pair in (rewritten(op, old, new), mistakes.by_id(id).pair())
                    )
                assert (ours is None) == (theirs is None)
                if ours is not None:
                    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-7 * (largest(theirs) or 1.0))


def test_how_many_are_named():
    named = [m for m in MUTANTS if any(id and not id.startswith("G") for _, id, _ in reasons(*m))]
    explained = [m for m in MUTANTS if any(hint for _, _, hint in reasons(*m))]
    silent = [f"{op}: {new}" for op, _, new in MUTANTS if (op, _, new) not in explained]
    print(
        f"of {len(MUTANTS)} mutants {len(named)} are named, {len(explained) - len(named)} explained or located, "
        f"{len(silent)} only judged: {'; '.join(silent)}"
    )
    assert len(explained) >= EXPLAINED * len(MUTANTS)
    assert len(named) >= NAMED * len(MUTANTS)
