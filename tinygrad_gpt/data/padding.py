"""Sequences of different lengths as one array: padding on the right, or on the left.

[[7, 8, 9], [5]]  ->  rows 7 8 9    mask 1 1 1        rows 7 8 9    mask 1 1 1
                           5 0 0         1 0 0             0 0 5         0 0 1
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
    return _padded(sequences, value, length, left=False)


def pad_left(sequences: Sequence, value: int, length: int | None = None) -> Padded:
    """The same with padding before the sequences, so that their last tokens stand side by side."""
    return _padded(sequences, value, length, left=True)


def _padded(sequences: Sequence, value: int, length: int | None, left: bool) -> Padded:
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    if not len(lengths):
        raise ValueError("padding: expected at least one sequence, got none")
    longest = int(lengths.max())
    length = integer("padding", "length", longest if length is None else length, low=longest)
    begins = (length - lengths) * left  # (B,)
    rows, mask = np.full((len(lengths), length), value, np.int64), np.zeros((len(lengths), length), np.int64)
    for i, (begin, sequence) in enumerate(zip(begins, sequences, strict=True)):
        rows[i, begin : begin + len(sequence)], mask[i, begin : begin + len(sequence)] = sequence, 1
    return Padded(rows, mask)
