"""Prompts of different lengths side by side: padding on the left, and the mask that marks it.

    input_ids       attention_mask
    [[0, 0, 7, 4],  [[0, 0, 1, 1],
     [5, 1, 3, 9]]   [1, 1, 1, 1]]

A model writes after the last column, so padding after a prompt would stand between it and what the model writes.
"""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.arguments import integer, is_row, shown
from tinygrad_gpt.array import Array, to_numpy
from tinygrad_gpt.data import padding
from tinygrad_gpt.tensor import plain_array, plain_ids


def pad_left(prompts, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of ids -> input_ids (B, T) int64, filled up on the left with pad_id to the length T of the longest, and
    attention_mask (B, T) int64, 1 for a token and 0 for padding. Raises ValueError for an empty list or prompt."""
    if isinstance(prompts, str) or not hasattr(prompts, "__iter__"):
        raise TypeError(f"pad_left: expected a list of prompts, each a list of ids, got {shown(prompts)}")
    prompts = [to_numpy(plain_ids(prompt, "pad_left", "ids in each prompt")) for prompt in prompts]
    pad_id = integer("pad_left", "pad_id", pad_id, low=-(2**63), below=2**63)
    if any(prompt.ndim != 1 for prompt in prompts):
        raise ValueError(
            "pad_left: expected a list of prompts, each a list of ids: put one prompt in a list of its own"
        )
    if not prompts or min(map(len, prompts)) == 0:
        raise ValueError("pad_left: expected one prompt or more, each of one token or more")
    ids, mask = padding.pad_left(prompts, pad_id)
    return ids, mask


def without_shared_padding(input_ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The prompts and the mask without leading columns that are padding in every row; None for a mask of ones."""
    first = np.argmax(mask.any(axis=0))
    input_ids, mask = input_ids[:, first:], mask[:, first:]
    return input_ids, None if mask.all() else mask


def position_ids(attention_mask) -> Array:
    """attention_mask (B, T) -> (B, T): how many tokens of its row stand before each token; 0 for padding."""
    mask = plain_array(attention_mask).astype(np.int64)
    return np.where(mask == 1, np.cumsum(mask, axis=1) - 1, 0)


def ids_of_prompt(ids, ndim: int, expected: str, vocab_size: int) -> np.ndarray:
    """The ids of a prompt, or of several, on the CPU; `expected` names their shape in errors.

    Raises TypeError for anything but integers, ValueError for other shapes, IndexError for ids out of the vocabulary.
    """
    ids = to_numpy(plain_ids(ids, "generate", "ids in the prompt"))
    if ids.ndim != ndim or ids.size == 0:
        raise ValueError(f"generate: expected {expected}, got {ids.shape}")
    if ids.min() < 0 or ids.max() >= vocab_size:
        bad = ids[(ids < 0) | (ids >= vocab_size)][0]
        raise IndexError(f"generate: expected ids in 0 .. {vocab_size - 1} in the prompt, got {bad}")
    return ids


def check_model(model) -> None:
    """Raise TypeError for anything but a language model."""
    config = getattr(model, "config", None)
    writes = callable(model) or hasattr(model, "next_logits")
    if not (writes and hasattr(config, "vocab_size") and hasattr(config, "block_size")):
        raise TypeError(
            f"generate: expected a language model, such as GPT, got {shown(model)}: "
            "a Module whose forward(ids) gives logits, with vocab_size and block_size in its `config`"
        )


def check_prompts(input_ids, attention_mask, padding: int | None, vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    """input_ids (B, T) as int64, and attention_mask (B, T) as booleans; None becomes a mask of False at id `padding`.

    Raises what ids_of_prompt raises, and ValueError for other shapes, other mask values, and padding not on the left.
    """
    input_ids = ids_of_prompt(input_ids, 2, "input_ids of shape (B, T) with B and T >= 1", vocab_size).astype(np.int64)
    mask = input_ids != padding if attention_mask is None else to_numpy(plain_array(attention_mask, "attention_mask"))
    if mask.shape != input_ids.shape:
        raise ValueError(f"generate: expected an attention_mask of shape {input_ids.shape}, got {mask.shape}")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError("generate: expected an attention_mask of 1 (a token) and 0 (padding) only")
    mask = mask.astype(bool)
    wrong = np.flatnonzero((mask[:, 1:] < mask[:, :-1]).any(axis=1) | ~mask[:, -1])
    if wrong.size:
        raise ValueError(
            f"generate: expected padding on the left of the tokens only, row {wrong[0]} of the attention_mask has it "
            "elsewhere or has no token: pad with generate.pad_left"
        )
    return input_ids, mask


def token_ids(name: str, value, vocab_size: int | None = None) -> np.ndarray:
    """One id, or several, that an argument gives: (N,) int64, in which None is left out.

    Raises TypeError for what is no id, ValueError for one that is not in 0 .. vocab_size - 1, or does not fit int64.
    """
    low, below = (-(2**63), 2**63) if vocab_size is None else (0, vocab_size)
    given = value if is_row(value) or isinstance(value, Iterator) else [value]
    ids = [integer("generate", name, one, low, below, or_none=True) for one in given]
    return np.array([one for one in ids if one is not None], np.int64)
