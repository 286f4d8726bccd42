"""`generate_batch`, the method `generate` of models, as in transformers: continue each prompt of a batch."""

from collections.abc import Iterable

import numpy as np

from tinygrad_gpt.arguments import integer
from tinygrad_gpt.generate.decoding import Decoding
from tinygrad_gpt.generate.prompts import check_model, check_prompts, token_ids, without_shared_padding
from tinygrad_gpt.generate.session import DecodingSession


def generate_batch(
    model,
    input_ids,
    attention_mask=None,
    max_new_tokens: int = 20,
    do_sample: bool = False,
    num_beams: int = 1,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    length_penalty: float = 1.0,
    penalty: str = "length",
    early_stopping: bool | str = False,
    eos_token_id: int | Iterable[int] | None = None,
    pad_token_id: int | None = None,
    seed: int | None = None,
) -> np.ndarray:
    """The prompts and what the model writes after each: (B, T + new) int64, with new <= max_new_tokens.

    input_ids       (B, T) integers; prompts of different lengths are padded on the left (generate.pad_left)
    attention_mask  (B, T): 1 for a token, 0 for padding. None: padding is wherever pad_token_id stands, if that is
                    given and not an eos_token_id; else there is none
    max_new_tokens  how many tokens to write at most
    do_sample       draw tokens; otherwise take the likeliest token, or search for the likeliest text (num_beams)
    temperature, top_k, top_p  with do_sample, the distribution to draw from: see token_probabilities
    num_beams, penalty, length_penalty, early_stopping  with num_beams > 1: see beam.py
    eos_token_id    a text ends with this token, or with any of these; None: only after max_new_tokens
    pad_token_id    fills up texts that end before the longest one; None: the (first) eos_token_id
    seed            of the draws; None takes one from the package's stream (random_stream.manual_seed). Each row has a
                    generator of its own: its text does not depend on other rows, and row 0 is what `generate` writes

    Names and meanings are transformers', and so are the tokens, except for sampling. transformers also applies settings
    that you did not give (top_k 50, the checkpoint's eos_token_id); this function does not.

    Raises ValueError for impossible values, for padding that is not on the left, and for more tokens than the model has
    positions (generate.generate continues past them); TypeError and IndexError for invalid ids.
    """
    check_model(model)
    ends = token_ids("eos_token_id", eos_token_id)
    pad_token_id = integer("generate", "pad_token_id", pad_token_id, low=-(2**63), below=2**63, or_none=True)
    padding = None if pad_token_id is None or pad_token_id in ends else pad_token_id
    input_ids, mask = check_prompts(input_ids, attention_mask, padding, model.config.vocab_size)
    max_new_tokens = integer("generate", "max_new_tokens", max_new_tokens, low=0)
    decoding = Decoding(
        do_sample, num_beams, temperature, top_k, top_p, penalty, length_penalty, early_stopping, seed
    )  # fmt: skip
    if max_new_tokens == 0:
        return input_ids
    prompts, mask = without_shared_padding(input_ids, mask)
    positions = prompts.shape[1] + max_new_tokens - 1  # the last token is written, but not read
    block_size = model.config.block_size
    if block_size and positions > block_size:
        raise ValueError(
            f"generate: expected at most {block_size} positions (block_size), got {positions} for a "
            f"prompt of {prompts.shape[1]} and {max_new_tokens} new tokens: write fewer, or shorten the prompt"
        )
    reader = DecodingSession(model, len(prompts), positions)
    if pad_token_id is None:
        pad_token_id = int(ends[0]) if ends.size else -1  # never used: all texts end together
    written = decoding.write(reader, prompts, mask, max_new_tokens, ends, pad_token_id)
    return np.concatenate([input_ids, written], axis=1)
