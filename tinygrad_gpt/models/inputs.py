"""What models are given, checked: token ids, and which of them are padding."""

import numpy as np

from tinygrad_gpt.array import Array, to_numpy
from tinygrad_gpt.tensor import plain_array, plain_ids


def as_ids(ids, who: str, name: str = "ids") -> Array:
    """Integers (B, T), given as a Tensor, an array or lists, as a plain array. `who` asks, for errors.

    Raises ValueError for another shape, TypeError for what are no integers.
    """
    ids = plain_ids(ids, who, name)
    if ids.ndim != 2 or ids.shape[1] == 0:
        raise ValueError(f"{who}: expected {name} of shape (B, T) with T >= 1, got {ids.shape}")
    return ids


def padding_mask(attention_mask, shape: tuple[int, int], like: Array, who: str, more: str = "") -> Array | None:
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
