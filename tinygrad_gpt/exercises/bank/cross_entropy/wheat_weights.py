"""Through log-softmax's own backward, with a weight for each row."""

import numpy as np


def forward(logits, targets, *, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    counts = targets.astype(np.int64) != ignore_index
    t = np.where(counts, targets.astype(np.int64), 0)
    peak = np.max(logits, axis=-1, keepdims=True)
    log_p = logits - peak - np.log(np.sum(np.exp(logits - peak), axis=-1, keepdims=True))
    onehot = (np.arange(logits.shape[-1]) == t[..., None]).astype(logits.dtype)
    q = (1 - label_smoothing) * onehot + label_smoothing / logits.shape[-1]
    loss = np.where(counts, -np.sum(q * log_p, axis=-1), 0.0)
    share = 1 / max(int(counts.sum()), 1) if reduction == "mean" else 1.0
    return loss if reduction == "none" else loss.sum() * share, (log_p, q, counts, share)


def backward(dy, saved):
    log_p, q, counts, share = saved
    dlog_p = -q * dy[..., None] * share
    dz = dlog_p - np.exp(log_p) * np.sum(dlog_p, axis=-1, keepdims=True)
    return np.where(counts[..., None], dz, 0.0), None
