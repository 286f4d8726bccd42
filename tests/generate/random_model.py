"""Small models whose predictions depend on the whole context."""

import numpy as np

from tinygrad_gpt import no_grad
from tinygrad_gpt.models import CausalLM, GPTConfig, Transformer, TransformerConfig
from tinygrad_gpt.nn import Linear


def random_model(norm: str = "pre", *, vocab_size: int = 13, seed: int = 1, scale: float = 0.6) -> CausalLM:
    """A CausalLM of 40 positions in float64; `scale` of its weights: the larger, the surer it is of the next token.

    Biases are small, since those of the last norm favour the same tokens everywhere.
    """
    shape = GPTConfig(vocab_size, 40, n_layer=2, n_head=2, n_embd=12, norm=norm, tied=False, dropout=0.2)
    model = CausalLM(shape).to(np.float64).eval()
    rng = np.random.default_rng(seed)
    for name, p in model.named_parameters():
        if p.ndim == 2:
            p.data[...] = rng.normal(0.0, scale, p.shape)
        elif name.endswith("bias"):
            p.data[...] = rng.normal(0.0, 0.05, p.shape)
    return model


def random_translator(
    norm: str = "post", *, vocab_size: int = 13, positions: int = 40, seed: int = 2, scale: float = 0.3
) -> Transformer:
    """A Transformer in float64, in which 0 is padding and 1 ends a sentence; see `random_model` for the scale.

    Its head is not tied, since else it would repeat each token for ever. Nor are its biases small: they take away what
    the logits have in common at all places.
    """
    shape = dict(d_model=12, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=20, decoder_ffn_dim=16)
    heads = dict(encoder_attention_heads=2, decoder_attention_heads=3)
    config = TransformerConfig(vocab_size, **shape, **heads, norm=norm, max_position_embeddings=positions, dropout=0.2)
    model = Transformer(config)
    model.head = Linear(12, vocab_size)
    model.to(np.float64).eval()
    rng = np.random.default_rng(seed)
    for name, p in model.named_parameters():
        if p.ndim == 2:
            p.data[...] = rng.normal(0.0, scale, p.shape)
        elif name.endswith("bias"):
            p.data[...] = rng.normal(0.0, 0.05, p.shape)
    some = rng.integers(2, vocab_size, (8, positions))
    model.head.bias.data[...] = 0.0
    with no_grad():
        model.head.bias.data -= model(some, some[::-1]).data.mean(axis=(0, 1))
    return model
