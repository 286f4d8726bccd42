"""P8: do the gradients of a batch's parts add up to that of the whole? And does a step leave nothing behind?"""

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.check.probes.probed import Probed, Question

QUESTION = Question("P8", "how far parts of a batch are from the whole")
SAME = 1e-4  # float32 adds up in another order
Batch = tuple[np.ndarray, ...]


def parts(step: Callable[[list[Batch]], object], params: Sequence, whole: Batch, cut: int) -> Probed:
    """A step of training on a batch, at once and in two parts of unequal size, gives the same gradients.

    step   a list of batches -> nothing: it leaves the gradient of their mean loss in each p.grad, as a training loop
           does with accumulation
    whole  arrays with as many rows, some of which should count more than others (padding, ignored labels)
    cut    rows of the first part
    """
    both = [tuple(a[:cut] for a in whole), tuple(a[cut:] for a in whole)]

    def gradient(*batches: Batch) -> np.ndarray:
        step(list(batches))
        grads = [np.zeros(p.shape) if p.grad is None else to_numpy(p.grad).astype(float) for p in params]
        return np.concatenate([g.reshape(-1) for g in grads])

    at_once, again = gradient(whole), gradient(whole)
    expected = f"at most {SAME:g}"
    if (apart := _apart(again, at_once)) > SAME:
        why = f"the same batch twice gives gradients that differ by {apart:.2g} of themselves"
        return QUESTION.wrong(apart, expected, why, "T06")
    in_parts = gradient(*both)
    if (apart := _apart(in_parts, at_once)) <= SAME:
        return QUESTION.right(apart, expected)
    first, second = gradient(both[0]), gradient(both[1])
    if _apart(in_parts, second) <= SAME:
        return QUESTION.wrong(apart, expected, "of two parts, only the second one's gradient is left", "G12")
    if _apart(in_parts, (first + second) / 2) <= SAME:
        return QUESTION.wrong(apart, expected, "each part counts the same, however much is in it", "T05")
    if _apart(in_parts, first + second) <= SAME:
        return QUESTION.wrong(apart, expected, "the parts' mean gradients are added up, and not averaged", "T05")
    return QUESTION.wrong(apart, expected, "two parts give another gradient than the whole batch", "T05", "G12")


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """|a - b| / |b|, of vectors."""
    if not np.isfinite(a).all():
        return np.inf
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), np.finfo(float).tiny))
