"""What models are given: token ids and which of them are padding, checked; and the vectors of the tokens."""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import Array, if_on_cpu, to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.modes import is_grad_enabled
from tinygrad_gpt.nn import Embedding
from tinygrad_gpt.tensor import plain_array, plain_ids


def as_ids(ids, who: str, name: str = "ids") -> Array:
    """Integers (B, T), given as a Tensor, an array or lists, as a plain array. `who` asks, for errors.

    Raises ValueError for another shape, TypeError for what are no integers.
    """
    ids = plain_ids(ids, who, name)
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise ValueError(f"{who}: expected {name} of shape (B, T) with T >= 1, got {ids.shape}")
    return ids


def padding_mask(attention_mask, shape: tuple[int, ...], like: Array, who: str, more: str = "") -> Array | None:
    """(B, T) of ones and zeros -> (B, 1, 1, T) of booleans on the device of `like`; None if nothing is masked.

    more  said of the shape in errors

    Raises ValueError for another shape, and for other values.
    """
    if attention_mask is None:
        return None
    mask = to_numpy(plain_array(attention_mask, "attention_mask"))
    if mask.shape != shape:
        raise ValueError(f"{who}: expected an attention_mask of shape (B, T) = {shape}{more}, got {mask.shape}")
    real = mask == 1
    if not (real | (mask == 0)).all():
        raise ValueError(f"{who}: expected an attention_mask of ones (look at) and zeros (padding) only")
    return None if real.all() else np.asarray(real[:, np.newaxis, np.newaxis, :], like=like)


def vectors_of(ids: Array, embedding: Embedding, pad_token_id: int | None) -> Tensor:
    """The vectors of tokens (B, T): (B, T, C). Padding's gets no gradient here, as in PyTorch with padding_idx."""
    x = embedding(ids)
    if pad_token_id is None or not is_grad_enabled():
        return x
    is_padding = ids == pad_token_id  # (B, T)
    known = if_on_cpu(is_padding)  # empty on a GPU: to ask it would wait for it, so the op runs there in any case
    return F.where(is_padding[:, :, np.newaxis], x.detach(), x) if known.any() or not known.size else x
