"""DecodingSession: a model that reads sequences on, and says what could come next."""

from contextlib import nullcontext

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.generate.prompts import position_ids
from tinygrad_gpt.generate.sampling import check_finite


class DecodingSession:
    """Sequences side by side, of which a model keeps the keys and values, so that a new token costs one position.

    model     has next_logits and new_cache, as GPT does
    rows      how many sequences
    capacity  how many positions there must be room for, padding included; None: block_size

    Dropout is off while it reads, no gradients are recorded, and afterwards each Module is in the mode it was in, also
    when reading was interrupted.
    """

    def __init__(self, model, rows: int, capacity: int | None = None):
        self._model, self._modules = model, model.modules()
        self._cache = model.new_cache(rows, capacity)
        self._mask = None  # (B, T so far) booleans, True for a token and False for padding; None: there is no padding

    def read(self, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """ids (B, T), which follow those read before -> logits (B, V), NumPy, of the token that follows them.

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
        # Asked first, since to walk through a small model's Modules takes as long as its token.
        is_training = any(module.training for module in self._modules)
        with no_grad(), self._model.evaluating() if is_training else nullcontext():
            logits = to_numpy(self._model.next_logits(ids, self._cache, **where).data)
        check_finite(logits)
        return logits

    def select(self, rows: np.ndarray) -> None:
        """Go on with these of the sequences, in this order; one that comes twice is read on twice."""
        self._cache.select(rows)
        if self._mask is not None:
            self._mask = self._mask[rows]

    def clear(self) -> None:
        """Forget what was read."""
        self._cache.clear()
        self._mask = None
