"""Gradients, made shorter together (Pascanu, Mikolov and Bengio, 2013, section 3.2).

All gradients of a model are one long vector. If it is longer than max_norm, it is made shorter, by the factor

    max_norm / (norm + 1e-6)        norm = √(Σ g²), over all elements of all gradients

so its direction stays. A vector that is short enough stays as it is. So does one whose norm is not finite (nan or inf):
whoever looks for the culprit should find it.

    grads     a list of arrays, of any shapes
    returns   a list of new arrays; what is given stays as it is
"""

import numpy as np


def clip_gradients(grads, max_norm):
    # BEGIN SOLUTION
    norm = np.sqrt(sum(np.sum(g**2) for g in grads))
    scale = min(1.0, max_norm / (norm + 1e-6)) if np.isfinite(norm) else 1.0
    return [g * scale for g in grads]
    # END SOLUTION
