"""Text from a trained model."""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.generate import generate

LINE_END = "\n"
NO_TEXT = "\N{REPLACEMENT CHARACTER}"


def encode_prompt(tokenizer: Tokenizer, prompt: str, fallback: int = 0) -> np.ndarray:
    """The ids to begin with, (N,) int64: those of `prompt`, or, if it is empty, of a line end.

    A tokenizer that has no line end gets the id `fallback`. Raises UserError for a prompt that has no ids.
    """
    try:
        ids = tokenizer.encode(prompt or LINE_END)
    except UserError:
        if prompt:
            raise
        ids = np.array([], dtype=np.int64)
    if prompt and not len(ids):
        raise UserError(f"the prompt {shown(prompt)} is no token of this model")
    return ids if len(ids) else np.array([fallback])


def stream_text(model, tokenizer: Tokenizer, prompt: np.ndarray, tokens: int, **how) -> Iterator[str]:
    """What the model writes after the prompt, piece by piece as it comes. `how`: the settings of `generate`."""
    decoder = tokenizer.decoder()
    for token in generate(model, prompt, tokens, **how):
        # A model may have more ids than its tokenizer, which nobody has trained: they have no text.
        yield decoder.feed(token) if token < tokenizer.vocab_size else NO_TEXT
    yield decoder.finish()
