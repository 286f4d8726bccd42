"""Refuse a model that cannot fit in memory, before any memory is taken.

Systems promise more memory than they have: a process that asks for too much gets no MemoryError, but is killed when it
writes to it. The sizes here are lower bounds, so a model that passes may still be too large.
"""

import numpy as np

from tinygrad_gpt import array, devices
from tinygrad_gpt.devices import Device
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import bert, transformer, transformer_xl, xlnet
from tinygrad_gpt.models.bert import BertConfig
from tinygrad_gpt.models.gpt import GPTConfig, count_parameters
from tinygrad_gpt.models.transformer import TransformerConfig
from tinygrad_gpt.models.transformer_xl import TransformerXLConfig
from tinygrad_gpt.models.xlnet import XLNetConfig
from tinygrad_gpt.train.config import TrainConfig

_ID = 8  # bytes of a token id in a batch
_SMALL = 10_000_000  # parameters: a model of this size is made in no time


def check_training(
    config: GPTConfig | TransformerXLConfig | BertConfig | XLNetConfig | TransformerConfig,
    train: TrainConfig,
    window: int = 1,
    parameters: int | None = None,
) -> None:
    """Raise UserError for a training run that its device has no memory for: the weights, their gradients and AdamW's
    two means; the ids of all batches of a step; for one batch, the input of each block and the logits (of a BERT, which
    scores only masked places, of one place in each row).

    window      tokens of a row of a batch, at least
    parameters  of the model; None: those of a model of this shape, of a BERT those of its encoder
    """
    logits = window * config.vocab_size
    if isinstance(config, BertConfig):
        counted, blocks = bert.count_parameters(config, heads=False), config.num_hidden_layers * config.hidden_size
        logits = config.vocab_size
    elif isinstance(config, TransformerConfig):
        layers = config.encoder_layers + config.decoder_layers
        counted, blocks = transformer.count_parameters(config), layers * config.d_model
    elif isinstance(config, XLNetConfig):
        counted, blocks = xlnet.count_parameters(config), config.n_layer * config.d_model
        logits = config.vocab_size
    elif isinstance(config, TransformerXLConfig):
        counted, blocks = transformer_xl.count_parameters(config), config.n_layer * config.d_model
    else:
        counted, blocks = count_parameters(config), config.n_layer * config.n_embd
    parameters = counted if parameters is None else parameters
    rows, itemsize, device = train.batch_size, array.default_dtype().itemsize, devices.device(train.device)
    weights = 4 * parameters * itemsize
    _check(weights, f"training {parameters:,} parameters", "take a smaller model", device)
    ids = rows * train.accumulate * (window + 1) * _ID
    activations = rows * (window * blocks + logits) * itemsize
    _check(
        weights + ids + activations,
        f"training on {train.accumulate} x {rows:,} windows of {window:,} tokens at once",
        "take a smaller batch_size, window or model",
        device,
    )


def check_use(parameters: int, device: Device) -> None:
    """Raise UserError if the device has no memory for the weights of a model with so many parameters."""
    _check(
        parameters * array.default_dtype().itemsize,
        f"a model of {parameters:,} parameters",
        "take a smaller one",
        device,
    )


def check_as_large(parameters: int, arrays: dict[str, np.ndarray]) -> None:
    """Raise ValueError for a model of so many parameters, not made yet, that is far larger than the weights saved with
    its settings. (Smaller differences are listed when the model loads the weights.)"""
    saved = sum(a.size for a in arrays.values())
    if parameters > 2 * saved + _SMALL:
        raise ValueError(f"its settings make a model of {parameters:,} parameters, but it holds {saved:,} numbers")


def _check(needed: int, what: str, advice: str, device: Device) -> None:
    available = device.memory()
    if available is not None and needed > available:
        has = f"{device.title} has {_gb(available)}"
        raise UserError(f"not enough memory: {what} takes {_gb(needed)}, and {has}: {advice}")


def _gb(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count < 1 << 70 else "more than any machine has"
