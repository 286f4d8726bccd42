"""Cross-entropy, backwards.

    p = softmax(z)                          z: a row of the logits
    q = (1 - ε) onehot(t) + ε/V             what the model should say; ε is `label_smoothing`
    loss = -Σ_j q_j log p_j                 of a row; 0 for a row whose target is `ignore_index`

    logits   (..., V)     any numbers
    targets  (...)        integers: t, the right class of each row
    y        "mean": the mean of the losses over the rows that are not ignored; "sum": their sum; "none": all of them

Given dy = ∂L/∂y, return ∂L/∂logits, and None for the targets, which are integers. An ignored row gets 0, whatever its
logits are, nan or infinite.

`forward` saves p and q as (R, V), one line for each row, which rows count (R,), the logits' shape, and `reduction`. You
may save other things.
"""

import numpy as np


def forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    v = logits.shape[-1]
    z, t = logits.reshape(-1, v), targets.reshape(-1).astype(np.int64)
    counts = t != ignore_index
    shifted = z - np.max(z, axis=-1, keepdims=True)
    log_p = shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))
    q = np.full_like(z, label_smoothing / v)
    q[counts, t[counts]] += 1 - label_smoothing
    loss = np.where(counts, -np.sum(q * log_p, axis=-1), 0.0)
    if reduction == "none":
        y = loss.reshape(targets.shape)
    elif reduction == "sum":
        y = np.sum(loss)
    else:
        y = np.sum(loss) / int(np.sum(counts))  # int: a number of NumPy's would turn float32 into float64
    return y, (np.exp(log_p), q, counts, logits.shape, reduction)


def backward(dy, saved):
    p, q, counts, shape, reduction = saved
    # BEGIN SOLUTION
    if reduction == "mean":
        dy = dy / int(np.sum(counts))
    dy = dy.reshape(-1, 1)  # one for each row, or one for all
    dz = np.where(counts[:, None], (p - q) * dy, 0.0)
    return dz.reshape(shape), None
    # END SOLUTION
