"""Small models for which padding counts, and some for which it doesn't."""

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong

C, V = 6, 10
RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(0, V, n) for n in (5, 2, 4)]
TOKEN, PLACE, OUT = RNG.normal(size=(V, C)), RNG.normal(size=(16, C)), RNG.normal(size=(C, V))


def attention(*, causal=False, hides=-np.inf, counted=True, masks=lambda real: real, queries=False, masked=True):
    """One layer of attention. The right one, but for what is given.

    hides    the score of what may not be seen
    counted  positions count real tokens only
    masks    which mask the rows use
    queries  the mask hides queries in place of keys
    """

    def model(ids, real):
        positions = np.maximum(np.cumsum(real, axis=1) - 1, 0) if counted else np.arange(ids.shape[1])
        x = TOKEN[ids] + PLACE[positions]
        may_see = np.ones((*ids.shape, ids.shape[1]), bool)
        if masked:
            may_see &= masks(real)[:, :, None] if queries else masks(real)[:, None, :]
        s = np.where(may_see, x @ np.swapaxes(x, 1, 2) / 3, hides)
        if causal:
            s = np.where(np.tri(ids.shape[1], dtype=bool), s, -np.inf)
        top = s.max(axis=-1, keepdims=True)
        e = np.exp(s - np.where(np.isfinite(top), top, 0))
        return (x + e / np.maximum(e.sum(axis=-1, keepdims=True), 1e-9) @ x) @ OUT

    return model


def bigram(ids, real):
    return TOKEN[ids] @ OUT


def centred(ids, real):
    x = TOKEN[ids]
    return (x - x.mean(axis=1, keepdims=True)) @ OUT


def rounds_otherwise(ids, real):
    return bigram(ids, real) * (1 + 1e-14 * ids.size)


def cases():
    for name, model, right in (
        ("a model that reads both ways, with a mask", attention(), False),
        ("a model that reads from the left, with a mask", attention(causal=True), False),
        ("a bigram model", bigram, False),
        ("a model that rounds otherwise in a larger batch", rounds_otherwise, False),
        ("no mask", attention(masked=False), True),
        ("no mask, in a model that reads from the left", attention(causal=True, masked=False), True),
        ("positions that count padding", attention(counted=False), True),
        ("positions that count padding, read from the left", attention(counted=False, causal=True), True),
        ("a mask of -8 in place of -inf", attention(hides=-8.0), True),
        ("a mask over the queries", attention(queries=True), True),
        ("a mask of the row before", attention(masks=lambda real: np.roll(real, 1, axis=0)), True),
        ("a mean over all places", centred, True),
    ):
        yield Case(name, (model, [text.copy() for text in TEXTS]), right=right)


def padded(texts, left, right):
    """ids and real, each text with `left` places of padding before it, and at least `right` after it."""
    width = left + right + max(map(len, texts))
    ids, real = np.zeros((len(texts), width), int), np.zeros((len(texts), width), bool)
    for row, text in enumerate(texts):
        ids[row, left : left + len(text)], real[row, left : left + len(text)] = text, True
    return ids, real


def found(model, texts, sides=((0, 2), (2, 0)), together=True, most=1e-9):
    """The right one, but for what is given."""
    for left, right in sides:
        for group in [texts] if together else [[text] for text in texts]:
            ids, real = padded(group, left, right)
            logits = model(ids, real)
            for row, text in enumerate(group):
                alone = model(text[None], np.ones((1, len(text)), bool))[0]
                if np.max(np.abs(logits[row, real[row]] - alone)) > most:
                    return True
    return False


@wrong(
    "PC01",
    "padding on the right only",
    why="a model that reads from the left never sees that, with a mask or without",
    look="what does token 0 of a causal model see?",
)
def right_only(model, texts):
    return found(model, texts, sides=((0, 2),))


@wrong(
    "PC02",
    "one text at a time",
    why="then every row has the same padding, and a mask that belongs to another row is right by chance",
    look="if row 0 gets the mask of row 1, when does that show?",
)
def one_at_a_time(model, texts):
    return found(model, texts, together=False)


@wrong(
    "PC03",
    "it only changes the tokens that stand in the padding",
    why="that finds what looks into the padding. A text that is pushed aside by it has other positions all the same",
    look="which position has the first real token, behind two places of padding?",
)
def other_filling(model, texts):
    for left, right in ((0, 2), (2, 0)):
        ids, real = padded(texts, left, right)
        if np.max(np.abs(model(ids, real) - model(np.where(real, ids, 7), real))[real]) > 1e-9:
            return True
    return False


@wrong(
    "PC04",
    "it compares what is said at padding's own places",
    why="nobody reads that, and a right model may say anything there",
    look="at which places may a right model say anything?",
)
def padding_too(model, texts):
    ids, real = padded(texts, 2, 2)
    other = model(np.where(real, ids, 7), real)
    return bool(np.max(np.abs(model(ids, real) - other)) > 1e-9) or found(model, texts)


@wrong(
    "PC05",
    "the tolerance hides a mask that is too weak",
    why="e^-8 is a three-thousandth: small, but not nothing, and it grows with the padding",
    look="what is e^-8, and what is rounding?",
)
def coarse(model, texts):
    return found(model, texts, most=0.2)
