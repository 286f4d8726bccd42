"""P2: does an answer depend on tokens that it may not see? Its gradient says so, and which ones."""

import numpy as np

from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import Subject

QUESTION = Question("P2", "the gradient by tokens that may not be seen")
NONE = 1e-6  # share of the largest gradient


def future(subject: Subject, sizes: np.ndarray) -> Probed:
    """∂ scores_n / ∂ x_s, for each place n and token s of a row, is 0 where n may not see s, and not everywhere.

    sizes  (N, R, S), of `dependence`
    """
    if subject.may_see is None or subject.may_see.all():
        return QUESTION.not_asked("each place may see all tokens")
    size = sizes[:, 0]  # (N, S), of row 0
    leaks = (size > NONE) & ~subject.may_see
    if leaks.any():
        n, s = np.unravel_index(np.argmax(np.where(leaks, size, 0)), size.shape)
        why = f"place {n} sees token {s}, which it should not: {_picture(size, subject)}"
        return QUESTION.wrong(size[leaks].max(), "0", why, *_mistakes(leaks, subject))
    blind = [n for n, seen in enumerate(subject.may_see) if seen.any() and not (size[n] > NONE).any()]
    if blind:
        why = f"the scores of place {blind[0]} depend on no token at all"
        return QUESTION.wrong(0.0, "above 0 for tokens that it may see", why, "A15", "G20")
    return QUESTION.right(size[~subject.may_see].max(), "0")


def _mistakes(leaks: np.ndarray, subject: Subject) -> tuple[str, ...]:
    """The next tokens, one for each block: a mask off by one. All of them: there is none. Else places are mixed."""
    own = leaks[:, subject.sources :]
    t = len(own)
    if not subject.in_order or own.shape != (t, t):
        return ("A14", "A16", "A12")
    ahead = np.arange(t) - np.arange(t)[:, np.newaxis]  # (T, T): s - n
    farthest = ahead[own].max()
    if not (own == ((ahead > 0) & (ahead <= farthest))).all():
        return ("A12", "A13", "A10")
    if farthest < t - 1:
        return ("A13",)
    return ("A14", "A16", "A19" if subject.sources else "A10", "A13")


def _picture(size: np.ndarray, subject: Subject) -> str:
    """Rows of places, columns of tokens: + seen, . not seen, ! seen and should not be."""
    marks = np.where(size > NONE, np.where(subject.may_see, "+", "!"), ".")
    return " ".join("".join(row) for row in marks) + " (a word for each place, a sign for each token)"
