"""Constraints on what is written: tokens that never come, and an end that is forced at the longest length."""

import numpy as np

from tinygrad_gpt.generate.session import Reader


class ConstrainedReader:
    """A reader whose logits leave no choice but what is allowed: what is not has -inf.

    reader  of R texts that begin with their prompts
    never   (N,), tokens that are not written. They count as impossible: the others have probability 1 together
    forced  (F,), the token that is written as the last of a text, for certain, or several to choose from; F may be 0
    limits  (R,), after how many tokens that is, for each text
    """

    def __init__(self, reader: Reader, never: np.ndarray, forced: np.ndarray, limits: np.ndarray):
        self._reader, self._never, self._forced, self._limits = reader, never, forced, limits
        self._length = 0  # of the texts, without their prompts

    def read(self, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """ids (R, T) -> logits (R, V)."""
        logits = self._reader.read(ids, mask)
        self._length += 1  # with the token that is chosen next
        logits[:, self._never] = -np.inf
        if self._forced.size and (last := self._limits == self._length).any():
            logits[last] = -np.inf
            logits[np.ix_(last, self._forced)] = 0.0
        return logits

    def select(self, rows: np.ndarray) -> None:
        """Keep these rows of the texts, in this order."""
        self._reader.select(rows)
        self._limits = self._limits[rows]
