"""Sequences of different lengths as one array: padding on the right.

[[7, 8, 9], [5]]  ->  rows 7 8 9    mask 1 1 1
                           5 0 0         1 0 0
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.arguments import integer


class Padded(NamedTuple):
    """rows (B, T) int64, and mask (B, T) int64: 1 where a sequence has a value, 0 at padding."""

    rows: np.ndarray
    mask: np.ndarray


def pad_right(sequences: Sequence, value: int, length: int | None = None) -> Padded:
    """Sequences (T_i,) of integers side by side, filled up with `value` to the longest, or to `length`.

    Raises ValueError for no sequences, or one longer than `length`.
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    if not len(lengths):
        raise ValueError("padding: expected at least one sequence, got none")
    longest = int(lengths.max())
    length = integer("padding", "length", longest if length is None else length, low=longest)
    mask = (np.arange(length) < lengths[:, np.newaxis]).astype(np.int64)  # (B, T)
    rows = np.full(mask.shape, value, dtype=np.int64)
    for row, sequence in zip(rows, sequences, strict=True):
        row[: len(sequence)] = sequence
    return Padded(rows, mask)
