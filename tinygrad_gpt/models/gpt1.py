"""GPT-1 (Radford et al., "Improving language understanding by generative pre-training", 2018): norm="post"."""

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.causal_lm import CausalLM
from tinygrad_gpt.models.gpt import GPTConfig, check_config
from tinygrad_gpt.models.hf.gpt_layout import BLOCK_MODULES, gpt_layout
from tinygrad_gpt.models.hf.layout import REQUIRED

LAYOUT = gpt_layout(
    name="GPT1",
    model_type="openai-gpt",
    architecture="OpenAIGPTLMHeadModel",
    settings={
        # config.json: (GPTConfig, where config.json does not have it)
        "vocab_size": ("vocab_size", REQUIRED),
        "n_positions": ("block_size", REQUIRED),
        "n_layer": ("n_layer", REQUIRED),
        "n_head": ("n_head", REQUIRED),
        "n_embd": ("n_embd", REQUIRED),
        "afn": ("activation", "gelu"),
        "layer_norm_epsilon": ("layer_norm_epsilon", 1e-5),
        "resid_pdrop": ("dropout", 0.1),
        "embd_pdrop": ("embd_pdrop", 0.1),
        "attn_pdrop": ("attn_pdrop", 0.1),
        "tie_word_embeddings": ("tied", True),
    },
    activation="afn",
    activations={
        "gelu": "gelu_tanh",  # what transformers' GPT-1 calls gelu is the tanh form, as in OpenAI's code
        "relu": "relu",
        "silu": "silu",
        "swish": "silu",
    },
    fixed={
        "norm": "post",
        "bias": True,
        "positions": "learned",
        "n_inner": None,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
    },
    modules={
        "token_embedding": "transformer.tokens_embed",
        "position_embedding": "transformer.positions_embed",
        **BLOCK_MODULES,  # ln_1 stands after attention, ln_2 after the feed-forward; no norm follows the last
        "head": "lm_head",
    },
    embedding="transformer.tokens_embed.weight",
)


class GPT1(CausalLM):
    """A GPT with layer norms after each half of a block."""

    layout = LAYOUT

    def __init__(self, config: GPTConfig):
        if check_config(config).norm != "post":
            raise UserError(f'GPT-1 has norm="post", not {config.norm!r}: GPT2 has layer norms before each half')
        super().__init__(config)
