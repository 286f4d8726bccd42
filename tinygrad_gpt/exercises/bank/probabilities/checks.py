"""Distributions to draw from, beside the package's."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong
from tinygrad_gpt.generate import token_probabilities

LOGITS = np.log([0.08, 0.42, 0.05, 0.25, 0.2])


def cases():
    many = np.random.default_rng(0).normal(size=12)
    for name, logits, *settings in (
        ("as it is", LOGITS, 1.0, None, None),
        ("a temperature of 0.5", many, 0.5, None, None),
        ("a temperature of 2", many, 2.0, None, None),
        ("a temperature of 0", many, 0.0, None, None),
        ("the three likeliest", LOGITS, 1.0, 3, None),
        ("more than there are", LOGITS, 1.0, 50, None),
        ("negative logits, the two likeliest", LOGITS - 5, 1.0, 2, None),
        ("a top_p of 0.6", LOGITS, 1.0, None, 0.6),
        ("a top_p below the likeliest", LOGITS, 1.0, None, 0.1),
        ("a top_p of 1", LOGITS, 1.0, None, 1.0),
        ("a high temperature, and top_p", many, 3.0, None, 0.8),
        ("top_k and top_p", LOGITS, 1.0, 3, 0.7),
        ("all three", many, 0.7, 6, 0.9),
        ("logits of 1000", 1000 + many, 1.0, 4, 0.9),
    ):
        yield Case(name, (logits, *settings), right=token_probabilities(logits, *settings))


def softmax(s):
    e = np.exp(s - np.max(s))
    return e / np.sum(e)


def nucleus(p, top_p):
    """Which tokens are kept."""
    return np.array([np.sum(p[p > one]) for one in p]) < top_p


def chosen(logits, temperature, top_k, top_p, *, removed=-np.inf):
    """The right one, but for what is given."""
    if temperature == 0:
        return np.eye(len(logits))[np.argmax(logits)]
    s = logits / temperature
    if top_k is not None and top_k < len(s):
        s = np.where(s >= np.sort(s)[-top_k], s, removed)
    return softmax(s) if top_p is None else softmax(np.where(nucleus(softmax(s), top_p), s, removed))


@wrong(
    "PR01",
    "top_p leaves out the token that crosses the line",
    why="then the kept ones have less than p, and none at all is kept where the likeliest alone has more",
    look="what is kept of 0.5, 0.3, 0.2 with a top_p of 0.6, and what with one of 0.4?",
)
def without_the_last(logits, temperature=1.0, top_k=None, top_p=None):
    p = chosen(logits, temperature, top_k, None)
    if top_p is None or temperature == 0:
        return p
    order = np.argsort(-p)
    kept = np.zeros(len(p))
    inside = order[np.cumsum(p[order]) <= top_p]
    kept[inside] = p[inside]
    return kept / np.sum(kept)


@wrong(
    "PR02",
    "top_p is taken before the temperature",
    why="a high temperature spreads the probability, so that more tokens are needed for p",
    look="whose probabilities are summed for top_p?",
)
def nucleus_before(logits, temperature=1.0, top_k=None, top_p=None):
    if temperature == 0 or top_p is None:
        return chosen(logits, temperature, top_k, top_p)
    in_k = chosen(logits, 1.0, top_k, None)
    return softmax(np.where(nucleus(in_k, top_p) & (in_k > 0), logits / temperature, -np.inf))


@wrong(
    "PR03",
    "what is kept is not divided by its sum",
    why="the probabilities that were cut off are missing: a draw may come to no token at all",
    look="what do your probabilities add up to?",
)
def not_divided(logits, temperature=1.0, top_k=None, top_p=None):
    return np.where(chosen(logits, temperature, top_k, top_p) > 0, chosen(logits, temperature, None, None), 0.0)


@wrong(
    "PR04",
    "the temperature multiplies the logits",
    why="below 1 it should make the model surer, which means larger differences between logits",
    look="which way does a temperature of 0.5 change the likeliest token's probability?",
)
def multiplied(logits, temperature=1.0, top_k=None, top_p=None):
    return chosen(logits * temperature if temperature else logits, float(temperature > 0), top_k, top_p)


@wrong(
    "PR05",
    "what is cut off gets a logit of 0",
    why="e^0 is 1, and not 0: beside negative logits that is the likeliest token of all",
    look="which logit has the probability 0?",
)
def logit_of_zero(logits, temperature=1.0, top_k=None, top_p=None):
    return chosen(logits, temperature, top_k, top_p, removed=0.0)


@wrong(
    "PR06",
    "the probabilities stay sorted",
    why="index i of what you return is token i, not the i-th likeliest: the text becomes noise",
    look="which token is the likeliest, by the logits and by yours?",
)
def sorted_ones(logits, temperature=1.0, top_k=None, top_p=None):
    return np.sort(chosen(logits, temperature, top_k, top_p))[::-1]
