"""How transformers stores a Transformer: as a Marian, the architecture of the published OPUS-MT translators.

Both have the paper's post-norm blocks, one table of vectors for both languages and the head, and no norm at the end.
They differ in where the channels of a position's vector lie: the paper has sine and cosine in turns, Marian all sines
and then all cosines. But no part of the model asks where a channel lies. Put the channels of every vector C wide into
another order, with the rows of the matrices that write these vectors and the columns of those that read them, and all
products and norms are the sums that they were. So a Transformer with the paper's order can be written as a Marian, and
computes the same as one.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.tensor_file import FLOAT_CODES, TensorFile
from tinygrad_gpt.models.hf.layout import ACTIVATIONS, Layout
from tinygrad_gpt.nn.positions import sinusoids

LOGITS_BIAS, _SHARED = "final_logits_bias", "model.shared.weight"
_ENCODER, _DECODER = "model.encoder.layers.N.", "model.decoder.layers.N."
_COPIES = ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
_POSITIONS = r"model\.(encoder|decoder)\.embed_positions\.weight"
_HALF_PRECISION = 1 / 256  # a table of sinusoids that was saved in bfloat16 is as near as this

# Tensors with the channels of positions as columns, and those with them as rows or elements.
_READ = r"model\.shared\.weight|.*\.([qkv]_proj|fc1)\.weight"
_WRITTEN = r".*\.(out_proj|fc2|\w*layer_norm)\.(weight|bias)"


class MarianLayout(Layout):
    """Marian's exceptions.

    - Neither its sinusoids nor the copies of the embedding are saved. Older files have both; they have to be right.
    - final_logits_bias is a buffer (1, V), which a Transformer does not have: zeros compute the same.
    - decoder_vocab_size may only repeat vocab_size.
    """

    def config_from(self, written: dict[str, Any], where: Any, ignore: tuple[str, ...] = ()) -> Any:
        config = super().config_from(written, where, (*ignore, "decoder_vocab_size"))
        decoder = written.get("decoder_vocab_size")
        if decoder not in (None, config.vocab_size) and "decoder_vocab_size" not in ignore:
            raise UserError(
                f"{where}: decoder_vocab_size is {shown(decoder)}, and vocab_size {config.vocab_size}: vocabularies "
                "that differ are not supported"
            )
        return config

    def written_from(self, config: Any, original: dict[str, Any]) -> dict[str, Any]:
        written = super().written_from(replace(config, positions="halves"), original)
        if config.init_std is None:  # which transformers has no word for, and writes always
            del written["init_std"]
        more = {"is_encoder_decoder": True, "decoder_vocab_size": config.vocab_size}
        # Without a value, transformers would take the id that its own Marian has.
        return written | more | {"forced_eos_token_id": _forced(config)}

    def generation(self, config: Any) -> dict[str, Any]:
        """As published models have it: padding is never written, and has no part of the probability."""
        tokens = {name: getattr(config, name) for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")}
        end = {"forced_eos_token_id": _forced(config)}
        return tokens | end | {"bad_words_ids": [[config.pad_token_id]], "renormalize_logits": True}

    def size(self, config: Any) -> int:
        return super().size(config) + config.max_position_embeddings * config.d_model

    def tensors(self, parameter: str, array: np.ndarray) -> dict[str, np.ndarray]:
        return {LOGITS_BIAS: array} if parameter == LOGITS_BIAS else super().tensors(parameter, array)

    def saved_tensors(self, model: Any) -> dict[str, np.ndarray]:
        saved = super().saved_tensors(model)
        if model.config.positions == "interleaved":
            saved = {name: _in_halves(name, array) for name, array in saved.items()}
        table = saved[_SHARED]
        saved.setdefault(LOGITS_BIAS, np.zeros((1, len(table)), table.dtype))
        return saved

    def copies(self, config: Any) -> dict[str, str]:
        return dict.fromkeys(_COPIES, _SHARED)

    def check_computed(self, config: Any, weights: dict[str, TensorFile]) -> None:
        for name, file in weights.items():
            if re.fullmatch(_POSITIONS, self.full_name(name)):
                expected = sinusoids(config.max_position_embeddings, config.d_model, order="halves")
                table = np.full(expected.shape, np.nan, expected.dtype)
                if file.shapes[name] == table.shape and file.dtypes[name] in FLOAT_CODES:
                    file.copy(name, table)
                if not (np.abs(table - expected) <= _HALF_PRECISION).all():
                    raise UserError(
                        f"{file.path}: {name} is not the table of sinusoids that a Marian of this size has, which is "
                        "not supported"
                    )


def _forced(config: Any) -> int | None:
    """forced_eos_token_id as transformers has it."""
    return config.eos_token_id if config.forced_eos_token_id == -1 else config.forced_eos_token_id


def _in_halves(name: str, array: np.ndarray) -> np.ndarray:
    """A tensor of a model with interleaved sinusoids, with the channels of positions in the order of halves."""
    if re.fullmatch(_READ, name):
        return np.concatenate([array[:, 0::2], array[:, 1::2]], axis=1)
    return np.concatenate([array[0::2], array[1::2]]) if re.fullmatch(_WRITTEN, name) else array


def _block(ours: str, theirs: str, cross: bool) -> dict[str, str | tuple[str, ...]]:
    """The modules of a block: our name -> transformers' name."""
    modules: dict[str, str | tuple[str, ...]] = {
        f"{ours}attention.qkv": tuple(f"{theirs}self_attn.{part}_proj" for part in "qkv"),
        f"{ours}attention.out": f"{theirs}self_attn.out_proj",
        f"{ours}attention_norm": f"{theirs}self_attn_layer_norm",
        f"{ours}feed_forward.up": f"{theirs}fc1",
        f"{ours}feed_forward.down": f"{theirs}fc2",
        f"{ours}feed_forward_norm": f"{theirs}final_layer_norm",
    }
    if cross:
        modules |= {
            f"{ours}cross_attention.q": f"{theirs}encoder_attn.q_proj",
            f"{ours}cross_attention.kv": (f"{theirs}encoder_attn.k_proj", f"{theirs}encoder_attn.v_proj"),
            f"{ours}cross_attention.out": f"{theirs}encoder_attn.out_proj",
            f"{ours}cross_attention_norm": f"{theirs}encoder_attn_layer_norm",
        }
    return modules


