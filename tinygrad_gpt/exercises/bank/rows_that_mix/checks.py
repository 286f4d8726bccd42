"""Small models whose rows mix, and some whose rows don't."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong

B, T, C, V = 3, 5, 6, 10
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, V, (B, T))
TOKEN, PLACE, OUT = RNG.normal(size=(V, C)), RNG.normal(size=(16, C)), RNG.normal(size=(C, V))


def embedded(ids):
    return TOKEN[ids] + PLACE[: ids.shape[1]]


def attended(x, may_see):
    """Attention along the last axis but one."""
    s = np.where(may_see, x @ np.swapaxes(x, -1, -2), -np.inf)
    p = np.exp(s - s.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True) @ x


def right_attention(ids):
    return attended(embedded(ids), np.tri(ids.shape[1], dtype=bool)) @ OUT


def bigram(ids):
    return TOKEN[ids] @ OUT


def rounds_otherwise(ids):
    return bigram(ids) * (1 + 1e-14 * len(ids))


def batch_norm(ids):
    x = embedded(ids)
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1) @ OUT


def across_rows(ids):
    """The time axis taken for the batch's: row b sees the rows before it."""
    x = np.swapaxes(embedded(ids), 0, 1)
    return np.swapaxes(attended(x, np.tri(len(ids), dtype=bool)), 0, 1) @ OUT


def carried_on(ids):
    """A running sum that is not set back between rows."""
    return np.cumsum(embedded(ids).reshape(-1, C), axis=0).reshape(*ids.shape, C) @ OUT


def place_in_batch(ids):
    return (TOKEN[ids] + PLACE[: len(ids), None]) @ OUT


def leak(to, source, size=1.0):
    def model(ids):
        y = right_attention(ids)
        if len(ids) > max(to, source):
            y[to] += size * bigram(ids)[source]
        return y

    return model


def cases():
    for name, model, right in (
        ("a model whose rows are apart", right_attention, False),
        ("a bigram model", bigram, False),
        ("a model that rounds otherwise in a larger batch", rounds_otherwise, False),
        ("a norm over the rows of the batch", batch_norm, True),
        ("attention along the batch", across_rows, True),
        ("a state that goes on from row to row", carried_on, True),
        ("positions added along the batch", place_in_batch, True),
        ("a leak from row 0 to row 2 alone", leak(2, 0), True),
        ("a leak from the last row to row 0 alone", leak(0, 2), True),
        ("a small leak from row 1 to row 0", leak(0, 1, 1e-4), True),
    ):
        yield Case(name, (model, IDS.copy()), right=right)


def differ(a, b, most=1e-9):
    return bool(np.max(np.abs(a - b)) > most)


@wrong(
    "RM01",
    "it only puts the rows into another order",
    why="a mean over the batch is the same in any order: a norm over the rows stays unseen",
    look="which sums over the batch does another order change?",
)
def another_order(model, ids):
    return differ(model(ids[::-1])[::-1], model(ids))


@wrong(
    "RM02",
    "it only changes the tokens of other rows",
    why="a row that sees its place in the batch doesn't care for its neighbours",
    look="what does a row see whose positions run along the batch?",
)
def other_tokens(model, ids):
    for row in range(len(ids)):
        changed = (ids + 1) % V
        changed[row] = ids[row]
        if differ(model(changed)[row], model(ids)[row]):
            return True
    return False


@wrong(
    "RM03",
    "only the first row is looked at",
    why="a state that goes on from row to row is right in row 0, and so is a place of 0",
    look="in which row does a state that is not set back show first?",
)
def first_row(model, ids):
    return differ(model(ids[:1])[0], model(ids)[0])


@wrong(
    "RM04",
    "numbers must be equal to the last digit",
    why="a product of another size adds in another order, and rounds otherwise",
    look="is your probe silent for a right model that rounds otherwise?",
)
def to_the_last_digit(model, ids):
    return any(differ(model(ids[b : b + 1])[0], model(ids)[b], most=0) for b in range(len(ids)))


@wrong(
    "RM05",
    "the batch is one row, many times over",
    why="what rows take from each other is then what they have themselves: a mean over equal rows is the row",
    look="what is the mean of three equal rows?",
)
def equal_rows(model, ids):
    same = np.repeat(ids[:1], len(ids), axis=0)
    return differ(model(same), model(same[:1]))
