"""Pieces of random sizes, many times, and at the end all caches once more."""

import numpy as np


def differs(model, ids):
    whole, _ = model(ids, None)
    rng = np.random.default_rng(2)
    wrong = 0.0
    for _ in range(30):
        ends = sorted({*rng.choice(np.arange(1, 8), size=rng.integers(1, 7), replace=False).tolist(), 8})
        caches, begin = [None], 0
        for end in ends:
            logits, cache = model(ids[begin:end], caches[-1])
            wrong = max(wrong, np.abs(logits - whole[begin:end]).max())
            caches.append(cache)
            begin = end
        for begin, cache in zip([0, *ends[:-1]], caches[:-1], strict=True):
            wrong = max(wrong, np.abs(model(ids[begin:], cache)[0] - whole[begin:]).max())
    return wrong > 1e-8
