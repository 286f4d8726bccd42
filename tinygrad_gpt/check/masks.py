"""Zeros in the wrong places: a mask drawn anew, turned round, or applied by the wrong array.

Where an op sets elements to 0 (dropout, relu, max), its backward does so too, at the same places. Each hypothesis here
looks only at where zeros are, and asks that what is not zero on both sides is right.
"""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.check.evidence import CLOSE, Evidence, largest
from tinygrad_gpt.check.hypothesis import Hypothesis


def hypotheses() -> Iterator[Hypothesis]:
    said = "it is 0 where it should not be, and not 0 where it should be, all over: is the mask inverted?"
    yield Hypothesis("", lambda e: said, _is_inverted)
    said = "its zeros stand in other places than those of the right one, and elsewhere it is right: is it another mask?"
    yield Hypothesis("", lambda e: said, _is_another)


def _zeros(e: Evidence) -> tuple | None:
    """Where what came is 0, and where what is right is; None if that says nothing."""
    if not e.comparable or e.right.size < 6:
        return None
    least = CLOSE * 1e-3 * max(largest(e.right), largest(e.got))
    return np.abs(e.got) <= least, np.abs(e.right) <= least


def _is_inverted(e: Evidence) -> bool | None:
    if (zeros := _zeros(e)) is None:
        return None if e.silent or e.comparable else False
    got, right = zeros
    if not np.all(got != right):
        return False
    return True if right.any() and not right.all() else None


def _is_another(e: Evidence) -> bool | None:
    if (zeros := _zeros(e)) is None:
        return None if e.silent or e.comparable else False
    got, right = zeros
    both = ~got & ~right
    if np.any(np.abs(e.got - e.right)[both] > CLOSE * largest(e.right)):
        return False
    if not (np.any(got & ~right) and np.any(right & ~got)):
        return False
    return True if np.any(both) else None
