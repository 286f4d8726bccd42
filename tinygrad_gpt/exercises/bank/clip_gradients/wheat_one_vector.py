"""All gradients really as one vector, cut into pieces again."""

import numpy as np


def clip_gradients(grads, max_norm):
    vector = np.concatenate([g.ravel() for g in grads])
    norm = np.linalg.norm(vector)
    if np.isfinite(norm) and norm + 1e-6 > max_norm:
        vector = vector * (max_norm / (norm + 1e-6))
    ends = np.cumsum([g.size for g in grads])[:-1]
    return [part.reshape(g.shape) for part, g in zip(np.split(vector, ends), grads, strict=True)]
