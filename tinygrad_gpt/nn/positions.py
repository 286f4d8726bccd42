"""Sinusoidal positions (Vaswani et al., "Attention is all you need", 2017, section 3.5)."""

import numpy as np

from tinygrad_gpt.arguments import integer, number, shown
from tinygrad_gpt.array import default_dtype

ORDERS = ("interleaved", "halves")


def sinusoids(length: int, channels: int, longest: float = 10_000.0, order: str = "interleaved") -> np.ndarray:
    """A vector for each position 0 .. length - 1, (T, C), in the default dtype:

        even channels   sin(t / longest^(i/C))
        odd channels    cos(t / longest^(i/C))      i: the even channel before it

    With order="halves", all sines stand first and all cosines after them, as in Marian. A model can learn the same
    either way, but with weights in another order.

    Two channels turn like the hand of a clock, once in 2π positions the first two, the others slower and slower. The
    product of two such vectors depends on the distance of their positions alone, and is largest for neighbours: a
    model finds them as soon as it compares positions at all.

    longest  2π times this is the number of positions in which the slowest hand would turn once
    """
    length = integer("sinusoids", "length", length, low=1)
    return sinusoids_at(np.arange(length), channels, longest, order)


def sinusoids_at(
    positions: np.ndarray, channels: int, longest: float = 10_000.0, order: str = "interleaved", dtype=None
) -> np.ndarray:
    """A vector for each of these positions (T,), which may be distances too, and so below 0: (T, C) in `dtype`; None:
    the default dtype. See `sinusoids`."""
    channels = integer("sinusoids", "channels", channels, low=1)
    longest = number("sinusoids", "longest", longest, low=1)
    if order not in ORDERS:
        raise ValueError(f"sinusoids: expected order {' or '.join(ORDERS)}, got {shown(order)}")
    dtype = default_dtype() if dtype is None else dtype
    t, i = positions[:, np.newaxis], np.arange(0, channels, 2)  # (T, 1), (C/2,)
    angles = t / longest ** (i / channels)  # (T, C/2), one more column for an odd C
    sines, cosines = np.sin(angles), np.cos(angles[:, : channels // 2])
    if order == "halves":
        return np.concatenate([sines, cosines], axis=1, dtype=dtype)
    table = np.empty((len(positions), channels), dtype)
    table[:, 0::2], table[:, 1::2] = sines, cosines
    return table
