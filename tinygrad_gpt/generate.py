"""Generation: let a model write, one token at a time.

The model gives a score (logit) to every token that could come next. `token_probabilities` turns the scores into the
distribution that a token is drawn from, `generate` draws one, gives it to the model, and so on.
"""

import math
from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.array import next_seed, to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad


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
    """Token ids that the model writes after the prompt, each as soon as it is drawn.

    prompt_ids      (T,) integers, T >= 1
    max_new_tokens  how many tokens to write at most
    temperature     divides the logits: below 1 surer, above 1 wilder; 0 always takes the likeliest token
    top_k           draw from the k likeliest tokens only
    top_p           draw from the fewest likeliest tokens that together have probability p (after top_k)
    seed            of the draws; None takes one from the package's stream (array.manual_seed)
    stop_token      end when this token is drawn; it is not given out

    The model sees at most its last block_size tokens. It reads the prompt once (the last block_size tokens of a longer
    one) and keeps the keys and values in a cache, so that a new token costs one position. Positions are learned, which
    means that a full cache cannot slide by one: then the model starts over from the last block_size // 2 tokens. So the
    context that a token is drawn from is between half and all of block_size, and starting over costs no more, per
    token, than one more position.

    Dropout is off. Raises ValueError at once, not at the first token, for values that cannot be, and later for logits
    that are not finite.
    """
    prompt = np.asarray(prompt_ids.data if isinstance(prompt_ids, Tensor) else prompt_ids)
    _check_prompt(prompt, model.config.vocab_size)
    _check_settings(max_new_tokens, temperature, top_k, top_p)
    rng = np.random.default_rng(next_seed() if seed is None else seed)
    return _write(model, prompt.tolist(), max_new_tokens, temperature, top_k, top_p, rng, stop_token)


def _write(model, context: list[int], max_new_tokens: int, temperature, top_k, top_p, rng, stop_token) -> Iterator[int]:
    """The generator behind `generate`, whose arguments have been checked."""
    block_size = model.config.block_size
    context = context[-block_size:]  # what the model looks at: in the cache, but for the last `unseen` tokens
    unseen = len(context)
    cache = model.new_cache(batch_size=1)
    for _ in range(max_new_tokens):
        if len(context) > block_size:
            context = context[-max(1, block_size // 2) :]
            unseen = len(context)
            cache.clear()
        logits = _next_logits(model, context[-unseen:], cache)  # (V,)
        ids, probabilities = _kept_tokens(logits, temperature, top_k, top_p)
        token = int(ids[_draw(probabilities, rng)])
        if token == stop_token:
            return
        yield token
        context.append(token)
        unseen = 1


def token_probabilities(
    logits, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """logits (V,) -> probabilities (V,), float64: softmax(logits / temperature), cut down to the likeliest tokens.

    top_k keeps the k likeliest. top_p keeps, of those, the fewest likeliest whose probabilities sum to p or more
    (Holtzman et al., "The curious case of neural text degeneration", 2020, section 3.1). What is kept is scaled to sum
    to 1. Between equals the lower id is the likelier one; temperature 0 is the limit, all on the likeliest token.

    Raises ValueError for logits that are not finite.
    """
    logits = np.asarray(logits)
    ids, kept = _kept_tokens(logits, temperature, top_k, top_p)
    probabilities = np.zeros(logits.shape, np.float64)
    probabilities[ids] = kept
    return probabilities


def _kept_tokens(logits: np.ndarray, temperature: float, top_k: int | None, top_p: float | None) -> tuple:
    """The tokens that `token_probabilities` keeps, as a rising index, and their probabilities, which sum to 1.

    Sorting the whole vocabulary would take as long as a good part of the model, so only what is kept is sorted.
    """
    if not np.isfinite(logits).all():
        raise ValueError("generate: the model's logits are not finite: its weights are damaged or training diverged")
    if temperature == 0:
        return np.argmax(logits, keepdims=True), np.ones(1)
    if top_k is None and top_p is None:
        ids, kept = np.arange(len(logits)), logits
    else:
        k = len(logits) if top_k is None else min(top_k, len(logits))
        ids = np.sort(_likeliest(logits, k) if top_p is None else _nucleus(logits, temperature, k, top_p))
        kept = logits[ids]
    weights = _weights(kept, temperature)
    weights /= weights.sum()
    return ids, weights


def _weights(logits: np.ndarray, temperature: float) -> np.ndarray:
    """exp(logits / temperature) in float64, up to a factor that makes the largest 1."""
    weights = logits.astype(np.float64)  # and then in place: new memory for the whole vocabulary takes longer to get
    weights -= weights.max()
    with np.errstate(over="ignore"):  # a temperature near 0 takes all but the likeliest to -inf, as it should
        weights /= temperature
    return np.exp(weights, out=weights)


def _likeliest(logits: np.ndarray, k: int) -> np.ndarray:
    """The ids of the k likeliest tokens, the likeliest first; k is at most their number."""
    if k == len(logits):
        return np.argsort(-logits, kind="stable")
    least = np.partition(logits, len(logits) - k)[len(logits) - k]
    candidates = np.flatnonzero(logits >= least)  # more than k where several equal the least
    return candidates[np.argsort(-logits[candidates], kind="stable")[:k]]


def _nucleus(logits: np.ndarray, temperature: float, k: int, p: float) -> np.ndarray:
    """The ids of the fewest likeliest tokens that have probability p together, among the k likeliest."""
    total = _weights(logits if k == len(logits) else logits[_likeliest(logits, k)], temperature).sum()
    tried = 256
    while True:  # mostly the first few will do
        ids = _likeliest(logits, min(tried, k))
        shares = _weights(logits[ids], temperature) / total
        before = np.cumsum(shares) - shares  # what the likelier ones have together; below p, one more is needed
        if tried >= k or before[-1] >= p:
            return ids[before < p]
        tried *= 8


def _draw(probabilities: np.ndarray, rng: np.random.Generator) -> int:
    """One index, each with its probability: where a uniform number falls among the cumulative sums."""
    sums = np.cumsum(probabilities)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))


def _next_logits(model, ids: list[int], cache) -> np.ndarray:
    """The model's logits (V,) after `ids`, without a tape and without dropout."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        with no_grad():  # around each step: a block that spans a yield would reach into the caller's code
            logits = model.next_logits(np.array([ids]), cache)  # (1, T) -> (1, V)
    finally:
        if was_training:
            model.train()
    return to_numpy(logits.data)[0]


def _check_prompt(prompt: np.ndarray, vocab_size: int) -> None:
    if prompt.ndim != 1 or prompt.size == 0:
        raise ValueError(f"generate: expected a prompt of shape (T,) with T >= 1, got {prompt.shape}")
    if prompt.dtype.kind not in "iu":
        raise TypeError(f"generate: expected integer ids in the prompt, got {prompt.dtype}")
    if prompt.min() < 0 or prompt.max() >= vocab_size:
        bad = prompt[(prompt < 0) | (prompt >= vocab_size)][0]
        raise IndexError(f"generate: expected ids in 0 .. {vocab_size - 1} in the prompt, got {bad}")


def _check_settings(max_new_tokens: int, temperature: float, top_k: int | None, top_p: float | None) -> None:
    if max_new_tokens < 0:
        raise ValueError(f"generate: expected max_new_tokens >= 0, got {max_new_tokens}")
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise ValueError(f"generate: expected a finite temperature >= 0, got {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"generate: expected top_k >= 1 or None, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"generate: expected 0 < top_p <= 1 or None, got {top_p}")
