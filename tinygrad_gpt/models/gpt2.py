"""GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019): the GPT with norm="pre"."""

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.causal_lm import CausalLM
from tinygrad_gpt.models.gpt import GPTConfig, check_config
from tinygrad_gpt.models.hf.gpt_layout import BLOCK_MODULES, gpt_layout
from tinygrad_gpt.models.hf.layout import REQUIRED

LAYOUT = gpt_layout(
    name="GPT2",
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    settings={
        # config.json: (GPTConfig, where config.json does not have it)
        "vocab_size": ("vocab_size", REQUIRED),
        "n_positions": ("block_size", REQUIRED),
        "n_layer": ("n_layer", REQUIRED),
        "n_head": ("n_head", REQUIRED),
        "n_embd": ("n_embd", REQUIRED),
        "n_inner": ("n_inner", None),
        "activation_function": ("activation", "gelu_new"),
        "layer_norm_epsilon": ("layer_norm_epsilon", 1e-5),
        "resid_pdrop": ("dropout", 0.1),
        "embd_pdrop": ("embd_pdrop", 0.1),
        "attn_pdrop": ("attn_pdrop", 0.1),
        "scale_attn_weights": ("scale_attn_weights", True),
        "scale_attn_by_inverse_layer_idx": ("scale_attn_by_inverse_layer_idx", False),
        "tie_word_embeddings": ("tied", True),
    },
    activation="activation_function",
    activations={
        "gelu_new": "gelu_tanh",
        "gelu_pytorch_tanh": "gelu_tanh",
        "gelu_fast": "gelu_tanh",  # the same with √(2/π) rounded to ten digits
        "gelu": "gelu",
        "relu": "relu",
        "silu": "silu",
        "swish": "silu",
        "tanh": "tanh",
    },
    fixed={"norm": "pre", "bias": True, "positions": "learned"},
    modules={
        "token_embedding": "transformer.wte",
        "position_embedding": "transformer.wpe",
        **BLOCK_MODULES,
        "final_norm": "transformer.ln_f",
        "head": "lm_head",
    },
    embedding="transformer.wte.weight",
)


class GPT2(CausalLM):
    """A GPT with layer norms before each half of a block, and one after the last."""

    layout = LAYOUT

    def __init__(self, config: GPTConfig):
        if check_config(config).norm != "pre":
            raise UserError(f'GPT-2 has norm="pre", not {config.norm!r}: GPT1 has layer norms after each half')
        super().__init__(config)
