"""Generation: let a model write, one token at a time.

The model gives a score (logit) to every token that could come next. One is chosen, and the model reads it in turn.

    sampling.py  which token: the distribution, and the draw from it
    session.py   a model that reads sequences token by token: its cache, its mask, its positions; after a source, or not
    stream.py    `generate`: one sequence of any length, token by token
    text.py      a prompt as ids, and the model's text piece by piece
    prompts.py   prompts of different lengths side by side: padding and its mask
    batch.py     `generate_batch`, which GPTs call `generate`: a batch of prompts
    seq2seq.py   `generate_target`, which encoder-decoders call `generate`: a batch of sources
    decoding.py  how both choose the tokens of a batch: greedy, sampling, beams
    beam.py      beam search
    constraints.py  tokens that are never written, and a forced end
    translate.py    texts in, texts out, and where the model looked
    alignment.py    the latter, to see: words across and down, as a table and as a picture
"""

from tinygrad_gpt.generate.batch import generate_batch
from tinygrad_gpt.generate.prompts import pad_left
from tinygrad_gpt.generate.sampling import token_probabilities
from tinygrad_gpt.generate.stream import generate

__all__ = ["generate", "generate_batch", "pad_left", "token_probabilities"]
