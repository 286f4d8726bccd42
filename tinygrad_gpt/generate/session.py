"""Sessions: models that read texts piece by piece and score what could come next."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.generate.prompts import position_ids
from tinygrad_gpt.generate.sampling import check_finite
from tinygrad_gpt.nn import CacheDeclinedError, Module
from tinygrad_gpt.nn.language_model import next_logits_of


class Reader(Protocol):
    """Texts side by side, R of them: what greedy decoding, sampling and beam search ask of a session."""

    def read(self, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Read the next ids (R, T) -> NumPy logits (R, V) of the token after them."""
        ...

    def select(self, rows: np.ndarray) -> None:
        """Keep these rows of the texts, in this order; one that comes twice is kept twice."""


class DecodingSession:
    """Sequences side by side. The model keeps their keys and values, so that a new token costs one position. A model
    that makes no cache, or has a block that declines it, reads the whole sequences again for each new token.

    model     a language model (nn/language_model.py); with new_cache and next_logits, as GPT has them, it is quick
    rows      how many sequences
    capacity  how many positions to make room for, padding included; None: block_size

    While it reads, dropout is off and nothing is recorded for gradients; afterwards each Module has its earlier mode.
    """

    def __init__(self, model, rows: int, capacity: int | None = None):
        self._model, self._evaluating = model, Evaluating(model)
        self._cache = model.new_cache(rows, capacity) if hasattr(model, "new_cache") else None
        self._ids = np.empty((rows, 0), np.int64)  # (B, T so far)
        self._mask = None  # (B, T so far) booleans, True for a token and False for padding; None: no padding

    def read(self, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Read the next ids (B, T) -> NumPy logits (B, V) of the token after them.

        mask  (B, T) for the first reading only: False where ids are padding. A token's position is the number of real
              tokens before it, so that padding changes nothing for the tokens after it

        Raises ValueError for logits that are not finite, TypeError for padding that the model has no mask for.
        """
        self._ids = np.concatenate([self._ids, ids], axis=1)
        if mask is not None:
            self._mask = mask
        elif self._mask is not None:
            self._mask = np.concatenate([self._mask, np.ones(ids.shape, bool)], axis=1)
        with self._evaluating():
            try:
                logits = self._logits(ids if self._cache is not None else self._ids)
            except CacheDeclinedError:
                self._cache = None
                logits = self._logits(self._ids)
        logits = to_numpy(logits.data)
        check_finite(logits)
        return logits

    def _logits(self, ids: np.ndarray) -> Tensor:
        """The model's logits (B, V) after `ids`, the last ones of the sequences, or all of them without a cache."""
        where = {}
        if self._mask is not None:
            positions = position_ids(self._mask)[:, -ids.shape[1] :]
            where = {"attention_mask": self._mask, "position_ids": positions}
        return next_logits_of(self._model, ids, self._cache, **where)

    def select(self, rows: np.ndarray) -> None:
        """Keep these rows of the sequences, in this order; one that comes twice is kept twice."""
        if self._cache is not None:
            self._cache.select(rows)
        self._ids = self._ids[rows]
        if self._mask is not None:
            self._mask = self._mask[rows]

    def clear(self) -> None:
        """Forget everything read so far."""
        if self._cache is not None:
            self._cache.clear()
        self._ids = self._ids[:, :0]
        self._mask = None


class TranslationSession:
    """Translations side by side, written after their sources: the encoder reads these once, here; the decoder keeps
    their keys and values, and those of what it reads.

    model        an encoder-decoder, as Transformer is: encode, new_cache(encoded, source_mask, capacity), next_logits
    source_ids   (B, Ts); at first a translation for each
    source_mask  (B, Ts): 1 for a token, 0 for padding; None: there is none
    capacity     how many positions of the target to make room for

    Modes: as DecodingSession. Raises what Transformer.encode raises.
    """

    def __init__(self, model, source_ids, source_mask, capacity: int):
        self._model, self._evaluating = model, Evaluating(model)
        with self._evaluating():
            self._cache = model.new_cache(model.encode(source_ids, source_mask), source_mask, capacity)

    def read(self, ids: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Read the next ids (R, T) of the target -> NumPy logits (R, V) of the token after them.

        mask  None: targets are not padded on the left

        Raises ValueError for logits that are not finite.
        """
        with self._evaluating():
            logits = to_numpy(self._model.next_logits(ids, self._cache).data)
        check_finite(logits)
        return logits

    def select(self, rows: np.ndarray) -> None:
        """Keep these rows of the translations, in this order; one that comes twice is kept twice."""
        self._cache.select(rows)


class Evaluating:
    """with evaluating(): ... dropout is off and no gradients are recorded, for a model whose Modules stay the same."""

    def __init__(self, model: Module):
        self._model, self._modules = model, list(model.modules())

    @contextmanager
    def __call__(self) -> Iterator[None]:
        # Ask first: to walk through a small model's Modules takes as long as its token.
        is_training = any(module.training for module in self._modules)
        with no_grad(), self._model.evaluating() if is_training else nullcontext():
            yield
