"""Models: read from top to bottom, with one dataclass of settings each.

One architecture, and what makes it a GPT-1 or a GPT-2:

    gpt.py        the architecture of every GPT here
    causal_lm.py  the same with transformers' manners: loss from labels, padded batches, text, checkpoints
    gpt1.py       GPT-1's checkpoints
    gpt2.py       GPT-2's checkpoints
"""

from tinygrad_gpt.models.causal_lm import CausalLM, CausalLMOutput
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.models.gpt1 import GPT1
from tinygrad_gpt.models.gpt2 import GPT2

__all__ = ["GPT", "GPT1", "GPT2", "CausalLM", "CausalLMOutput", "GPTConfig"]
