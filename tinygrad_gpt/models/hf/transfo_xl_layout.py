"""How transformers stores a Transformer-XL: as version 4.35.2 did, the last one whose TransfoXLLMHeadModel runs.

Queries, keys and values of a block come from one matrix there, and from two here, since XLNet's queries come from two
streams: so `qkv_net` is cut in two when it is read, and joined when it is written.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.tensor_file import FLOAT_CODES, TensorFile
from tinygrad_gpt.models.hf.layout import Layout

_BLOCK, _WORDS, _HEAD = "transformer.layers.N.", "transformer.word_emb.", "crit."
_ATTENTION, _QKV = f"{_BLOCK}dec_attn.", "qkv_net"
_FREQUENCIES = "transformer.pos_emb.inv_freq"
_HALF_PRECISION = 1 / 128  # a number that was saved in bfloat16 is as near as this share of it

# Parameters that are no weight or bias of a module: ours -> theirs.
_PARAMETERS = {
    r"(?:blocks\.(\d+)\.attention\.)?content_bias": "r_w_bias",
    r"(?:blocks\.(\d+)\.attention\.)?position_bias": "r_r_bias",
    r"token_embedding\.tables\.(\d+)\.weight": f"{_WORDS}emb_layers.N.weight",
    r"token_embedding\.projections\.(\d+)": f"{_WORDS}emb_projs.N",
    r"head\.biases\.(\d+)": f"{_HEAD}out_layers.N.bias",
    r"head\.projections\.(\d+)": f"{_HEAD}out_projs.N",
    r"head\.(cluster_\w+)": f"{_HEAD}N",
}


class TransfoXLLayout(Layout):
    """Transformer-XL's exceptions.

    - Queries, keys and values lie in one tensor.
    - Tied tensors are not saved, or are saved too and have to be equal: the head's vectors and projections, and the
      blocks' biases where they are one pair for all.
    - tie_projs says which projections are tied; it may say all but the first, or none.
    - The frequencies of the sinusoids are saved.
    """

    def config_from(self, written: dict[str, Any], where: Any, ignore: tuple[str, ...] = ()) -> Any:
        given = {name: value for name, value in written.items() if name != "tie_projs"}
        ties = written.get("tie_projs")
        if ties is not None and "tie_projs" not in ignore:
            given["proj_share_all_but_first"] = share = isinstance(ties, list) and (any(ties) or len(ties) == 1)
            if not isinstance(ties, list) or ties != [False] + [share] * (len(ties) - 1):
                what = f"{where}: tie_projs is {shown(ties)}, which is not supported"
                raise UserError(f"{what}: either all but the first are true, or none is")
        return super().config_from(given, where, ignore)

    def written_from(self, config: Any, original: dict[str, Any]) -> dict[str, Any]:
        *_, cutoffs, embed, _ = config.clusters()
        inner = 4 * config.d_model if config.d_inner is None else config.d_inner
        full = replace(config, d_head=config.head_size, d_inner=inner, d_embed=embed)
        ties = [False] + [config.proj_share_all_but_first] * len(cutoffs)
        return super().written_from(full, original) | {"cutoffs": list(cutoffs), "tie_projs": ties}

    def tensors(self, parameter: str, array: np.ndarray) -> dict[str, np.ndarray]:
        for ours, theirs in _PARAMETERS.items():
            if found := re.fullmatch(ours, parameter):
                if theirs.startswith("r_"):
                    theirs = (_ATTENTION if found[1] else "transformer.") + theirs
                return {theirs.replace("N", found[1] or ""): array}
        return super().tensors(parameter, array)

    def saved_tensors(self, model: Any) -> dict[str, np.ndarray]:
        saved: dict[str, np.ndarray] = {}
        parts = super().saved_tensors(model)
        for name, array in parts.items():
            if f"{_QKV}[q]" in name:
                array = np.concatenate([array, parts[name.replace("[q]", "[kv]")]])
            if "[kv]" not in name:
                saved[name.replace("[q]", "")] = array
        return saved | {_FREQUENCIES: _frequencies(model.config.d_model)}

    def cut(self, weights: dict[str, TensorFile]) -> dict[str, TensorFile]:
        found = {}
        for name, file in weights.items():
            module, is_one, kind = name.partition(f"{_QKV}.")
            shape = file.shapes[name]
            if is_one and shape and shape[0] % 3 == 0 and file.dtypes[name] in FLOAT_CODES:
                q, kv = (f"{module}{_QKV}[{part}].{kind}" for part in ("q", "kv"))
                file.cut(name, {q: shape[0] // 3, kv: shape[0] // 3 * 2})
                found |= {q: file, kv: file}
            else:
                found[name] = file
        return found

    def copies(self, config: Any) -> dict[str, str]:
        return dict(_copies(config))

    def check_computed(self, config: Any, weights: dict[str, TensorFile]) -> None:
        for name, file in weights.items():
            if self.full_name(name) == _FREQUENCIES:
                right = _frequencies(config.d_model)
                saved = np.full(right.shape, np.nan, right.dtype)
                if file.shapes[name] == saved.shape and file.dtypes[name] in FLOAT_CODES:
                    file.copy(name, saved)
                if not (np.abs(saved - right) <= _HALF_PRECISION * right).all():
                    raise UserError(
                        f"{file.path}: {name} has not the frequencies of a Transformer-XL of this width, which is not "
                        "supported"
                    )


def _copies(config: Any) -> Iterator[tuple[str, str]]:
    """(a tensor that a file need not have, the one that it repeats)."""
    tables = len(config.cutoffs) + 1 if config.div_val > 1 else 1
    yield from [(f"{_HEAD}out_layers.{i}.weight", f"{_WORDS}emb_layers.{i}.weight") for i in range(tables)]
    if config.is_adaptive and config.proj_share_all_but_first:
        for i in range(1, len(config.cutoffs) + 1):
            yield f"{_HEAD}out_projs.{i}", f"{_WORDS}emb_projs.{i if tables > 1 else 0}"
    if not config.untie_r:
        for i in range(config.n_layer):
            for bias in ("r_w_bias", "r_r_bias"):
                yield _ATTENTION.replace("N", str(i)) + bias, f"transformer.{bias}"


def _frequencies(width: int) -> np.ndarray:
    """By how much each pair of channels turns from one position to the next, (C/2,)."""
    return (10_000.0 ** (-np.arange(0, width, 2) / width)).astype(np.float32)


def transfo_xl_layout(config_class: Any, count_parameters) -> TransfoXLLayout:
    """The Layout of a TransfoXLLMHeadModel; config_class has transformers' names, and defaults of its own."""
    defaults = {
        "vocab_size": 267735,
        "cutoffs": [20000, 40000, 200000],
        "d_model": 1024,
        "d_embed": 1024,
        "n_head": 16,
        "d_head": 64,
        "d_inner": 4096,
        "div_val": 4,
        "pre_lnorm": False,
        "n_layer": 18,
        "mem_len": 1600,
        "clamp_len": 1000,
        "same_length": True,
        "proj_share_all_but_first": True,
        "dropout": 0.1,
        "dropatt": 0.0,
        "untie_r": True,
        "init_std": 0.02,
        "proj_init_std": 0.01,
        "layer_norm_epsilon": 1e-5,
    }
    return TransfoXLLayout(
        name="Transformer-XL",
        model_type="transfo-xl",
        architecture="TransfoXLLMHeadModel",
        config_class=config_class,
        count_parameters=count_parameters,
        settings={name: (name, default) for name, default in defaults.items()},
        other_names={
            "n_token": "vocab_size",
            "hidden_size": "d_model",
            "num_attention_heads": "n_head",
            "num_hidden_layers": "n_layer",
        },
        depths=("n_layer",),
        activation=None,
        activations={},
        modules={
            "token_embedding": f"{_WORDS}emb_layers.0",
            "blocks.N.attention.q": f"{_ATTENTION}{_QKV}[q]",
            "blocks.N.attention.kv": f"{_ATTENTION}{_QKV}[kv]",
            "blocks.N.attention.r": f"{_ATTENTION}r_net",
            "blocks.N.attention.out": f"{_ATTENTION}o_net",
            "blocks.N.attention_norm": f"{_ATTENTION}layer_norm",
            "blocks.N.feed_forward.up": f"{_BLOCK}pos_ff.CoreNet.0",
            "blocks.N.feed_forward.down": f"{_BLOCK}pos_ff.CoreNet.3",
            "blocks.N.feed_forward_norm": f"{_BLOCK}pos_ff.layer_norm",
            "head": f"{_HEAD}out_layers.0",
        },
        prefix="transformer.",
        outside=(_HEAD,),
        embedding=f"{_WORDS}emb_layers.0.weight",
        decoder=f"{_HEAD}out_layers.0.weight",
        not_supported={
            "attn_type": (0,),  # relative positions of the paper
            "sample_softmax": (-1, 0),
            "tie_word_embeddings": (True,),
            # Of older versions.
            "tie_weight": (True,),
            "ext_len": (0,),
        },
        # How it begins; tgt_len of older versions; `adaptive` has no effect; and what a call returns.
        ignored="init init_range tgt_len adaptive trainer_compatible",
        untrained=re.escape(_FREQUENCIES),
    )
