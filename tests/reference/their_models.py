"""Random models of transformers, GPT-2 and GPT-1.

The weights are of unit scale: matrices that add up n products have a standard deviation of 1/√n, so that what comes out
has the variance of what goes in; biases, embeddings and norms are of order 1 too. Nothing is near a special value.
"""

import numpy as np
import torch
import transformers

SHAPE = dict(vocab_size=41, n_positions=19, n_embd=30, n_layer=3, n_head=5, bos_token_id=None, eos_token_id=None)
FAMILIES = {
    "gpt2": (transformers.GPT2LMHeadModel, transformers.GPT2Config),
    "openai-gpt": (transformers.OpenAIGPTLMHeadModel, transformers.OpenAIGPTConfig),
}


def their_model(family: str, settings: dict):
    """A random model in float64, in evaluation mode: SHAPE, but for the settings given."""
    model_class, config_class = FAMILIES[family]
    model = model_class._from_config(config_class(**(SHAPE | settings)), attn_implementation="eager").double()
    rng = np.random.default_rng(0)
    for name, p in model.named_parameters():
        std = p.shape[0] ** -0.5 if ".c_" in name and p.ndim == 2 else 0.5
        mean = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
        p.data = torch.from_numpy(rng.normal(mean, std, p.shape))
    return model.eval()
