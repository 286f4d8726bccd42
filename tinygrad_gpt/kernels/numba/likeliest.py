"""The likeliest classes of each row on the CPU (ops/likeliest.py): three readings of a row, which stays in the cache.

The first finds the largest logit, the second sums exponentials, the third keeps the k best so far, in order. Of a BLOCK
of classes it first asks for the largest. Few blocks have one that is better than the k-th best: with classes in no
order, the one at place n is so with probability k/n.
"""

import math

import numba
import numpy as np

from tinygrad_gpt.kernels.numba.machine.compile import helper, kernel, my_part, read, write
from tinygrad_gpt.kernels.numba.machine.layout import ALONE, not_ours
from tinygrad_gpt.kernels.numba.machine.vector_math import exp, row_max
from tinygrad_gpt.ops.likeliest import check

BLOCK = 256  # classes; of so many, float32 sums the exponentials, and float64 all these sums


def why_not(logits, *, k):
    return not_ours(logits)


def run(logits, *, k):
    """(classes, log_p)."""
    check(logits, k=k)
    classes, log_p = np.empty((len(logits), k), np.int64), np.empty((len(logits), k))
    _likeliest(np.ascontiguousarray(logits), classes, log_p)
    return classes, log_p


@kernel(
    lambda f: (read(f, "R V"), write(numba.int64, "R K"), write(numba.float64, "R K")),
    alone_below=ALONE,
    on_demand=True,
)
def _likeliest(share, logits, classes, log_p):
    r, v = logits.shape
    for i in my_part(share, r):
        row = logits[i]
        peak = row_max(row, v)
        log_sum = math.log(_sum_of_exponentials(row, peak))
        _choose(row, classes[i])
        for place in range(classes.shape[1]):
            log_p[i, place] = np.float64(row[classes[i, place]] - peak) - log_sum


@helper(inlined=False)
def _sum_of_exponentials(row, peak):
    """Σ e^(z - peak), in float64."""
    total = 0.0
    for first in range(0, row.size, BLOCK):
        block = row[first : first + BLOCK]
        subtotal = row.dtype.type(0)
        for j in range(block.size):
            subtotal += exp(block[j] - peak)
        total += np.float64(subtotal)
    return total


@helper(inlined=False)
def _choose(row, best):
    """Writes into best (k,) the classes with the largest logits of the row, the largest first."""
    k = best.size
    count = 0  # of the classes in `best`
    for first in range(0, row.size, BLOCK):
        block = row[first : first + BLOCK]
        if count == k and not row_max(block, block.size) > row[best[k - 1]]:
            continue
        for j in range(block.size):
            if count == k and not block[j] > row[best[k - 1]]:
                continue
            count = min(count + 1, k)
            place = count - 1
            while place > 0 and block[j] > row[best[place - 1]]:
                best[place] = best[place - 1]
                place -= 1
            best[place] = first + j
