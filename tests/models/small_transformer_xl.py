"""A small Transformer-XL whose every parameter matters, and segments for it."""

from dataclasses import replace

import numpy as np

from tinygrad_gpt.models import TransformerXL, TransformerXLConfig

V, C, B, T, LAYERS = 17, 12, 3, 7, 2
CONFIG = TransformerXLConfig(V, C, LAYERS, 3, d_head=5, d_inner=19, mem_len=6, dropout=0.0)  # H D is not C
VARIANTS = {
    "plain": {},
    "pre_lnorm": dict(pre_lnorm=True),
    "same_length": dict(same_length=True),
    "clamp_len": dict(clamp_len=3),
    "untie_r": dict(untie_r=False),
    "cutoffs": dict(cutoffs=(4, 9)),
    "cutoffs, div_val": dict(cutoffs=(4, 9), div_val=2, proj_share_all_but_first=False),
    "d_embed": dict(d_embed=5),
}


def transformer_xl(kind: type = TransformerXL, **settings):
    """A model in float64 and evaluation mode, with every parameter random and large enough to matter."""
    model, rng = kind(replace(CONFIG, **settings)).to(np.float64).eval(), np.random.default_rng(0)
    for name, p in model.named_parameters():
        p.data[...] = rng.normal("norm.weight" in name, 0.4, p.shape)
    return model


def some_ids(length: int = T, rows: int = B, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, V, (rows, length))


def in_segments(model, ids: np.ndarray, lengths: list[int]) -> tuple[np.ndarray, tuple]:
    """What the model says of ids (B, T), read in segments of these lengths: logits (B, T, V), and the last memory."""
    assert sum(lengths) == ids.shape[1]
    logits, memory, stop = [], None, 0
    for length in lengths:
        start, stop = stop, stop + length
        features, memory = model.read(ids[:, start:stop], memory)
        logits.append(model.head(features).numpy())
    return np.concatenate(logits, axis=1), memory
