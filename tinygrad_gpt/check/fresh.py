"""Other data of the same kind as given: what a second call of a pair gets, so that what it remembers comes to light."""

import numpy as np

from tinygrad_gpt import array
from tinygrad_gpt.check.layouts import with_layout_of


def other_data(arrays: tuple, rng: np.random.Generator, kink: bool) -> tuple:
    """Arrays of the same shapes and layouts, with values that the op allows as well (positive, ids within range).

    The same elements in another order, floats changed by up to 10 % each, so that they stay away from kinks; or at a
    `kink` all of them by the same factor, so that ties stay ties.
    """
    return tuple(_other(a, rng, kink) if isinstance(a, np.ndarray) else a for a in arrays)


def _other(a: np.ndarray, rng: np.random.Generator, kink: bool) -> np.ndarray:
    if kink:
        return with_layout_of(a, 1.5 * a) if array.is_float(a) else a
    values = rng.permutation(a.ravel()).reshape(a.shape)
    return with_layout_of(a, values * rng.uniform(0.9, 1.1, a.shape) if array.is_float(a) else values)
