"""Small checkpoints in Hugging Face folders, written by hand: names and shapes as transformers writes them."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

V, T, C, LAYERS, INNER = 11, 7, 6, 2, 10  # vocabulary, positions, channels, blocks, channels of the feed-forward

GPT2_CONFIG = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": V,
    "n_positions": T,
    "n_embd": C,
    "n_layer": LAYERS,
    "n_head": 2,
    "n_inner": INNER,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.2,
    "bos_token_id": 3,
    "eos_token_id": 5,
    "tie_word_embeddings": True,
    "transformers_version": "5.0.0",
}
GPT1_CONFIG = {
    "model_type": "openai-gpt",
    "architectures": ["OpenAIGPTLMHeadModel"],
    "vocab_size": V,
    "n_positions": T,
    "n_embd": C,
    "n_layer": LAYERS,
    "n_head": 2,
    "afn": "gelu",
    "layer_norm_epsilon": 1e-5,
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "tie_word_embeddings": True,
}


def _blocks(inner: int) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for i in range(LAYERS):
        shapes |= {
            f"transformer.h.{i}.ln_1.weight": (C,),
            f"transformer.h.{i}.ln_1.bias": (C,),
            f"transformer.h.{i}.attn.c_attn.weight": (C, 3 * C),
            f"transformer.h.{i}.attn.c_attn.bias": (3 * C,),
            f"transformer.h.{i}.attn.c_proj.weight": (C, C),
            f"transformer.h.{i}.attn.c_proj.bias": (C,),
            f"transformer.h.{i}.ln_2.weight": (C,),
            f"transformer.h.{i}.ln_2.bias": (C,),
            f"transformer.h.{i}.mlp.c_fc.weight": (C, inner),
            f"transformer.h.{i}.mlp.c_fc.bias": (inner,),
            f"transformer.h.{i}.mlp.c_proj.weight": (inner, C),
            f"transformer.h.{i}.mlp.c_proj.bias": (C,),
        }
    return shapes


GPT2_SHAPES = {
    "transformer.wte.weight": (V, C),
    "transformer.wpe.weight": (T, C),
    **_blocks(INNER),
    "transformer.ln_f.weight": (C,),
    "transformer.ln_f.bias": (C,),
}
GPT1_SHAPES = {
    "transformer.tokens_embed.weight": (V, C),
    "transformer.positions_embed.weight": (T, C),
    **_blocks(4 * C),
}


def random_tensors(shapes: dict[str, tuple[int, ...]], dtype=np.float32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def write_checkpoint(folder: Path, config: dict, tensors: dict[str, np.ndarray]) -> Path:
    """A folder with config.json and one file of weights; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def gpt2_folder(folder: Path, **settings) -> Path:
    return write_checkpoint(folder, GPT2_CONFIG | settings, random_tensors(GPT2_SHAPES))
