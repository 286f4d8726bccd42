"""Small models that see the future, and some that don't: one layer of attention each, or less."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong

T = 8
IDS = np.random.default_rng(0).integers(0, 10, T)
ALL = np.ones((T, T), bool)
CAUSAL = np.tril(ALL)


def attention(may_see, masked=-np.inf):
    """One layer of attention on random embeddings; may_see (T, T): which keys a query may look at."""
    rng = np.random.default_rng(1)
    token, place, out = rng.normal(size=(10, 6)), rng.normal(size=(T, 6)), rng.normal(size=(6, 10))
    q, k, v = rng.normal(size=(3, 6, 6))

    def model(ids):
        x = token[ids] + place
        s = np.where(may_see, (x @ q) @ (x @ k).T / 6, masked)
        p = np.exp(s - s.max(axis=-1, keepdims=True))
        return (x + p / p.sum(axis=-1, keepdims=True) @ x @ v) @ out

    return model


def over_time(ids):
    """Normalised over all places of the text instead of over the channels."""
    x = np.random.default_rng(2).normal(size=(10, 10))[ids]
    return (x - x.mean(axis=0)) / x.std(axis=0)


def bigram(ids):
    return np.random.default_rng(3).normal(size=(10, 10))[ids]


def only_at(t, s):
    may_see = CAUSAL.copy()
    may_see[t, s] = True
    return attention(may_see)


def cases():
    for name, model, right in (
        ("a model with a right mask", attention(CAUSAL), False),
        ("a model that sees the last three tokens", attention(CAUSAL & ~np.tril(ALL, -3)), False),
        ("a bigram model", bigram, False),
        ("no mask", attention(ALL), True),
        ("a mask that is off by one", attention(np.tril(ALL, 1)), True),
        ("a mask of -8 instead of -inf", attention(CAUSAL, masked=-8.0), True),
        ("a norm over the time axis", over_time, True),
        ("a leak from place 2 to place 0 alone", only_at(0, 2), True),
        ("a leak from place 1 to place 0 alone", only_at(0, 1), True),
        ("a leak from the last place to the one before", only_at(T - 2, T - 1), True),
    ):
        yield Case(name, (model, IDS.copy()), right=right)


def changed_at(ids, place):
    ids = ids.copy()
    ids[place] = (ids[place] + 1) % 10
    return ids


@wrong(
    "LP01",
    "it looks at the row just before the changed token alone",
    why="a token may leak further back, past rows that are right",
    look="to which rows can token s leak?",
)
def row_before(model, ids):
    return any(not np.allclose(model(changed_at(ids, s))[s - 1], model(ids)[s - 1]) for s in range(1, T))


@wrong(
    "LP02",
    "it compares the rows after the change too",
    why="a model that sees the past must change there",
    look="which rows may change when token s does?",
)
def all_rows(model, ids):
    return any(not np.allclose(model(changed_at(ids, s)), model(ids)) for s in range(1, T))


@wrong(
    "LP03",
    "only the last token is changed",
    why="a leak between two early places stays unseen, and so does that of a mask which is right at the end",
    look="which tokens can leak into an early place?",
)
def last_token(model, ids):
    return not np.allclose(model(changed_at(ids, T - 1))[: T - 1], model(ids)[: T - 1])


@wrong(
    "LP04",
    "the tolerance hides a small leak",
    why="a future that is weighed with e^-8 is seen nonetheless, and training finds it",
    look="how exactly should a row stay as it is, if nothing of it changed?",
)
def coarse(model, ids):
    return any(np.max(np.abs(model(changed_at(ids, s))[:s] - model(ids)[:s])) > 0.1 for s in range(1, T))
