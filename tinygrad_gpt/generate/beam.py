"""Beam search: look for the likeliest text, not only for the likeliest next token.

The likeliest token may lead where nothing likely follows. So each prompt has `num_beams` unfinished texts, its beams.
Each step continues every beam by every token, and keeps the likeliest of all these continuations.

    sum of a text    Σ log p(token | before), over the tokens written
    its score        sum / divisor. Sums only fall, so that without a division short texts win. With α = length_penalty,
                     and length the number of tokens written, the end token too, the divisor is by `penalty`

        "length"     length^α              of fairseq and transformers, where α is 1 if nothing else is said
        "gnmt"       ((5 + length) / 6)^α  Wu et al., "Google's neural machine translation system", 2016, equation 14.
                                           It rises more slowly; Vaswani et al. (2017) take it, with α = 0.6

    An α says nothing without its formula. With α = 0 neither divides.

Each step takes the best 2·num_beams continuations, so that num_beams survive even if every beam ends (with E end
tokens: (1+E)·num_beams). Among the first num_beams of them, those that end are finished texts. A prompt keeps the
num_beams finished texts with the best scores. It is done

    early_stopping=True     as soon as it has num_beams of them
    early_stopping=False    when, besides, the best beam would not beat the worst of them if it ended now
    early_stopping="never"  when, besides, the best beam would not beat the worst of them at the best length that it can
                            still get. With length_penalty >= 0 this misses only texts that fell out of the beams

This is the search of transformers' `generate`, choice for choice: the same tokens come out. (One exception: after the
end of a text this package writes pad_token_id; transformers takes a 0 for None and writes the first end token.)
"""

from functools import partial

import numpy as np

from tinygrad_gpt.generate.session import Reader
from tinygrad_gpt.kernels import registry

PENALTIES = ("length", "gnmt")


def beam_search(
    reader: Reader,
    prompts: np.ndarray,
    mask: np.ndarray | None,
    max_new_tokens: int,
    *,
    n: int,
    penalty: str,
    length_penalty: float,
    early_stopping: bool | str,
    ends: np.ndarray,
    pad: int,
) -> np.ndarray:
    """The best text for each prompt (B, T), without the prompt: (B, new), filled up with `pad`; see above.

    reader  of one text per prompt
    n       num_beams
    ends    (E,), the end tokens
    """
    divisor = partial(length_divisor, penalty=penalty, length_penalty=length_penalty)
    finished = Finished(len(prompts), n, max_new_tokens, pad)
    still_open = np.arange(len(prompts))  # the prompts that are not done, P of them
    texts = np.full((len(prompts), n, max_new_tokens), pad)
    sums = np.full((len(prompts), n), -np.inf)
    sums[:, 0] = 0.0  # at first a prompt's beams are all alike: continue one of them

    logits = np.repeat(reader.read(prompts, mask), n, axis=0)  # (P, T) -> (P, V) -> (P n, V)
    reader.select(np.repeat(still_open, n))
    for length in range(1, max_new_tokens + 1):
        beams, tokens, sums = _best_continuations(logits, sums, max(2, 1 + ends.size) * n)  # (P, K) each
        texts = _take(texts, beams)  # (P, n, new) -> (P, K, new)
        texts[:, :, length - 1] = tokens
        ended = np.isin(tokens, ends) | (length == max_new_tokens)
        scores = np.where(ended, sums, -np.inf) / divisor(length)
        finished.add(still_open, texts[:, :n], scores[:, :n], length)

        # Continue the best n that have not ended. If there are fewer, others fill the places with sums of -inf.
        sums = np.where(ended, -np.inf, sums)
        going = np.argsort(ended, axis=1, kind="stable")[:, :n]  # (P, n)
        beams, tokens, sums, texts = (_take(x, going) for x in (beams, tokens, sums, texts))

        final_length = max_new_tokens if early_stopping == "never" and length_penalty > 0 else length
        done = sums[:, 0] / divisor(final_length) <= finished.worst(still_open)
        if early_stopping and early_stopping != "never":
            done |= finished.worst(still_open) > -np.inf
        if done.all():
            break
        rows = np.arange(len(done))[:, np.newaxis] * n + beams  # (P, n), the beams' rows in the session
        still_open, rows, tokens, sums, texts = (x[~done] for x in (still_open, rows, tokens, sums, texts))
        reader.select(rows.ravel())
        logits = reader.read(tokens.reshape(-1, 1))  # (P n, 1) -> (P n, V)
    return finished.best()


def length_divisor(length: int, penalty: str, length_penalty: float) -> float:
    """What the sum of a text of `length` tokens is divided by; see above."""
    return (length if penalty == "length" else (5 + length) / 6) ** length_penalty


def _best_continuations(logits: np.ndarray, sums: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """logits (P n, V), sums (P, n) -> beams, tokens and sums of each prompt's k best continuations, (P, k), best first.

    The k best are among the k best of each beam, so only those are sorted. If fewer than k exist, K is smaller.
    """
    p, n = sums.shape
    each = min(k, logits.shape[1])
    tokens, log_p = registry.run("likeliest", logits, k=each)  # (P n, V) -> (P n, each) twice
    sums = (sums.reshape(p * n, 1) + log_p).reshape(p, n * each)
    best = np.argsort(-sums, axis=1, kind="stable")[:, :k]
    return best // each, _take(tokens.reshape(p, n * each), best), _take(sums, best)


def _take(x: np.ndarray, index: np.ndarray) -> np.ndarray:
    """x (P, N, ...), index (P, K) -> (P, K, ...): for each prompt, those of its N."""
    return x[np.arange(len(x))[:, np.newaxis], index]


class Finished:
    """The best n finished texts of each of B prompts, best first."""

    def __init__(self, prompts: int, n: int, max_new_tokens: int, pad: int):
        self._texts = np.full((prompts, n, max_new_tokens), pad)
        self._scores = np.full((prompts, n), -np.inf)  # -inf: no text yet
        self._lengths = np.zeros((prompts, n), np.int64)

    def add(self, prompts: np.ndarray, texts: np.ndarray, scores: np.ndarray, length: int) -> None:
        """texts (P, n, new) for the prompts (P,) with their scores (P, n), -inf for one that is not finished."""
        texts = np.concatenate([self._texts[prompts], texts], axis=1)  # (P, 2n, new)
        scores = np.concatenate([self._scores[prompts], scores], axis=1)
        lengths = np.concatenate([self._lengths[prompts], np.full_like(self._lengths[prompts], length)], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self._scores.shape[1]]  # (P, n)
        self._texts[prompts], self._scores[prompts] = _take(texts, best), _take(scores, best)
        self._lengths[prompts] = _take(lengths, best)

    def worst(self, prompts: np.ndarray) -> np.ndarray:
        """(P,): the score of the last of the n; -inf where there are fewer."""
        return self._scores[prompts, -1]

    def best(self) -> np.ndarray:
        """(B, new): the best text of each prompt, and no more columns than the longest of these has."""
        return self._texts[:, 0, : self._lengths[:, 0].max()]
