"""P4: does the order of tokens matter? Two of them exchange their places, and what looks at both should notice.

In a stack without a mask, answers behind the two are exactly the same where there are no positions: they are asked. In
one from left to right they are not, since the places between know less or more; there, what the first attention hands
the last place is the same, for it adds up the same values. So its output is asked. New models tell places apart so
faintly that float32 hardly shows it: the question is asked in float64.
"""

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import Subject, in_float64

QUESTION = Question("P4", "what exchanging two tokens changes")
MORE_THAN_ROUNDING = {np.dtype(np.float32): 3e-6, np.dtype(np.float64): 1e-11}


def order(subject: Subject, remade) -> Probed:
    """What stands behind two tokens tells which of them came first.

    remade  model -> the same Subject of it
    """
    subject = in_float64(subject, remade) or subject
    least, rounding = np.inf, MORE_THAN_ROUNDING[subject.said(subject.ids).dtype]
    for a, b, n in subject.swaps:
        least = min(least, _share(subject.said(subject.ids)[:, n], *(x[:, n] for x in _exchanged(subject, a, b))))
    end = subject.ids.shape[1]
    if subject.in_order and end >= subject.sources + 3:
        least = min(least, _of_first_attention(subject, end - 3, end - 2))
    expected = f"above {rounding:g}"
    if least == np.inf:
        return QUESTION.not_asked("nothing in it looks at two places at once")
    if least > rounding:
        return QUESTION.right(least, expected)
    why = "to exchange two tokens changes nothing for the places behind them: a text is a bag of words for this model"
    return QUESTION.wrong(least, expected, why, "M05", "M04")


def _exchanged(subject: Subject, a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
    """The answers with the tokens at a and b exchanged, and with another token at a."""
    swapped, other = _swapped(subject, a, b), _other(subject, a)
    return subject.said(swapped), subject.said(other)


def _swapped(subject: Subject, a: int, b: int) -> np.ndarray:
    ids = subject.ids.copy()
    ids[:, [a, b]] = ids[:, [b, a]]
    return ids


def _other(subject: Subject, a: int) -> np.ndarray:
    ids = subject.ids.copy()
    ids[:, a] = np.roll(ids[:, a + 1], 1)  # a token of another row
    return ids


def _share(before: np.ndarray, swapped: np.ndarray, other: np.ndarray) -> float:
    """How much exchanging changes, of what another token does; inf where that changes nothing."""
    by_other = np.abs(other - before).max()
    if not by_other > 1e-6 * np.abs(before).max():
        return np.inf
    return float(np.abs(swapped - before).max() / by_other)


def _of_first_attention(subject: Subject, a: int, b: int) -> float:
    """_share of the first Module whose output for the last place depends on the token at a."""
    texts = subject.ids, _swapped(subject, a, b), _other(subject, a)
    seen, swapped, other = (_outputs(subject, ids) for ids in texts)
    for path, before in seen.items():
        if path in swapped and path in other and before.shape == swapped[path].shape == other[path].shape:
            share = _share(before, swapped[path], other[path])
            if share < np.inf:
                return share
    return np.inf


def _outputs(subject: Subject, ids: np.ndarray) -> dict[str, np.ndarray]:
    """What each Module returned for the last place of its rows, in the order in which they ended."""
    with no_grad(), subject.model.watching() as seen:
        subject.answers(ids)
    found = {path: one.output for path, one in seen.items() if isinstance(one.output, Tensor) and one.output.ndim == 3}
    return {path: to_numpy(y.data)[:, -1] for path, y in found.items()}
