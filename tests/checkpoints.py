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


# --- BERT, with the heads of pre-training: sizes of their own, so that no two axes are alike --------------------------

BERT_V, BERT_T, BERT_C, BERT_INNER = 13, 9, 6, 10
BERT_CONFIG = {
    "model_type": "bert",
    "architectures": ["BertForPreTraining"],
    "vocab_size": BERT_V,
    "hidden_size": BERT_C,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": BERT_INNER,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.2,
    "max_position_embeddings": BERT_T,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "classifier_dropout": None,
    "tie_word_embeddings": True,
    "position_embedding_type": "absolute",
    "use_cache": True,
}


def _linear(name: str, c_out: int, c_in: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (c_out, c_in), f"{name}.bias": (c_out,)}


def _norm(name: str, c: int = BERT_C) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (c,), f"{name}.bias": (c,)}


BERT_SHAPES: dict[str, tuple[int, ...]] = {
    "bert.embeddings.word_embeddings.weight": (BERT_V, BERT_C),
    "bert.embeddings.position_embeddings.weight": (BERT_T, BERT_C),
    "bert.embeddings.token_type_embeddings.weight": (2, BERT_C),
    **_norm("bert.embeddings.LayerNorm"),
}
for _i in range(LAYERS):
    _layer = f"bert.encoder.layer.{_i}"
    for _part in ("self.query", "self.key", "self.value", "output.dense"):
        BERT_SHAPES |= _linear(f"{_layer}.attention.{_part}", BERT_C, BERT_C)
    BERT_SHAPES |= _norm(f"{_layer}.attention.output.LayerNorm")
    BERT_SHAPES |= _linear(f"{_layer}.intermediate.dense", BERT_INNER, BERT_C)
    BERT_SHAPES |= _linear(f"{_layer}.output.dense", BERT_C, BERT_INNER) | _norm(f"{_layer}.output.LayerNorm")
BERT_SHAPES |= _linear("bert.pooler.dense", BERT_C, BERT_C)
BERT_HEADS: dict[str, tuple[int, ...]] = {
    **_linear("cls.predictions.transform.dense", BERT_C, BERT_C),
    **_norm("cls.predictions.transform.LayerNorm"),
    "cls.predictions.bias": (BERT_V,),
    **_linear("cls.seq_relationship", 2, BERT_C),
}


def bert_folder(folder: Path, tensors: dict[str, np.ndarray] | None = None, **settings) -> Path:
    """A BertForPreTraining, or these tensors; settings that are None are left out."""
    config = {name: value for name, value in (BERT_CONFIG | settings).items() if value is not None}
    return write_checkpoint(folder, config, random_tensors(BERT_SHAPES | BERT_HEADS) if tensors is None else tensors)


# --- Marian: stacks of unequal depth and width ------------------------------------------------------------------------

MARIAN_V, MARIAN_T, MARIAN_C, ENCODER_INNER, DECODER_INNER = 13, 9, 6, 10, 8
MARIAN_CONFIG = {
    "model_type": "marian",
    "architectures": ["MarianMTModel"],
    "vocab_size": MARIAN_V,
    "decoder_vocab_size": MARIAN_V,
    "d_model": MARIAN_C,
    "encoder_layers": 2,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": ENCODER_INNER,
    "decoder_ffn_dim": DECODER_INNER,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "activation_function": "swish",
    "scale_embedding": True,
    "max_position_embeddings": MARIAN_T,
    "dropout": 0.1,
    "attention_dropout": 0.2,
    "activation_dropout": 0.3,
    "init_std": 0.02,
    "pad_token_id": 12,
    "eos_token_id": 0,
    "bos_token_id": 0,
    "forced_eos_token_id": 0,
    "decoder_start_token_id": 12,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "is_encoder_decoder": True,
    "use_cache": True,
}
MARIAN_SHAPES: dict[str, tuple[int, ...]] = {
    "final_logits_bias": (1, MARIAN_V),
    "model.shared.weight": (MARIAN_V, MARIAN_C),
}
for _stack, _layers, _inner, _attentions in (
    ("encoder", 2, ENCODER_INNER, ("self_attn",)),
    ("decoder", 1, DECODER_INNER, ("self_attn", "encoder_attn")),
):
    for _i in range(_layers):
        _layer = f"model.{_stack}.layers.{_i}"
        for _attention in _attentions:
            for _part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                MARIAN_SHAPES |= _linear(f"{_layer}.{_attention}.{_part}", MARIAN_C, MARIAN_C)
            MARIAN_SHAPES |= _norm(f"{_layer}.{_attention}_layer_norm", MARIAN_C)
        MARIAN_SHAPES |= _linear(f"{_layer}.fc1", _inner, MARIAN_C) | _linear(f"{_layer}.fc2", MARIAN_C, _inner)
        MARIAN_SHAPES |= _norm(f"{_layer}.final_layer_norm", MARIAN_C)


