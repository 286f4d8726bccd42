"""Small models with caches, right ones and wrong ones. What a cache holds is their own affair."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong

C, V = 6, 10
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, V, 8)
TOKEN, PLACE, OUT = RNG.normal(size=(V, C)), RNG.normal(size=(32, C)), RNG.normal(size=(C, V))


def attention(*, first=lambda sizes: sum(sizes), may_see=None, kept=None):
    """One layer of attention; a cache is (its vectors, the sizes of the pieces). The right one, but for what is given.

    first    the sizes of the pieces so far -> the position of the next token
    may_see  (old, new) -> (new, old + new) booleans
    kept     how many of the old vectors are kept
    """

    def model(ids, cache):
        old, sizes = cache or (np.empty((0, C)), ())
        old = old if kept is None else old[-kept:]
        x = TOKEN[ids] + PLACE[first(sizes) + np.arange(len(ids))]
        xs = np.concatenate([old, x])
        seen = (may_see if may_see and len(sizes) else triangle)(len(old), len(ids))
        s = np.where(seen, x @ xs.T / 3, -np.inf)
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        return (x + e / e.sum(axis=-1, keepdims=True) @ xs) @ OUT, (xs, (*sizes, len(ids)))

    return model


def triangle(old, new):
    return np.tri(new, old + new, old, dtype=bool)


def bigram(ids, cache):
    return TOKEN[ids] @ OUT, None


def rounds_otherwise(ids, cache):
    return bigram(ids, cache)[0] * (1 + 1e-14 * len(ids)), None


def running_sum(ids, cache):
    x = np.cumsum(TOKEN[ids], axis=0) + (0 if cache is None else cache)
    return x @ OUT, x[-1]


def written_into(ids, cache):
    """The state's own array is changed, and given back."""
    state, logits = np.zeros(C) if cache is None else cache, []
    for i in ids:
        state += TOKEN[i]
        logits.append(state @ OUT)
    return np.array(logits), state


def cases():
    for name, model, right in (
        ("a right cache", attention(), False),
        ("a model without need of a cache", bigram, False),
        ("a running sum", running_sum, False),
        ("a model that rounds otherwise in pieces", rounds_otherwise, False),
        ("positions that start over", attention(first=lambda sizes: 0), True),
        ("positions that are off by one behind the cache", attention(first=lambda s: sum(s) + (len(s) > 0)), True),
        ("positions that go on from the last piece alone", attention(first=lambda s: s[-1] if s else 0), True),
        ("positions that count pieces", attention(first=len), True),
        ("no mask behind the cache", attention(may_see=lambda old, new: np.ones((new, old + new), bool)), True),
        ("a mask that starts in the corner", attention(may_see=lambda old, new: np.tri(new, old + new) > 0), True),
        ("a cache that keeps five tokens", attention(kept=5), True),
        ("a cache that is written into", written_into, True),
    ):
        yield Case(name, (model, IDS.copy()), right=right)


def found(model, ids, ways=((1,) * 8, (3, 1, 1, 3), (2, 3, 3)), twice=True, most=1e-9):
    """The right one, but for what is given."""
    whole = model(ids, None)[0]
    for sizes in ways:
        cache, end = None, 0
        for size in sizes:
            begin, end = end, end + size
            if twice:
                model((ids[begin:end] + 1) % V, cache)
            logits, cache = model(ids[begin:end], cache)
            if np.max(np.abs(logits - whole[begin:end])) > most:
                return True
    return False


@wrong(
    "CD01",
    "one token at a time only",
    why="a single new token needs no mask; a piece of three does",
    look="what must the first token of a piece not see?",
)
def one_by_one(model, ids):
    return found(model, ids, ways=((1,) * 8,))


@wrong(
    "CD02",
    "two pieces only",
    why="what counts only the last piece, or only pieces, may be right for the second and wrong for the third",
    look="if positions go on from the last piece alone, in which piece is that first wrong?",
)
def two_pieces(model, ids):
    return found(model, ids, ways=((1, 7), (4, 4)))


@wrong(
    "CD03",
    "a cache is never used twice",
    why="a cache that is written into holds the first continuation when the second begins",
    look="what does beam search do with one cache and two next tokens?",
)
def never_twice(model, ids):
    return found(model, ids, twice=False)


@wrong(
    "CD04",
    "only the beginning of the text is read",
    why="a cache that forgets what is old is right as long as there is nothing old",
    look="how long must a text be, so that something is dropped from a cache of five?",
)
def short(model, ids):
    return found(model, ids[:5], ways=((1,) * 5, (2, 2, 1), (1, 3, 1)))


@wrong(
    "CD05",
    "numbers must be equal to the last digit",
    why="a product of one row and one of eight add in another order, and round otherwise",
    look="is your probe silent for a right model that rounds otherwise?",
)
def to_the_last_digit(model, ids):
    return found(model, ids, most=0.0)
