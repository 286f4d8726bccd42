"""Copies of arrays that keep, or change, how they lie in memory: kernels may depend on that, so the checks vary it."""

import numpy as np

from tinygrad_gpt.array import device_of


def as_float(a, dtype):
    """A float array converted to `dtype` and copied, in the same memory layout; anything else as it is."""
    return with_layout_of(a, a.astype(dtype)) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a


def copy(a):
    return with_layout_of(a, a) if isinstance(a, np.ndarray) else a


def with_layout_of(a, values):
    """A new array with these values, on their device, and the strides of `a`, scaled to its item size (broadcast axes
    made real)."""
    if a.size == 0 or 0 in a.strides or a.flags.c_contiguous:
        new = np.empty_like(values, order="C")
    else:
        steps = [s // a.itemsize for s in a.strides]
        length = 1 + sum((n - 1) * abs(s) for n, s in zip(a.shape, steps, strict=True))
        buffer = np.zeros_like(values, shape=(length,))
        strides = [abs(s) * buffer.itemsize for s in steps]
        new = device_of(buffer).as_strided(buffer, a.shape, strides)
        new = new[tuple(slice(None, None, -1 if s < 0 else 1) for s in steps)]
    new[...] = values
    return new


def other_layout(dy) -> np.ndarray:
    """The same numbers, not contiguous in memory."""
    wide = np.zeros((*dy.shape, 2), dy.dtype)
    wide[..., 0] = dy
    return wide[..., 0]


def turned(dy) -> np.ndarray:
    """The same numbers, the axes in reverse order in memory and each of them backwards."""
    return np.flip(np.array(np.flip(dy).T, order="C").T) if dy.ndim else dy.copy()
