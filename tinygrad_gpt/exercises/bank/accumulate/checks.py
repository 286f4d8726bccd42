"""Batches in parts, beside the package's cross-entropy, which takes them whole."""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.exercises.writing import Case, wrong

C, V, PAD = 3, 5, -100


def whole(w, parts):
    x, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    weight = Tensor(w, requires_grad=True)
    loss = F.cross_entropy(F.matmul(Tensor(x), weight), targets, ignore_index=PAD)
    loss.backward()
    return float(loss.data), np.asarray(weight.grad)


def cases():
    for name, sizes, padding in (
        ("one part", (4,), (0,)),
        ("equal parts", (3, 3), (0, 0)),
        ("a long part and a short one", (6, 1), (0, 0)),
        ("as many rows, and padding in one", (4, 4, 4), (0, 3, 1)),
        ("a part of padding alone", (3, 2, 3), (0, 2, 0)),
    ):
        rng = np.random.default_rng(0)
        w, parts = rng.normal(size=(C, V)), []
        for size, pads in zip(sizes, padding, strict=True):
            targets = rng.integers(0, V, size)
            targets[size - pads :] = PAD
            parts.append((rng.normal(size=(size, C)), targets))
        yield Case(name, (w, parts), right=whole(w, parts))


def means(w, parts):
    """(loss, dw, tokens) of each part."""
    for x, targets in parts:
        counts = targets != PAD
        s = x[counts] @ w
        p = np.exp(s) / np.sum(np.exp(s), axis=-1, keepdims=True)
        q, n = np.eye(V)[targets[counts]], np.float64(np.sum(counts))
        yield np.sum(-np.log(p) * q) / n, x[counts].T @ (p - q) / n, n


def weighed(w, parts, weights, skip=True):
    used = [(a, loss, dw) for a, (loss, dw, n) in zip(weights, means(w, parts), strict=True) if n or not skip]
    return sum(a * loss for a, loss, _ in used), sum(a * dw for a, _, dw in used)


def tokens(parts):
    return [np.sum(targets != PAD) for _, targets in parts]


@wrong(
    "T05",
    "the mean of the parts' means",
    why="a token in a short part counts more than one in a long part",
    look="is the mean of two means the mean, if one is of one number and the other of three?",
)
def mean_of_means(w, parts):
    return weighed(w, parts, [1 / len(parts)] * len(parts), skip=False)


@wrong(
    "AC01",
    "the parts' means are added, and nothing is divided",
    why="the gradient grows with the number of parts: four parts, and the step is four times as long",
    look="the same batch in twice as many parts: what becomes of your gradient?",
)
def only_added(w, parts):
    return weighed(w, parts, [1.0] * len(parts), skip=False)


@wrong(
    "AC02",
    "parts are weighed by their rows, padding among them",
    why="padding has no loss, so a part that is half padding has only half as much to say",
    look="how many tokens of a part count?",
)
def by_rows(w, parts):
    rows = [len(targets) for _, targets in parts]
    return weighed(w, parts, [n / sum(rows) for n in rows], skip=False)


@wrong(
    "AC03",
    "each part's gradient takes the place of the one before: dw = for dw +=",
    why="only the last part is learned from",
    look="how much of the first part is in your gradient?",
)
def last_part(w, parts):
    counts = tokens(parts)
    loss = weighed(w, parts, [n / sum(counts) for n in counts])[0]
    return loss, [dw * n / sum(counts) for _, dw, n in means(w, parts) if n][-1]


@wrong(
    "AC04",
    "the loss is right, and the gradient the mean of the parts' means",
    why="the curve on the screen looks right while another loss is being minimised",
    look="of what is your gradient the derivative?",
)
def loss_alone(w, parts):
    counts = tokens(parts)
    dw = weighed(w, parts, [1 / sum(n > 0 for n in counts)] * len(parts))[1]
    return weighed(w, parts, [n / sum(counts) for n in counts])[0], dw


@wrong(
    "AC05",
    "a part of padding alone makes everything nan",
    why="its mean is 0 / 0, and 0 · nan is nan: a weight of 0 doesn't help, it must be left out",
    look="what does mean_loss return for a part of padding alone, and what is 0 times that?",
)
def with_nan(w, parts):
    counts = tokens(parts)
    return weighed(w, parts, [n / sum(counts) for n in counts], skip=False)
