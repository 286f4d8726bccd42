"""Two texts in the room of one: how much of each is kept."""

import numpy as np


def kept(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens two texts of these lengths keep, at most `room` together.

    The longer one is cut, down to the length of the shorter one; then both are. If they get equal parts of an odd room,
    the first one has the token that is left over.
    """
    of_second = min(second, max(room // 2, room - first))
    return min(first, room - of_second), of_second


def cut_pair(a: np.ndarray, b: np.ndarray | None, room: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Both texts (N,) and (M,), or one, with at most `room` tokens together. The longer one is cut first."""
    if b is None:
        return a[:room], None
    if len(a) > len(b):
        of_a, of_b = kept(len(a), len(b), room)
    else:
        of_b, of_a = kept(len(b), len(a), room)
    return a[:of_a], b[:of_b]
