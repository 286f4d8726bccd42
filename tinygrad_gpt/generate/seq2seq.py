"""`generate_target`, the method `generate` of encoder-decoder models, as in transformers: write after a source."""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.arguments import integer
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.generate.constraints import ConstrainedReader
from tinygrad_gpt.generate.decoding import Decoding
from tinygrad_gpt.generate.prompts import ids_of_prompt, token_ids
from tinygrad_gpt.generate.session import TranslationSession
from tinygrad_gpt.tensor import plain_array

NEW = 20  # tokens, if nobody says how many


def generate_target(
    model,
    input_ids,
    attention_mask=None,
    max_new_tokens: int | None = None,
    max_length: int | None = None,
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
    decoder_start_token_id: int | None = None,
    forced_eos_token_id: int | Iterable[int] | None = None,
    suppress_tokens: Iterable[int] | None = None,
    seed: int | None = None,
) -> np.ndarray:
    """What the model writes for each source: (B, 1 + new) int64, with the start token before it.

    input_ids       (B, Ts) integers, padded on either side to one length; a trained model expects eos_token_id at the
                    end of each, where a call of its tokenizer puts it
    attention_mask  (B, Ts): 1 for a token, 0 for padding. None: padding is wherever pad_token_id stands, unless that
                    is an eos_token_id
    max_new_tokens  how many tokens to write at most; None: 20, or as many as the model has positions
    max_length      the same and the start token; give one of the two
    num_beams, penalty, length_penalty, early_stopping  with num_beams > 1: see beam.py
    eos_token_id    a text ends with this token, or with any of these; (): none ends it
    pad_token_id    fills up texts that end before the longest one
    decoder_start_token_id  what the decoder reads first. For None, these three are those of model.config
    forced_eos_token_id     the token that is written in the last place if a text gets so long, for certain, so that it
                            costs nothing; or several, to choose from. None: that of model.config, by default the
                            (first) eos_token_id; (): no token
    suppress_tokens         tokens that are never written, but where one is forced. None: the padding, unless it ends
                            a text; (): none

    The others are those of generate_batch. Names and meanings are transformers'. So are the tokens, if it is given
    suppress_tokens=[pad_token_id] and renormalize_logits=True, as published Marian models do in their settings: what is
    suppressed gets its -inf before the softmax, not after it. Else the rest would not have probability 1 together, and
    beams that meet a likely padding would lose by it.

    Raises ValueError for impossible values, for a source without a token, and for more tokens than the model has
    positions, on either side; TypeError and IndexError for invalid ids.
    """
    special = SpecialTokens.of(
        model.config, eos_token_id, pad_token_id, decoder_start_token_id, forced_eos_token_id, suppress_tokens
    )
    ids, mask = _sources(input_ids, attention_mask, special, model.config.vocab_size)
    new = _new_tokens(max_new_tokens, max_length, model.config.max_position_embeddings)
    decoding = Decoding(
        do_sample, num_beams, temperature, top_k, top_p, penalty, length_penalty, early_stopping, seed
    )  # fmt: skip
    starts = np.full((len(ids), 1), special.start)
    if new == 0:
        return starts
    written = write_target(model, ids, mask, np.full(len(ids), new), decoding, special)
    return np.concatenate([starts, written], axis=1)


class SpecialTokens(NamedTuple):
    """The tokens of a model that mean no word.

    start   what the decoder reads first
    ends    (E,), each of which ends a text
    pad     fills up
    forced  (F,), what may stand in a text's last place, if it gets so long; F = 0: anything
    never   (N,), what is never written
    """

    start: int
    ends: np.ndarray
    pad: int
    forced: np.ndarray
    never: np.ndarray

    @classmethod
    def of(cls, config, eos=None, pad=None, start=None, forced=None, never=None) -> "SpecialTokens":
        """Those of a TransformerConfig, unless others are given; see generate_target. Raises ValueError for an id that
        is not in 0 .. vocab_size - 1, TypeError for what is no id."""
        tokens = partial(token_ids, vocab_size=config.vocab_size)
        token = partial(_token_id, vocab_size=config.vocab_size)
        ends = tokens("eos_token_id", config.eos_token_id if eos is None else eos)
        pad = token("pad_token_id", config.pad_token_id if pad is None else pad)
        start = token("decoder_start_token_id", config.decoder_start_token_id if start is None else start)
        if forced is None:
            forced = () if config.forced_eos_token_id is None else config.forced_eos_token_id
            forced = ends[:1] if forced == -1 else forced
        forced = tokens("forced_eos_token_id", forced)
        never = np.setdiff1d([pad], ends) if never is None else tokens("suppress_tokens", never)
        return cls(start, ends, pad, forced, never)


def _token_id(name: str, value, vocab_size: int) -> int:
    return integer("generate", name, value, low=0, below=vocab_size)


def write_target(
    model, source_ids, source_mask, limits: np.ndarray, decoding: Decoding, special: SpecialTokens
) -> np.ndarray:
    """What the model writes for sources (B, Ts), without the start: (B, new).

    source_mask  (B, Ts): 1 for a token, 0 for padding; None: there is none
    limits       (B,): the number of tokens after which each text ends. All are equal unless special.forced ends them
    """
    most = int(limits.max())
    session = TranslationSession(model, source_ids, source_mask, most)
    reader = ConstrainedReader(session, special.never, special.forced, limits)
    starts = np.full((len(limits), 1), special.start)
    return decoding.write(reader, starts, None, most, special.ends, special.pad)


def _sources(input_ids, attention_mask, special: SpecialTokens, vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    """input_ids (B, Ts), and the mask (B, Ts), of booleans. Raises what generate_target raises for these."""
    ids = ids_of_prompt(input_ids, 2, "input_ids of shape (B, Ts) with B and Ts >= 1", vocab_size)
    if attention_mask is not None:
        mask = to_numpy(plain_array(attention_mask, "attention_mask"))
    elif special.pad in special.ends:
        mask = np.ones(ids.shape, bool)
    else:
        mask = ids != special.pad
    if mask.shape != ids.shape:
        raise ValueError(f"generate: expected an attention_mask of shape {ids.shape}, got {mask.shape}")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError("generate: expected an attention_mask of 1 (a token) and 0 (padding) only")
    empty = np.flatnonzero(~mask.any(axis=1))
    if empty.size:
        raise ValueError(f"generate: expected a token or more in each source, row {empty[0]} is all padding")
    return ids, mask.astype(bool)


def _new_tokens(max_new_tokens, max_length, positions: int) -> int:
    """How many tokens to write at most."""
    new = integer("generate", "max_new_tokens", max_new_tokens, low=0, or_none=True)
    length = integer("generate", "max_length", max_length, low=1, or_none=True)
    if new is not None and length is not None:
        raise ValueError("generate: expected max_new_tokens or max_length (one more, for the start token), got both")
    if length is not None:
        new = length - 1
    if new is None:
        return min(NEW, positions)
    if new > positions:
        raise ValueError(
            f"generate: expected at most {positions} new tokens (max_position_embeddings), got {new}: write fewer"
        )
    return new
