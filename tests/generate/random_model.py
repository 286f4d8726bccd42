"""Small models whose predictions depend on the whole context."""

import numpy as np

from tinygrad_gpt.models import CausalLM, GPTConfig


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
