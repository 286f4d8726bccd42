"""Models: read from top to bottom, with one dataclass of settings each.

One architecture, and what makes it a GPT-1 or a GPT-2:

    gpt.py        the architecture of every GPT here
    causal_lm.py  the same with transformers' manners: loss from labels, padded batches, text, checkpoints
    gpt1.py       GPT-1, and what transformers calls its settings and tensors
    gpt2.py       GPT-2, likewise
    gpt1_heads.py GPT-1 for tasks: a linear layer that reads one token, and the auxiliary loss

Checkpoints that others made, or can read:

    pretrained.py model <-> folder, by way of
    hf_layout.py  the names, and the layouts of the tensors
    hf_folder.py  the files of a folder
    hf_hub.py     the folder of a name on the Hugging Face hub
"""

from tinygrad_gpt.models.causal_lm import CausalLM, CausalLMOutput
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.models.gpt1 import GPT1
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification, GPT1ForMultipleChoice, GPT1ForSimilarity
from tinygrad_gpt.models.gpt2 import GPT2
from tinygrad_gpt.models.hf.pretrained import load_pretrained, save_pretrained

__all__ = [
    "GPT",
    "GPT1",
    "GPT2",
    "CausalLM",
    "CausalLMOutput",
    "GPT1ForClassification",
    "GPT1ForMultipleChoice",
    "GPT1ForSimilarity",
    "GPTConfig",
    "load_pretrained",
    "save_pretrained",
]
