"""One text with the same beginning and another end, for every length of the beginning."""

import numpy as np


def leaks(model, ids):
    others = (ids + np.random.default_rng(5).integers(1, 10, len(ids))) % 10
    first = model(ids)
    for length in range(1, len(ids)):
        other = np.concatenate([ids[:length], others[length:]])
        if not np.allclose(model(other)[:length], first[:length], rtol=0, atol=1e-10):
            return True
    return False
