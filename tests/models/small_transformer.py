"""A small Transformer whose every parameter matters, and a batch of sources and targets of unequal lengths."""

from dataclasses import replace

import numpy as np

from tinygrad_gpt.models import Transformer, TransformerConfig

V, C, B, TS, T = 17, 12, 3, 7, 5
PAD, END = 0, 1
SOURCE_LENGTHS, LENGTHS = np.array([7, 2, 5]), np.array([3, 5, 1])  # no row is as long on both sides
CONFIG = TransformerConfig(V, C, 2, 3, 3, 4, 20, 18, max_position_embeddings=9, dropout=0.0)


def transformer(kind: type = Transformer, **settings):
    """A model in float64 and evaluation mode, with every parameter random and large enough to matter."""
    model, rng = kind(replace(CONFIG, **settings)).to(np.float64).eval(), np.random.default_rng(0)
    for name, p in model.named_parameters():
        p.data[...] = rng.normal("norm.weight" in name, 0.4, p.shape)
    return model


def batch() -> dict[str, np.ndarray]:
    """What `loss` takes: padded on the right."""
    rng = np.random.default_rng(1)
    seen = np.arange(TS) < SOURCE_LENGTHS[:, np.newaxis]
    real = np.arange(T) < LENGTHS[:, np.newaxis]
    labels = np.where(real, rng.integers(2, V, (B, T)), -100)
    target = np.concatenate([np.full((B, 1), PAD), np.where(real, labels, PAD)[:, :-1]], axis=1)
    return {
        "source_ids": np.where(seen, rng.integers(2, V, (B, TS)), PAD),
        "source_mask": seen.astype(int),
        "decoder_input_ids": target,
        "labels": labels,
    }


def logits(model, source_ids, source_mask, decoder_input_ids, labels=None) -> np.ndarray:
    """(B, T, V)"""
    return Transformer.forward(model, source_ids, decoder_input_ids, source_mask).numpy()
