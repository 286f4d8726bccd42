"""Random models of transformers: GPT-2, GPT-1, BERT, Marian and XLNet.

The weights are of unit scale: matrices that add up n products have a standard deviation of 1/√n, so that what comes out
has the variance of what goes in; biases, embeddings and norms are of order 1 too. Nothing is near a special value.
"""

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

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


BERT_SHAPE = dict(
    vocab_size=41,
    hidden_size=30,
    num_hidden_layers=3,
    num_attention_heads=5,
    intermediate_size=37,
    max_position_embeddings=19,
)


def their_bert(head: str, settings: dict, small: bool = False):
    """A random BERT with this head in float64, in evaluation mode: BERT_SHAPE, but for the settings given.

    small  whether the embeddings are so small that the norms' eps shows
    """
    config = transformers.BertConfig(**(BERT_SHAPE | settings))
    model = getattr(transformers, head)._from_config(config, attn_implementation="eager").double()
    rng = np.random.default_rng(0)
    for name, p in model.named_parameters():
        is_norm = "LayerNorm" in name and name.endswith("weight")
        std = p.shape[1] ** -0.5 if p.ndim == 2 and "embeddings" not in name else 0.5
        if small and "embeddings" in name and p.ndim == 2:
            std = 1e-6
        p.data = torch.from_numpy(rng.normal(1.0 if is_norm else 0.0, std, p.shape))
    return model.eval()


def loaded(head: str, folder, dtype):
    """What transformers makes of a folder."""
    torch_dtype = {np.float32: torch.float32, np.float64: torch.float64}[dtype]
    kind = getattr(transformers, head)
    return kind.from_pretrained(folder, dtype=torch_dtype, attn_implementation="eager").eval()


MARIAN_SHAPE = dict(
    vocab_size=41,
    d_model=30,
    encoder_layers=3,
    decoder_layers=2,
    encoder_attention_heads=5,
    decoder_attention_heads=3,
    encoder_ffn_dim=37,
    decoder_ffn_dim=23,
    max_position_embeddings=19,
    pad_token_id=40,
    decoder_start_token_id=40,
    eos_token_id=0,
    forced_eos_token_id=0,
    dropout=0.0,
)


def their_marian(settings: dict):
    """A random MarianMTModel in float64, in evaluation mode: MARIAN_SHAPE, but for the settings given."""
    config = transformers.MarianConfig(**(MARIAN_SHAPE | settings))
    model = transformers.MarianMTModel._from_config(config, attn_implementation="eager").double()
    rng = np.random.default_rng(0)
    for name, p in model.named_parameters():
        if "embed_positions" in name:  # a Parameter there, though nobody trains it
            continue
        is_norm = "layer_norm" in name and name.endswith("weight")
        std = p.shape[1] ** -0.5 if p.ndim == 2 else 0.5
        if name == "model.shared.weight" and not config.scale_embedding:
            std = 0.5
        p.data = torch.from_numpy(rng.normal(1.0 if is_norm else 0.0, std, p.shape))
    model.final_logits_bias = torch.from_numpy(rng.normal(0, 0.5, model.final_logits_bias.shape))
    return model.eval()


XLNET_SHAPE = dict(vocab_size=41, d_model=30, n_layer=3, n_head=5, d_inner=37, dropout=0.0, summary_last_dropout=0.0)


def their_xlnet(head: str, settings: dict):
    """A random XLNet with this head in float64, in evaluation mode: XLNET_SHAPE, but for the settings given."""
    model = getattr(transformers, head)(transformers.XLNetConfig(**(XLNET_SHAPE | settings))).double()
    rng = np.random.default_rng(0)
    for name, p in model.named_parameters():
        is_norm, last = "layer_norm" in name and name.endswith("weight"), name.rsplit(".", 1)[-1]
        if last in ("q", "k", "v", "o", "r"):
            std = p.shape[0] ** -0.5  # (C, H, D), C = H D
        else:
            std = p.shape[1] ** -0.5 if last == "weight" and p.ndim == 2 and "embedding" not in name else 0.5
        p.data = torch.from_numpy(rng.normal(1.0 if is_norm else 0.0, std, p.shape))
    return model.eval()


def distances_in_double(model, qlen, klen, bsz=None, device=None):
    """XLNetModel.relative_positional_encoding in the model's dtype. (transformers makes the table in float32 always, so
    that a model in float64 raises.)"""
    half = torch.arange(0, model.d_model, 2, dtype=torch.float64)
    distances = torch.arange(klen, -qlen if model.attn_type == "bi" else -1, -1, dtype=torch.float64)
    if model.clamp_len > 0:
        distances = distances.clamp(-model.clamp_len, model.clamp_len)
    table = model.positional_embedding(distances, 10_000 ** (-half / model.d_model), bsz)
    return table.to(model.dtype)


def loaded_xlnet(head: str, folder, dtype):
    """What transformers makes of a folder. (Its from_pretrained leaves some parameters in float32.)"""
    model = getattr(transformers, head)(transformers.XLNetConfig.from_pretrained(folder))
    model.to({np.float32: torch.float32, np.float64: torch.float64}[dtype])
    found = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not found.unexpected_keys and set(found.missing_keys) <= {"lm_loss.weight"}, found
    return model.eval()
