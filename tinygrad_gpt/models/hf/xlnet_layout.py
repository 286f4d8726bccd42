"""How transformers stores an XLNet, whatever its head."""

import re
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import Array
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.hf.layout import ACTIVATIONS, Layout
from tinygrad_gpt.random_stream import normal

_BODY, _LM = "transformer.", "lm_loss."
_LAYER = "transformer.layer.N."
_SUMMARY, _CLASSES = "sequence_summary.", "logits_proj."
# Heads of models that are not here: token classification, multiple choice (logits_proj too), question answering.
_OTHERS = ("classifier.", "qa_outputs.", "start_logits.", "end_logits.", "answer_class.")
# Parameters of a layer's attention that are no Linear's: our name -> transformers'.
_BIASES = {
    "content_bias": "r_w_bias",
    "position_bias": "r_r_bias",
    "segment_bias": "r_s_bias",
    "segment_embedding": "seg_embed",
}
_NOTHING = {"mem_len": 0, "summary_activation": ""}  # what means None
_ATTENTION = re.compile(r"layers\.(\d+)\.attention\.(\w+)(\.weight)?")


@dataclass(frozen=True)
class XLNetLayout(Layout):
    """XLNet's exceptions.

    - Its attention has no Linears, but arrays (C, H, D): q[c, h, d] is what channel c gives to channel d of head h.
      Ours are (H D, C), one row below the other; and (C, H D) for `o`, whose channels C come out.
    - mask_emb is (1, 1, C).
    - d_head may only say what d_model and n_head say.
    - mem_len 0 means that the memory holds everything, and summary_activation "" that there is no function: both are
      None here.

    n_head  H, which no parameter of ours shows; 0 in the layout of the class, which knows no model
    """

    n_head: int = 0

    def of(self, config: Any) -> "XLNetLayout":
        """That of a model with this config."""
        return replace(self, n_head=config.n_head)

    # --- settings ---

    def config_from(self, written: dict[str, Any], where: Any, ignore: tuple[str, ...] = ()) -> Any:
        nothing = [name for name, value in _NOTHING.items() if shown(written.get(name)) == shown(value)]
        written = written | dict.fromkeys(nothing)
        config = super().config_from(written, where, (*ignore, "d_head"))
        d_head, wanted = written.get("d_head"), config.d_model // config.n_head
        if d_head not in (None, wanted) and "d_head" not in ignore:
            raise UserError(
                f"{where}: d_head is {shown(d_head)}, and d_model / n_head {wanted}: heads of another size are not "
                "supported"
            )
        return config

    def written_from(self, config: Any, original: dict[str, Any]) -> dict[str, Any]:
        written = super().written_from(config, original) | {"d_head": config.d_model // config.n_head}
        if config.summary_activation is None:
            written["summary_activation"] = _NOTHING["summary_activation"]
        return written

    # --- tensors ---

    def draw(self, config: Any, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        return normal(shape, config.initializer_range, dtype)

    def tensors(self, parameter: str, array: np.ndarray) -> dict[str, np.ndarray]:
        parameter = parameter.removeprefix(_BODY)  # where the body is in a larger model
        if parameter == "mask_embedding":
            return {f"{_BODY}mask_emb": array.reshape(1, 1, -1)}
        if not (found := _ATTENTION.fullmatch(parameter)):
            return super().tensors(parameter, array)
        number, name = found[1], found[2]
        there = f"{_LAYER.replace('N', number)}rel_attn."
        if name in _BIASES:
            return {there + _BIASES[name]: array}
        if name == "out":
            return {f"{there}o": array.reshape(len(array), self.n_head, -1)}  # (C, H D) -> (C, H, D)
        parts = dict(zip("kv", np.split(array, 2), strict=True)) if name == "kv" else {name: array}
        return {there + one: part.T.reshape(part.shape[1], self.n_head, -1) for one, part in parts.items()}

    def saved_tensors(self, model: Any) -> dict[str, np.ndarray]:
        saved = super().saved_tensors(model)
        is_bare = not hasattr(model, "transformer")
        return {name.removeprefix(self.prefix): a for name, a in saved.items()} if is_bare else saved


def xlnet_layout(config_class: Any, count_parameters) -> XLNetLayout:
    """The Layout of all XLNets; their dataclass of settings has transformers' names."""
    return XLNetLayout(
        name="XLNet",
        model_type="xlnet",
        config_class=config_class,
        count_parameters=count_parameters,
        settings={field.name: (field.name, field.default) for field in fields(config_class)},
        depths=("n_layer",),
        activation="ff_activation",
        activations={name: name for name in ACTIVATIONS},
        modules={
            "token_embedding": "transformer.word_embedding",
            "layers.N.attention_norm": f"{_LAYER}rel_attn.layer_norm",
            "layers.N.feed_forward.up": f"{_LAYER}ff.layer_1",
            "layers.N.feed_forward.down": f"{_LAYER}ff.layer_2",
            "layers.N.feed_forward_norm": f"{_LAYER}ff.layer_norm",
            "head": "lm_loss",
            "summary": "sequence_summary.summary",
            "classifier": "logits_proj",
        },
        prefix=_BODY,
        outside=(_LM, _SUMMARY, _CLASSES, *_OTHERS),
        heads=(_LM, _SUMMARY, _CLASSES, *_OTHERS),
        task_heads=(_SUMMARY, _CLASSES, *_OTHERS),
        embedding="transformer.word_embedding.weight",
        decoder="lm_loss.weight",
        other_names={
            "n_token": "vocab_size",
            "hidden_size": "d_model",
            "num_attention_heads": "n_head",
            "num_hidden_layers": "n_layer",
        },
        not_supported={
            "bi_data": (False,),  # half of a batch from right to left
            "untie_r": (True,),
            "summary_first_dropout": (0, None),
            "summary_proj_to_labels": (False, None),
        },
        # Heads for question answering; and how the first models were trained.
        ignored="start_n_top end_n_top init init_range init_std dropatt max_position_embeddings",
    )


def class_name(tensors: Collection[str], written: dict[str, Any], known: Collection[str]) -> str:
    """The class to make of a file with these tensors, by full name: one for a task if config.json names it; else the
    largest that is there as a whole."""
    there = [name for name in tensors if name.startswith((_SUMMARY, _CLASSES))]
    named = written.get("architectures")
    if there and isinstance(named, list) and len(named) == 1 and named[0] in list(known):
        return named[0]
    return "XLNetLMHeadModel" if any(name.startswith(_LM) for name in tensors) else "XLNetModel"
