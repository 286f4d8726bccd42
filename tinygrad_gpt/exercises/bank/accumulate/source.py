"""A large batch in small parts.

A batch that doesn't fit into memory is read in parts, and the parts' gradients are added up. What comes out must be
that of the whole batch: the mean over all its tokens. A target of -100 is padding, and counts for nothing.

    w        (C, V) the weights
    parts    a list of (x, targets): x (N, C), and targets (N,) integers, some of them -100. N may differ
    returns  (loss, dw): the loss of the whole batch, and its gradient by w

`mean_loss` is there. It does this for one part; it knows nothing of the others.
"""

import numpy as np


def mean_loss(w, x, targets):
    """Cross-entropy: the mean over the tokens that count, and its gradient by w. nan, if none counts: 0 / 0."""
    counts = targets != -100
    x, t = x[counts], targets[counts]
    s = x @ w
    p = np.exp(s - np.max(s, axis=-1, keepdims=True))
    p = p / np.sum(p, axis=-1, keepdims=True)
    n, rows = np.float64(len(t)), np.arange(len(t))
    loss = np.sum(-np.log(p[rows, t])) / n
    p[rows, t] -= 1
    return loss, x.T @ p / n


def accumulate(w, parts):
    # BEGIN SOLUTION
    loss, dw = 0.0, np.zeros_like(w)
    counts = [np.sum(targets != -100) for _, targets in parts]
    for (x, targets), n in zip(parts, counts, strict=True):
        if n:
            one, dw_of_one = mean_loss(w, x, targets)
            loss += one * n / sum(counts)
            dw += dw_of_one * n / sum(counts)
    return loss, dw
    # END SOLUTION
