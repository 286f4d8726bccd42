"""DecodingSession: a model that reads sequences piece by piece and scores what could come next."""

from contextlib import nullcontext

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.generate.prompts import position_ids
from tinygrad_gpt.generate.sampling import check_finite


class DecodingSession:
    """Sequences side by side. The model keeps their keys and values, so that a new token costs one position.

    model     has next_logits and new_cache, as GPT does
    rows      how many sequences
    capacity  how many positions to make room for, padding included; None: block_size

    While it reads, dropout is off and nothing is recorded for gradients; afterwards each Module has its earlier mode.
    """

    def __init__(self, model, rows: int, capacity: int | None = None):
        self._model, self._modules = model, model.modules()
        self._cache = model.new_cache(rows, capacity)
        self._mask = None  # (B, T so far) booleans, True for a token and False for padding; None: no padding

    def read(self, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Read the next ids (B, T) -> NumPy logits (B, V) of the token after them.

        mask  (B, T) for the first reading only: False where ids are padding. A token's position is the number of real
              tokens before it, so that padding changes nothing for the tokens after it

        Raises ValueError for logits that are not finite.
        """
        if mask is not None:
            self._mask = mask
        elif self._mask is not None:
            self._mask = np.concatenate([self._mask, np.ones(ids.shape, bool)], axis=1)
        where = {}
        if self._mask is not None:
            positions = position_ids(self._mask)[:, -ids.shape[1] :]
            where = {"attention_mask": self._mask, "position_ids": positions}
        # Ask first: to walk through a small model's Modules takes as long as its token.
        is_training = any(module.training for module in self._modules)
        with no_grad(), self._model.evaluating() if is_training else nullcontext():
            logits = to_numpy(self._model.next_logits(ids, self._cache, **where).data)
        check_finite(logits)
        return logits

    def select(self, rows: np.ndarray) -> None:
        """Keep these rows of the sequences, in this order; one that comes twice is kept twice."""
        self._cache.select(rows)
        if self._mask is not None:
            self._mask = self._mask[rows]

    def clear(self) -> None:
        """Forget everything read so far."""
        self._cache.clear()
        self._mask = None
