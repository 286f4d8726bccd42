"""Sinusoidal positions (Vaswani et al., "Attention is all you need", 2017, section 3.5)."""

import numpy as np

from tinygrad_gpt.arguments import integer, number
from tinygrad_gpt.array import default_dtype


def sinusoids(length: int, channels: int, longest: float = 10_000.0) -> np.ndarray:
    """A vector for each position 0 .. length - 1, (T, C), in the default dtype:

        even channels   sin(t / longest^(i/C))
        odd channels    cos(t / longest^(i/C))      i: the even channel before it

    Two channels turn like the hand of a clock, once in 2π positions the first two, the others slower and slower. The
    product of two such vectors depends on the distance of their positions alone, and is largest for neighbours: a
    model finds them as soon as it compares positions at all.

    longest  2π times this is the number of positions in which the slowest hand would turn once
    """
    length, channels = integer("sinusoids", "length", length, low=1), integer("sinusoids", "channels", channels, low=1)
    longest = number("sinusoids", "longest", longest, low=1)
    t, i = np.arange(length)[:, np.newaxis], np.arange(0, channels, 2)  # (T, 1), (C/2,)
    angles = t / longest ** (i / channels)  # (T, C/2), one more column for an odd C
    table = np.empty((length, channels), default_dtype())
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles[:, : channels // 2])
    return table
