"""What cases are made of: random arrays, and ways for them to lie in memory."""

import numpy as np

LONG = 1025  # one more than any vector or block of a kernel divides


class Draw:
    """Random arrays; what they are for, an op's name, is the seed."""

    def __init__(self, purpose: str):
        self.rng = np.random.default_rng(list(purpose.encode()))

    def normal(self, *shape: int, size: float = 1.0) -> np.ndarray:
        return np.asarray(size * self.rng.standard_normal(shape))

    def positive(self, *shape: int) -> np.ndarray:
        return np.asarray(self.rng.uniform(0.5, 3.0, shape))

    def nonzero(self, *shape: int) -> np.ndarray:
        """Of either sign, at least 0.3 away from 0."""
        return np.asarray(self.rng.uniform(0.3, 3.0, shape) * self.rng.choice([-1.0, 1.0], shape))

    def near_one(self, *shape: int) -> np.ndarray:
        """Of either sign, so close to 1 and -1 that the product of hundreds is still a number of ordinary size."""
        return np.asarray(self.rng.uniform(0.99, 1.01, shape) * self.rng.choice([-1.0, 1.0], shape))

    def distinct(self, *shape: int) -> np.ndarray:
        """No two closer than 0.05."""
        n = int(np.prod(shape))
        return (0.1 * self.rng.permutation(n) + self.rng.uniform(0, 0.05, n) - 0.05 * n).reshape(shape)

    def few(self, *shape: int) -> np.ndarray:
        """0, 1 and 2, so that many are equal."""
        return np.asarray(self.rng.integers(0, 3, shape), np.float64)

    def bools(self, *shape: int) -> np.ndarray:
        return np.asarray(self.rng.random(shape) < 0.6)

    def ids(self, below: int, *shape: int, dtype=np.int64) -> np.ndarray:
        return np.asarray(self.rng.integers(0, below, shape), dtype=dtype)


def strided(a: np.ndarray) -> np.ndarray:
    """The same numbers with gaps between them, the last axis running backwards."""
    wide = np.zeros((*a.shape, 3))
    wide[..., 1] = a[..., ::-1]
    return wide[..., 1][..., ::-1]


def transposed(a: np.ndarray) -> np.ndarray:
    """The same numbers, the axes in reverse order in memory."""
    return np.array(a.T, order="C").T