def marian_folder(folder: Path, tensors: dict[str, np.ndarray] | None = None, **settings) -> Path:
    """A MarianMTModel, or these tensors; settings that are None are left out."""
    config = {name: value for name, value in (MARIAN_CONFIG | settings).items() if value is not None}
    return write_checkpoint(folder, config, random_tensors(MARIAN_SHAPES) if tensors is None else tensors)


# --- XLNet: a head of tokens and one of classes -----------------------------------------------------------------------

XLNET_V, XLNET_C, XLNET_HEADS_N, XLNET_INNER = 13, 6, 3, 10
XLNET_CONFIG = {
    "model_type": "xlnet",
    "architectures": ["XLNetLMHeadModel"],
    "vocab_size": XLNET_V,
    "d_model": XLNET_C,
    "n_layer": LAYERS,
    "n_head": XLNET_HEADS_N,
    "d_head": XLNET_C // XLNET_HEADS_N,
    "d_inner": XLNET_INNER,
    "ff_activation": "gelu",
    "attn_type": "bi",
    "bi_data": False,
    "untie_r": True,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "dropout": 0.1,
    "mem_len": 5,
    "reuse_len": None,
    "clamp_len": -1,
    "same_length": False,
    "summary_type": "last",
    "summary_use_proj": True,
    "summary_activation": "tanh",
    "summary_last_dropout": 0.1,
    "start_n_top": 5,
    "end_n_top": 5,
    "pad_token_id": 5,
    "tie_word_embeddings": True,
}
_HEADS_AND_SIZE = (XLNET_HEADS_N, XLNET_C // XLNET_HEADS_N)
XLNET_SHAPES: dict[str, tuple[int, ...]] = {
    "transformer.mask_emb": (1, 1, XLNET_C),
    "transformer.word_embedding.weight": (XLNET_V, XLNET_C),
}
for _i in range(LAYERS):
    _attention, _ff = f"transformer.layer.{_i}.rel_attn", f"transformer.layer.{_i}.ff"
    XLNET_SHAPES |= {f"{_attention}.{_part}": (XLNET_C, *_HEADS_AND_SIZE) for _part in "qkvor"}
    XLNET_SHAPES |= {f"{_attention}.{_part}": _HEADS_AND_SIZE for _part in ("r_w_bias", "r_r_bias", "r_s_bias")}
    XLNET_SHAPES |= {f"{_attention}.seg_embed": (2, *_HEADS_AND_SIZE)} | _norm(f"{_attention}.layer_norm", XLNET_C)
    XLNET_SHAPES |= _linear(f"{_ff}.layer_1", XLNET_INNER, XLNET_C) | _linear(f"{_ff}.layer_2", XLNET_C, XLNET_INNER)
    XLNET_SHAPES |= _norm(f"{_ff}.layer_norm", XLNET_C)
XLNET_LM_HEAD = {"lm_loss.bias": (XLNET_V,)}
XLNET_CLASSIFIER = _linear("sequence_summary.summary", XLNET_C, XLNET_C) | _linear("logits_proj", 2, XLNET_C)


def xlnet_folder(folder: Path, tensors: dict[str, np.ndarray] | None = None, **settings) -> Path:
    """An XLNetLMHeadModel, or these tensors; settings that are ... are left out."""
    config = {name: value for name, value in (XLNET_CONFIG | settings).items() if value is not ...}
    shapes = XLNET_SHAPES | XLNET_LM_HEAD
    return write_checkpoint(folder, config, random_tensors(shapes) if tensors is None else tensors)
