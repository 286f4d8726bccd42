"""Texts read in pieces, beside the package's attention, which reads them at once."""

import copy

import numpy as np

from tinygrad_gpt.exercises.writing import Case, wrong
from tinygrad_gpt.kernels import registry

D = 4


def text(length, seed=0):
    return np.random.default_rng(seed).normal(size=(3, length, D))


def pieces_of(y, pieces):
    """y (T, D) by the tokens of each piece."""
    ends = np.cumsum(pieces)
    return {f"token {b - n}" + f" to {b - 1}" * (n > 1): y[b - n : b] for n, b in zip(pieces, ends, strict=True)}


def at_once(qkv):
    y, _ = registry.reference("attention").forward(*(a[None, None] for a in qkv), causal=True)
    return y[0, 0]


def cases():
    for name, pieces in (
        ("one token at a time", (1, 1, 1, 1)),
        ("a prompt alone", (5,)),
        ("a prompt, then one token at a time", (3, 1, 1, 1)),
        ("pieces of two", (2, 2, 2)),
        ("a prompt, then a long piece", (2, 4)),
    ):
        qkv = text(sum(pieces))
        yield Case(name, (qkv, pieces), right=pieces_of(at_once(qkv), pieces))
    texts = text(4), text(4, seed=1)
    yield Case("two texts, turn by turn", (texts, (2, 2)), right=named([at_once(x) for x in texts], (2, 2)))


def run(module, qkv, pieces):
    lists = {name: copy.copy(x) for name, x in vars(module.Cache).items() if isinstance(x, list)}
    Cache = type("Cache", (module.Cache,), lists)  # what a class keeps should not outlive a case
    if isinstance(qkv, tuple):
        return turn_by_turn([Cache() for _ in qkv], qkv, pieces)
    cache, end, ys = Cache(), 0, []
    buffers = {n: np.empty((3, n, D)) for n in set(pieces)}  # one for all pieces of a size
    for n in pieces:
        buffers[n][:] = qkv[:, end : end + n]
        ys.append(np.array(cache.attend(*buffers[n])))
        end += n
    return pieces_of(np.concatenate(ys), pieces)


def turn_by_turn(caches, texts, pieces):
    found, end = [[] for _ in texts], 0
    for n in pieces:
        for cache, qkv, ys in zip(caches, texts, found, strict=True):
            ys.append(cache.attend(*qkv[:, end : end + n].copy()))
        end += n
    return named([np.concatenate(ys) for ys in found], pieces)


def named(texts, pieces):
    """The pieces of several texts."""
    return {f"text {i}, {name}": y for i, ys in enumerate(texts) for name, y in pieces_of(ys, pieces).items()}


class Base:
    """The right one, in parts."""

    def __init__(self):
        self.k, self.v = np.empty((0, D)), np.empty((0, D))

    def kept(self, before, new):
        return np.concatenate([before, new])

    def may_see(self, old, new):
        return np.tri(new, old + new, old, dtype=bool)

    def attend(self, q, k, v):
        self.k, self.v = self.kept(self.k, k), self.kept(self.v, v)
        s = q @ self.k.T / np.sqrt(D)
        s = np.where(self.may_see(len(self.k) - len(q), len(q)), s, -np.inf)
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True) @ self.v


@wrong(
    "KV01",
    "the mask's triangle starts in the corner, as if the cache were empty",
    why="the first new token then sees the first token of the text and nothing else",
    look="how many keys may the first new token see, if three are in the cache?",
)
class MaskFromTheCorner(Base):
    def may_see(self, old, new):
        return np.tri(new, old + new, dtype=bool)


@wrong(
    "KV02",
    "no mask: the tokens of a piece see all of it",
    why="for one new token nothing has to be hidden; but the first token of a prompt must not see the last",
    look="what does the first token of a prompt see?",
)
class NoMask(Base):
    def may_see(self, old, new):
        return np.ones((new, old + new), bool)


@wrong(
    "KV03",
    "each piece sees itself alone: nothing is kept",
    why="the new token forgets the text that it goes on with",
    look="how many keys does the second piece see?",
)
class Forgetful(Base):
    def kept(self, before, new):
        return new.copy()


@wrong(
    "KV04",
    "new keys stand before the old ones",
    why="for the mask, the last columns are the newest; in this order it hides old tokens and shows new ones",
    look="which column of the scores is the newest token's?",
)
class NewOnesFirst(Base):
    def kept(self, before, new):
        return np.concatenate([new, before])


@wrong(
    "KV05",
    "the caller's arrays are kept, not copies",
    why="when the caller writes the next piece into them, the past changes too",
    look="is what you keep an array of your own?",
)
class KeepsTheCallers(Base):
    def __init__(self):
        self.k, self.v = [], []

    def attend(self, q, k, v):
        self.k.append(k)
        self.v.append(v)
        base = Base()
        base.k, base.v = (np.concatenate([np.empty((0, D)), *parts[:-1]]) for parts in (self.k, self.v))
        return base.attend(q, k, v)


@wrong(
    "KV06",
    "all caches share one list: it belongs to the class",
    why="a list in the body of a class is made once, for all its objects; two texts run into each other",
    look="when is a list made that stands in the body of the class, and when one in __init__?",
)
class Shared(Base):
    keys, values = [], []

    def attend(self, q, k, v):
        base = Base()
        base.k, base.v = (np.concatenate([np.empty((0, D)), *parts]) for parts in (self.keys, self.values))
        self.keys.append(k.copy())
        self.values.append(v.copy())
        return base.attend(q, k, v)
