"""Text from a trained model: prompts as ids, and tokens as text."""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.generate import generate

LINE_END = "\n"
NO_TEXT = "\N{REPLACEMENT CHARACTER}"


def encode_prompt(tokenizer: Tokenizer, prompt: str, fallback: int = 0) -> np.ndarray:
    """The ids to begin with, (N,) int64: those of `prompt`, or of a line end if it is empty.

    A tokenizer that has no line end gets the id `fallback`. Raises UserError for a prompt that has no ids.
    """
    try:
        ids = tokenizer.encode(prompt or LINE_END)
    except UserError:
        if prompt:
            raise
        ids = np.array([], dtype=np.int64)
    if prompt and not len(ids):
        raise UserError(f"this model has no token for the prompt {shown(prompt)}")
    return ids if len(ids) else np.array([fallback])


def stream_text(model, tokenizer: Tokenizer, prompt: np.ndarray, tokens: int, **how) -> Iterator[str]:
    """Yield the text that the model writes after the prompt, piece by piece. `how`: the settings of `generate`."""
    decoder = tokenizer.decoder()
    for token in generate(model, prompt, tokens, **how):
        # A model may have more ids than its tokenizer. Those are untrained and have no text.
        yield decoder.feed(token) if token < tokenizer.vocab_size else NO_TEXT
    yield decoder.finish()
