"""Generation: let a model write, one token at a time.

The model gives a score (logit) to every token that could come next. One is chosen, and the model reads it in turn.

    sampling.py  which token: the distribution, and the draw from it
    session.py   a model that reads sequences token by token: its cache, its mask, its positions
    stream.py    `generate`: one sequence of any length, token by token
    text.py      a prompt as ids, and the model's text piece by piece
    prompts.py   prompts of different lengths side by side: padding and its mask
    batch.py     `generate_batch`, which models call `generate`: greedy and sampling for a batch of prompts
    beam.py      beam search for a batch of prompts
"""

from tinygrad_gpt.generate.batch import generate_batch
from tinygrad_gpt.generate.prompts import pad_left
from tinygrad_gpt.generate.sampling import token_probabilities
from tinygrad_gpt.generate.stream import generate

__all__ = ["generate", "generate_batch", "pad_left", "token_probabilities"]
