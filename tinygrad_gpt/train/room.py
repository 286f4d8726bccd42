"""Is there room for a model? Asked before any memory is taken.

Systems promise more memory than they have. What asks for too much is then not told so by a MemoryError, but killed
without a word when it writes to it. So what cannot be is refused by its size. These are bounds from below: what passes
may still be too large.
"""

import numpy as np

from tinygrad_gpt.devices import Device
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPTConfig, count_parameters

_ID = 8  # bytes of a token id in a batch
_NEARLY = 10_000_000  # parameters: made in no time


def check_training(config: GPTConfig, rows: int, accumulate: int, window: int, itemsize: int, device: Device) -> None:
    """Raise UserError for a training that this device has no memory for: weights, their gradients and AdamW's two
    means; the ids of all batches of a step; and of one batch what goes into each block, and the logits.

    rows, window  of a batch
    itemsize      bytes of a number
    """
    weights = 4 * count_parameters(config) * itemsize
    _check(weights, f"training {count_parameters(config):,} parameters", "take a smaller model", device)
    ids = rows * accumulate * (window + 1) * _ID
    activations = rows * window * (config.n_layer * config.n_embd + config.vocab_size) * itemsize
    _check(
        weights + ids + activations,
        f"training on {accumulate} x {rows:,} windows of {window:,} tokens at once",
        "take a smaller batch_size, window or model",
        device,
    )


def check_use(config: GPTConfig, itemsize: int, device: Device) -> None:
    """Raise UserError for a model whose weights this device has no memory for."""
    parameters = count_parameters(config)
    _check(parameters * itemsize, f"a model of {parameters:,} parameters", "take a smaller one", device)


def check_as_large(config: GPTConfig, arrays: dict[str, np.ndarray]) -> None:
    """Raise ValueError where settings make a model that is far larger than the weights which were saved with them, so
    that it is not made in vain. (What is nearly right has its differences listed when it takes up the weights.)"""
    parameters, there = count_parameters(config), sum(a.size for a in arrays.values())
    if parameters > 2 * there + _NEARLY:
        raise ValueError(f"its settings make a model of {parameters:,} parameters, and it holds {there:,} numbers")


def _check(needed: int, what: str, advice: str, device: Device) -> None:
    there = device.memory()
    if there is not None and needed > there:
        raise UserError(f"not enough memory: {what} takes {_gb(needed)}, and {device.title} has {_gb(there)}: {advice}")


def _gb(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count < 1 << 70 else "far more than there is anywhere"
