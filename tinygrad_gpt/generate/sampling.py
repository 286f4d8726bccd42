"""Choose the next token: the distribution to draw it from, and the draw."""

import numpy as np

from tinygrad_gpt.arguments import integer, number
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.ops.likeliest import likeliest
from tinygrad_gpt.tensor import plain_array

FEW = 256  # weights; so many are sorted in less time than it takes to look where to cut them


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
    ids, weights = _kept_tokens(logits, temperature, top_k, top_p)
    probabilities = np.zeros(logits.shape, np.float64)
    probabilities[ids] = weights / weights.sum()
    return probabilities


def draw_token(logits: np.ndarray, rng: np.random.Generator, temperature: float, top_k, top_p) -> int:
    """Draw a token by the probabilities of `token_probabilities`; this takes one number from rng, or, at temperature 0,
    none."""
    if temperature == 0:
        return int(np.argmax(logits))
    ids, weights = _kept_tokens(logits, temperature, top_k, top_p)
    return int(ids[_draw(weights, rng)])


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
    """The ids that `token_probabilities` keeps, rising, and weights that are their probabilities up to a factor."""
    if temperature == 0:
        return np.argmax(logits, keepdims=True), np.ones(1)
    if top_k is None or top_k >= len(logits):
        ids = np.arange(len(logits))
    else:
        ids = np.sort(likeliest(logits, top_k))
        logits = logits[ids]
    weights = _weights(logits, temperature)
    if top_p is not None:
        places = _nucleus(weights, top_p)
        ids, weights = ids[places], weights[places]
    return ids, weights


def _weights(logits: np.ndarray, temperature: float) -> np.ndarray:
    """exp(logits / temperature) in float64, up to a factor that makes the largest 1."""
    weights = logits.astype(np.float64)  # then in place: new memory for the whole vocabulary takes longer
    weights -= weights.max()
    if temperature != 1:
        with np.errstate(over="ignore"):  # a temperature near 0 sends all but the likeliest to -inf, as it should
            weights /= temperature
    return np.exp(weights, out=weights)


def _nucleus(weights: np.ndarray, p: float) -> np.ndarray:
    """The places, rising, of the fewest largest weights that are the share p of all together; of equal ones the first.

    The smallest of them lies in `rest`, and all that is larger sums to `above`. To sort all weights would take as long
    as a good part of the model: here those on one side of their mean are left out, time after time.
    """
    enough, above, rest = p * weights.sum(), 0.0, weights
    while rest.size > FEW:
        mean = rest.mean()
        larger = np.compress(rest > mean, rest)  # a third of the time of rest[rest > mean]
        if larger.size in (0, rest.size):  # all are equal, but for rounding of the mean
            break
        if above + larger.sum() < enough:
            above, rest = above + larger.sum(), np.compress(rest <= mean, rest)
        else:
            rest = larger
    rest = np.sort(rest)[::-1]
    before = np.cumsum(rest) - rest + above  # the sum of the larger ones; below enough, one more is needed
    kept = rest[before < enough]
    (places,) = np.nonzero(weights >= kept[-1])
    equal = np.flatnonzero(weights[places] == kept[-1])
    return np.delete(places, equal[np.count_nonzero(kept == kept[-1]) :])


def _draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    """Draw an index by its weight: where a uniform number falls among the cumulative sums."""
    sums = np.cumsum(weights)
    return int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
