"""Rows written into arrays with room to spare, and one query after the other."""

import numpy as np


class Cache:
    def __init__(self):
        self.length, self.k, self.v = 0, None, None

    def attend(self, q, k, v):
        end = self.length + len(k)
        self.k, self.v = with_room(self.k, end, k), with_room(self.v, end, v)
        self.k[self.length : end], self.v[self.length : end] = k, v
        y = np.empty_like(q)
        for i, one in enumerate(q):
            seen = self.length + i + 1
            e = np.exp(self.k[:seen] @ one / np.sqrt(len(one)))
            y[i] = e @ self.v[:seen] / np.sum(e)
        self.length = end
        return y


def with_room(rows, length, like):
    """The same rows, in an array of at least `length`."""
    if rows is not None and length <= len(rows):
        return rows
    bigger = np.empty((2 * length, like.shape[1]))
    if rows is not None:
        bigger[: len(rows)] = rows
    return bigger
