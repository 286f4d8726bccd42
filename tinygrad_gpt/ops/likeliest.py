"""The likeliest classes of each row, and their log-probabilities: a routine, outside the tape, for beam search.

    logits   (R, V)  float, no nan; -inf for a class that cannot be
    k        how many classes of each row, 0 < k <= V
    classes  (R, k)  int64, the likeliest first; of equal ones, that with the lower number
    log_p    (R, k)  float64: log softmax of the row, at these classes

A search adds log-probabilities over the length of a text, and compares the sums. So they are float64, though the
logits may not be. Like cross_entropy, they are taken from the largest logit, m:

    log p_j = d_j - log Σ e^d,   d = z - m

Only what is returned is sorted. To sort the whole vocabulary would take longer than a small model needs for its logits.
"""

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import check_floats


def check(logits, *, k):
    """Raises TypeError for integers, ValueError for another shape and for a k that is no integer in 1 .. V."""
    check_floats("likeliest", logits)
    if logits.ndim != 2 or not isinstance(k, int) or not 0 < k <= logits.shape[1]:
        raise ValueError(f"likeliest: expected logits (R, V) and 0 < k <= V, got {logits.shape} and k = {k}")


def run(logits, *, k):
    """(classes, log_p)."""
    d = logits - np.max(logits, axis=1, keepdims=True)  # (R, V)
    log_sum = np.log(np.sum(np.exp(d), axis=1, keepdims=True, dtype=np.float64))  # (R, 1)
    classes = np.empty((len(logits), k), np.int64, like=logits)
    for i, row in enumerate(logits):
        classes[i] = likeliest(row, k)
    return classes, np.take_along_axis(d, classes, axis=1) - log_sum


def likeliest(logits: Array, k: int) -> Array:
    """The k likeliest classes of one row (V,), the likeliest first; k <= V."""
    (candidates,) = np.nonzero(logits >= _at_most_kth(logits, k))  # k of them, and a few more
    return candidates[np.argsort(-logits[candidates], kind="stable")[:k]]


def _at_most_kth(logits: Array, k: int) -> Array:
    """A number no larger than the k-th largest logit, and seldom much smaller.

    Of the columns of a table that holds the row, or most of it, k have a maximum as large as the k-th largest maximum:
    so at least k logits are. To find these maxima takes one reading, a fraction of what partitioning the row takes.
    """
    columns = 256 + 8 * k
    rows = len(logits) // columns
    if rows > 1:
        logits = np.max(logits[: rows * columns].reshape(rows, columns), axis=0)  # (V,) -> (columns,)
    return np.partition(logits, len(logits) - k)[len(logits) - k]
