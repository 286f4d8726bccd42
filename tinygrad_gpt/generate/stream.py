"""`generate`: one sequence, token by token."""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.arguments import integer
from tinygrad_gpt.generate.prompts import check_model, ids_of_prompt
from tinygrad_gpt.generate.sampling import check_sampling, draw_token
from tinygrad_gpt.generate.session import DecodingSession
from tinygrad_gpt.random_stream import next_seed


def generate(
    model,
    prompt_ids,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop_token: int | None = None,
) -> Iterator[int]:
    """Yield the token ids that the model writes after the prompt, each as soon as it is drawn.

    prompt_ids                 (T,) integers, T >= 1
    temperature, top_k, top_p  the distribution to draw from: see token_probabilities
    seed                       of the draws; None takes one from the package's stream (random_stream.manual_seed)
    stop_token                 end when this token is drawn; it is not yielded

    The model sees at most the last block_size tokens, and a new token costs one position. Positions are learned, so a
    full cache cannot slide by one: the model starts over from the last block_size // 2 tokens. The context of a token
    is therefore between half and all of block_size, and starting over costs no more, per token, than one more position.
    With block_size None, as a Transformer-XL has it, nothing ever starts over.

    Dropout is off. Raises ValueError at once for impossible values, and later for logits that are not finite.
    """
    check_model(model)
    prompt = ids_of_prompt(prompt_ids, 1, "a prompt of shape (T,) with T >= 1", model.config.vocab_size)
    max_new_tokens = integer("generate", "max_new_tokens", max_new_tokens, low=0)
    temperature, top_k, top_p = check_sampling("generate", temperature, top_k, top_p)
    stop_token = integer("generate", "stop_token", stop_token, or_none=True)
    seed = integer("generate", "seed", seed, low=0, or_none=True)
    rng = np.random.default_rng(next_seed() if seed is None else seed)
    return _write(model, prompt.tolist(), max_new_tokens, temperature, top_k, top_p, rng, stop_token)


def _write(model, context: list[int], max_new_tokens: int, temperature, top_k, top_p, rng, stop_token) -> Iterator[int]:
    """The generator behind `generate`, for checked arguments."""
    block_size = model.config.block_size
    context = (
        context[-block_size:] if block_size else context
    )  # the model has read it, but for the `unread` last tokens
    unread = len(context)
    reader = DecodingSession(model, rows=1)
    for _ in range(max_new_tokens):
        if block_size and len(context) > block_size:
            context = context[-max(1, block_size // 2) :]
            unread = len(context)
            reader.clear()
        logits = reader.read(np.array([context[-unread:]]))  # (1, T) -> (1, V)
        token = draw_token(logits[0], rng, temperature, top_k, top_p)
        if token == stop_token:
            return
        yield token
        context.append(token)
        unread = 1
