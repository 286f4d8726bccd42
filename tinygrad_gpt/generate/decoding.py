"""Decoding: how the tokens of a batch are chosen, for all models: greedy, drawn, or searched for with beams."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad_gpt.arguments import flag, integer, number, shown
from tinygrad_gpt.generate.beam import PENALTIES, beam_search
from tinygrad_gpt.generate.sampling import check_sampling, draw_token
from tinygrad_gpt.generate.session import Reader
from tinygrad_gpt.random_stream import next_seed


@dataclass(frozen=True)
class Decoding:
    """The settings that choose tokens; `generate_batch` says what each means. Raises ValueError for impossible ones, in
    the name of `who` takes them."""

    do_sample: bool = False
    num_beams: int = 1
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    penalty: str = "length"
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    seed: int | None = None
    who: str = "generate"

    def __post_init__(self):
        who, stop = self.who, self.early_stopping
        temperature, top_k, top_p = check_sampling(who, self.temperature, self.top_k, self.top_p)
        checked = dict(
            do_sample=flag(who, "do_sample", self.do_sample),
            num_beams=integer(who, "num_beams", self.num_beams, low=1),
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            length_penalty=number(who, "length_penalty", self.length_penalty),
            seed=integer(who, "seed", self.seed, low=0, or_none=True),
        )
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if not isinstance(stop, bool | np.bool_) and not (isinstance(stop, str) and stop == "never"):
            raise ValueError(f"{who}: expected early_stopping True, False or 'never', got {shown(stop)}")
        if not isinstance(self.penalty, str) or self.penalty not in PENALTIES:
            raise ValueError(f"{who}: expected penalty {' or '.join(PENALTIES)}, got {shown(self.penalty)}")
        if self.do_sample and self.num_beams > 1:
            raise ValueError(
                "generate: beams are searched for, not drawn: give num_beams > 1 or do_sample=True, not both"
            )

    def write(self, reader: Reader, prompts, mask, max_new_tokens: int, ends: np.ndarray, pad: int) -> np.ndarray:
        """What follows each prompt (B, T): (B, new) with new <= max_new_tokens, filled up with `pad`.

        reader  of B texts, which has read nothing yet
        mask    (B, T) of the prompts: False for padding; None: there is none
        ends    (E,), the tokens that end a text
        """
        if self.num_beams > 1:
            return beam_search(
                reader,
                prompts,
                mask,
                max_new_tokens,
                n=self.num_beams,
                penalty=self.penalty,
                length_penalty=self.length_penalty,
                early_stopping=self.early_stopping,
                ends=ends,
                pad=pad,
            )
        choose = self._drawing(len(prompts)) if self.do_sample else _likeliest_token
        return _write(reader, prompts, mask, max_new_tokens, choose, ends, pad)

    def _drawing(self, batch_size: int) -> Callable:
        """A `choose` for `_write` that draws each row's token from that row's own random numbers."""
        first = next_seed() if self.seed is None else self.seed
        rngs = [np.random.default_rng([first, row]) for row in range(batch_size)]
        how = self.temperature, self.top_k, self.top_p
        return lambda logits, rows: np.array(
            [draw_token(x, rngs[row], *how) for x, row in zip(logits, rows, strict=True)]
        )


def _write(reader: Reader, prompts, mask, max_new_tokens: int, choose: Callable, ends, pad: int) -> np.ndarray:
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
