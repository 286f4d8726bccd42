"""With masks and -inf in place of sorted pieces."""

import numpy as np


def softmax(s):
    e = np.exp(s - np.max(s))
    return e / np.sum(e)


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    if temperature == 0:
        return np.eye(len(logits))[np.argmax(logits)]
    s = logits / temperature
    if top_k is not None and top_k < len(s):
        s = np.where(s >= np.sort(s)[-top_k], s, -np.inf)
    p = softmax(s)
    if top_p is not None:
        likelier = np.array([np.sum(p[p > one]) for one in p])
        s = np.where(likelier < top_p, s, -np.inf)
    return softmax(s)