def marian_layout(config_class: Any, count_parameters) -> MarianLayout:
    """The Layout of a MarianMTModel; config_class has transformers' names, and defaults of its own.

    Where a setting is not written, transformers' default counts, but for two: init_std, which transformers always
    writes, is then Linear's own, as in a model that was made here; and a text that gets too long ends with the model's
    own end.
    """
    defaults = {
        "vocab_size": 58101,
        "d_model": 1024,
        "encoder_layers": 12,
        "decoder_layers": 12,
        "encoder_attention_heads": 16,
        "decoder_attention_heads": 16,
        "encoder_ffn_dim": 4096,
        "decoder_ffn_dim": 4096,
        "activation_function": "gelu",
        "scale_embedding": False,
        "max_position_embeddings": 1024,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "init_std": None,
        "pad_token_id": 58100,
        "eos_token_id": 0,
        "decoder_start_token_id": 58100,
        "forced_eos_token_id": -1,
    }
    return MarianLayout(
        name="Marian",
        model_type="marian",
        architecture="MarianMTModel",
        config_class=config_class,
        count_parameters=count_parameters,
        settings={name: (name, default) for name, default in defaults.items()},
        fixed={"norm": "post", "positions": "halves"},
        other_names={
            "hidden_size": "d_model",
            "num_attention_heads": "encoder_attention_heads",
            "num_hidden_layers": "encoder_layers",
        },
        depths=("encoder_layers", "decoder_layers"),
        activation="activation_function",
        activations=ACTIVATIONS,
        modules={
            "token_embedding": "model.shared",
            **_block("encoder.N.", _ENCODER, cross=False),
            **_block("decoder.N.", _DECODER, cross=True),
        },
        prefix="model.",
        outside=(LOGITS_BIAS, "lm_head."),
        embedding=_SHARED,
        decoder="lm_head.weight",
        optional=(LOGITS_BIAS,),
        not_supported={
            "is_encoder_decoder": (True,),
            "is_decoder": (False,),
            "encoder_layerdrop": (0,),
            "decoder_layerdrop": (0,),
            "share_encoder_decoder_embeddings": (True,),
            "tie_word_embeddings": (True,),
            # Of older versions, in which Marian was a kind of BART.
            "static_position_embeddings": (True,),
            "normalize_before": (False,),
            "normalize_embedding": (False,),
            "add_final_layer_norm": (False,),
        },
        # Of older versions too; and heads that translate nothing.
        ignored="add_bias_logits extra_pos_embeddings force_bos_token_to_be_generated classif_dropout "
        "classifier_dropout",
        untrained=_POSITIONS,
    )
