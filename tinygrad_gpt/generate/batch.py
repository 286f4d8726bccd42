"""`generate_batch`, the method `generate` of models, as in transformers: continue each prompt of a batch."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from tinygrad_gpt.arguments import flag, integer, is_row
from tinygrad_gpt.generate.beam import beam_search
from tinygrad_gpt.generate.prompts import check_model, check_prompts, without_shared_padding
from tinygrad_gpt.generate.sampling import check_sampling, draw_token
from tinygrad_gpt.generate.session import DecodingSession
from tinygrad_gpt.random_stream import next_seed


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
    num_beams, length_penalty, early_stopping  with num_beams > 1: see beam.py
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
    ends, pad_token_id = _tokens(eos_token_id, pad_token_id)
    padding = None if pad_token_id is None or pad_token_id in ends else pad_token_id
    input_ids, mask = check_prompts(input_ids, attention_mask, padding, model.config.vocab_size)
    max_new_tokens = integer("generate", "max_new_tokens", max_new_tokens, low=0)
    num_beams, do_sample = integer("generate", "num_beams", num_beams, low=1), flag("generate", "do_sample", do_sample)
    temperature, top_k, top_p = check_sampling("generate", temperature, top_k, top_p)
    seed = integer("generate", "seed", seed, low=0, or_none=True)
    if max_new_tokens == 0:
        return input_ids
    prompts, mask = without_shared_padding(input_ids, mask)
    positions = prompts.shape[1] + max_new_tokens - 1  # the last token is written, but not read
    if positions > model.config.block_size:
        raise ValueError(
            f"generate: expected at most {model.config.block_size} positions (block_size), got {positions} for a "
            f"prompt of {prompts.shape[1]} and {max_new_tokens} new tokens: write fewer, or shorten the prompt"
        )
    reader = DecodingSession(model, len(prompts), positions)
    if pad_token_id is None:
        pad_token_id = int(ends[0]) if ends.size else -1  # never used: all texts end together
    if num_beams == 1:
        choose = _drawing(len(prompts), seed, temperature, top_k, top_p) if do_sample else _likeliest_token
        written = _write(reader, prompts, mask, max_new_tokens, choose, ends, pad_token_id)
    elif do_sample:
        raise ValueError("generate: beams are searched for, not drawn: give num_beams > 1 or do_sample=True, not both")
    else:
        written = beam_search(
            reader,
            prompts,
            mask,
            max_new_tokens,
            n=num_beams,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            ends=ends,
            pad=pad_token_id,
        )
    return np.concatenate([input_ids, written], axis=1)


def _write(reader: DecodingSession, prompts, mask, max_new_tokens: int, choose: Callable, ends, pad: int) -> np.ndarray:
    """(B, new): the tokens written after each of the prompts (B, T), one per step for every text that has not ended;
    choose(logits (R, V), rows (R,)) -> tokens (R,), the next ones of those rows."""
    written = np.full((len(prompts), max_new_tokens), pad)
    rows = np.arange(len(prompts))  # those that have not ended, R of them
    logits = reader.read(prompts, mask)  # (B, T) -> (B, V)
    for t in range(max_new_tokens):
        tokens = written[rows, t] = choose(logits, rows)
        going = np.flatnonzero(~np.isin(tokens, ends))
        if going.size == 0 or t + 1 == max_new_tokens:
            break
        if going.size < rows.size:
            rows, tokens = rows[going], tokens[going]
            reader.select(going)
        logits = reader.read(tokens[:, np.newaxis])  # (R, 1) -> (R, V)
    return written[:, : t + 1]


def _likeliest_token(logits: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.argmax(logits, axis=1)


def _drawing(batch_size: int, seed: int | None, temperature: float, top_k, top_p) -> Callable:
    """A `choose` for `_write` that draws each row's token from that row's own random numbers."""
    first = next_seed() if seed is None else seed
    rngs = [np.random.default_rng([first, row]) for row in range(batch_size)]
    return lambda logits, rows: np.array(
        [draw_token(x, rngs[row], temperature, top_k, top_p) for x, row in zip(logits, rows, strict=True)]
    )


def _tokens(eos_token_id, pad_token_id) -> tuple[np.ndarray, int | None]:
    """The end tokens, (E,), and the padding; both fit int64."""
    token = partial(integer, "generate", low=-(2**63), below=2**63, or_none=True)
    pad = token("pad_token_id", pad_token_id)
    several = is_row(eos_token_id) or isinstance(eos_token_id, Iterator)
    ends = eos_token_id if several else [eos_token_id]
    ends = [token("eos_token_id", end) for end in ends]
    return np.array([end for end in ends if end is not None], np.int64), pad
