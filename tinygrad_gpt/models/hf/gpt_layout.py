"""What the layouts of GPT-1 and GPT-2 have in common; gpt1.py and gpt2.py have the rest."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tinygrad_gpt.models.gpt import GPTConfig, count_parameters
from tinygrad_gpt.models.hf.layout import Layout

# Modules of a block: our name -> transformers' name, in GPT-1 and GPT-2 alike. N is the number of the block.
BLOCK_MODULES = {
    "blocks.N.attention_norm": "transformer.h.N.ln_1",
    "blocks.N.attention.qkv": "transformer.h.N.attn.c_attn",
    "blocks.N.attention.out": "transformer.h.N.attn.c_proj",
    "blocks.N.feed_forward_norm": "transformer.h.N.ln_2",
    "blocks.N.feed_forward.up": "transformer.h.N.mlp.c_fc",
    "blocks.N.feed_forward.down": "transformer.h.N.mlp.c_proj",
}
_WITHOUT_BIAS = ("token_embedding", "position_embedding", "head")
# Names that config.json may use for the same setting.
_OTHER_NAMES = {
    "hidden_size": "n_embd",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
    "max_position_embeddings": "n_positions",
    "n_ctx": "n_positions",
}
# Settings that change nothing: heads for other tasks, the tokenizer, and whether half precision, which GPT does not
# have, stops short of attention's softmax.
_IGNORED = """summary_type summary_use_proj summary_activation summary_proj_to_labels summary_first_dropout
    n_special predict_special_tokens reorder_and_upcast_attn"""


@dataclass(frozen=True)
class _GPTLayout(Layout):
    def written_from(self, config: GPTConfig, original: dict[str, Any]) -> dict[str, Any]:
        config = replace(config, bias=True)  # where the model has no biases, zeros are written
        if config.n_inner == 4 * config.n_embd:
            config = replace(config, n_inner=None)
        written = super().written_from(config, original)
        for name in ("embd_pdrop", "attn_pdrop"):
            written[name] = config.dropout if written[name] is None else written[name]
        return written

    def saved_tensors(self, model: Any) -> dict[str, np.ndarray]:
        saved = super().saved_tensors(model)
        if not model.config.bias:  # zeros in their place compute the same
            for name, weight in model.state_dict().items():
                if not name.startswith(_WITHOUT_BIAS):
                    saved |= self.tensors(name.replace(".weight", ".bias"), np.zeros(len(weight), weight.dtype))
        return saved


gpt_layout = partial(
    _GPTLayout,
    config_class=GPTConfig,
    count_parameters=count_parameters,
    depths=("n_layer",),
    prefix="transformer.",
    outside=("lm_head.",),
    decoder="lm_head.weight",
    other_names=_OTHER_NAMES,
    ignored=_IGNORED,
    # Conv1D's matrices.
    transposed=r"\.(c_attn|c_proj|c_fc)\.weight$",
    # The causal mask. Older versions of transformers saved it as if it were trained.
    untrained=r"transformer\.h\.\d+\.attn\.(bias|masked_bias)",
)
