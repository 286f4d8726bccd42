"""Choose the next token: the distribution to draw it from, and the draw."""

import numpy as np

from tinygrad_gpt.arguments import integer, number
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.ops.likeliest import likeliest
from tinygrad_gpt.tensor import plain_array


def token_probabilities(
    logits, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """logits (V,) -> probabilities (V,), float64: softmax(logits / temperature), cut down to the likeliest tokens.

    temperature  divides the logits: below 1 surer, above 1 wilder; 0 always takes the likeliest token
    top_k        keep the k likeliest tokens only
    top_p        of those, keep the smallest number of likeliest tokens that have probability p or more together
                 (Holtzman et al., "The curious case of neural text degeneration", 2020, section 3.1)

    The probabilities of the tokens kept are scaled to sum to 1. Of two equal ones the lower id counts as likelier.

    Raises ValueError for logits that are not finite, or of another shape.
    """
    logits = to_numpy(plain_array(logits, "token_probabilities"))
    if logits.ndim != 1 or logits.size == 0:
        raise ValueError(f"token_probabilities: expected logits of shape (V,) with V >= 1, got {logits.shape}")
    check_finite(logits)
    temperature, top_k, top_p = check_sampling("token_probabilities", temperature, top_k, top_p)
    ids, kept = _kept_tokens(logits, temperature, top_k, top_p)
    probabilities = np.zeros(logits.shape, np.float64)
    probabilities[ids] = kept
    return probabilities


def draw_token(logits: np.ndarray, rng: np.random.Generator, temperature: float, top_k, top_p) -> int:
    """Draw a token by the probabilities of `token_probabilities`; this takes one number from rng."""
    ids, probabilities = _kept_tokens(logits, temperature, top_k, top_p)
    return int(ids[_draw(probabilities, rng)])


def check_finite(logits: np.ndarray) -> None:
    if not np.isfinite(logits).all():
        raise ValueError("generate: the model's logits are not finite: its weights are damaged or training diverged")


def check_sampling(who: str, temperature, top_k, top_p) -> tuple[float, int | None, float | None]:
    """The three as Python numbers. Raises TypeError and ValueError for impossible values."""
    return (
        number(who, "temperature", temperature, low=0),
        integer(who, "top_k", top_k, low=1, or_none=True),
        number(who, "top_p", top_p, above=0, most=1, or_none=True),
    )


def _kept_tokens(logits: np.ndarray, temperature: float, top_k: int | None, top_p: float | None) -> tuple:
    """The ids that `token_probabilities` keeps, rising, and their probabilities. Only what it keeps is sorted: to sort
    the whole vocabulary would take as long as a good part of the model."""
    if temperature == 0:
        return np.argmax(logits, keepdims=True), np.ones(1)
    if top_k is None and top_p is None:
        ids, kept = np.arange(len(logits)), logits
    else:
        k = len(logits) if top_k is None else min(top_k, len(logits))
        ids = np.sort(likeliest(logits, k) if top_p is None else _nucleus(logits, temperature, k, top_p))
        kept = logits[ids]
    weights = _weights(kept, temperature)
    weights /= weights.sum()
    return ids, weights


def _weights(logits: np.ndarray, temperature: float) -> np.ndarray:
    """exp(logits / temperature) in float64, up to a factor that makes the largest 1."""
    weights = logits.astype(np.float64)  # then in place: new memory for the whole vocabulary takes longer
    weights -= weights.max()
    with np.errstate(over="ignore"):  # a temperature near 0 sends all but the likeliest to -inf, as it should
        weights /= temperature
    return np.exp(weights, out=weights)


def _nucleus(logits: np.ndarray, temperature: float, k: int, p: float) -> np.ndarray:
    """The ids of the fewest likeliest tokens that have probability p together, among the k likeliest."""
    total = _weights(logits if k == len(logits) else logits[likeliest(logits, k)], temperature).sum()
    tried = 256
    while True:  # mostly the first few suffice
        ids = likeliest(logits, min(tried, k))
        shares = _weights(logits[ids], temperature) / total
        before = np.cumsum(shares) - shares  # the sum of the likelier ones; below p, one more is needed
        if tried >= k or before[-1] >= p:
            return ids[before < p]
        tried *= 8


def _draw(probabilities: np.ndarray, rng: np.random.Generator) -> int:
    """Draw an index by its probability: where a uniform number falls among the cumulative sums."""
    sums = np.cumsum(probabilities)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
