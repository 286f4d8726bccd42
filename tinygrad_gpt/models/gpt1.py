"""GPT-1 (Radford et al., "Improving language understanding by generative pre-training", 2018): norm="post"."""

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.causal_lm import CausalLM
from tinygrad_gpt.models.gpt import GPTConfig


class GPT1(CausalLM):
    """A GPT with layer norms after each half of a block."""

    def __init__(self, config: GPTConfig):
        if config.norm != "post":
            raise UserError(f'GPT-1 has norm="post", not {config.norm!r}: GPT2 has layer norms before each half')
        super().__init__(config)
