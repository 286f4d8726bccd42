"""GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019): the GPT with norm="pre"."""

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.causal_lm import CausalLM
from tinygrad_gpt.models.gpt import GPTConfig


class GPT2(CausalLM):
    """A GPT with layer norms before each half of a block, and one after the last."""

    def __init__(self, config: GPTConfig):
        if config.norm != "pre":
            raise UserError(f'GPT-2 has norm="pre", not {config.norm!r}: GPT1 has layer norms after each half')
        super().__init__(config)
