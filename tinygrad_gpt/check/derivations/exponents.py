"""The terms of softmax (y dy - y Σ y dy), log-softmax (dy - p Σ dy), and cross-entropy: (p - q) times each row's share
of dy, with q the target distribution."""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.check.derivations.reading import Reading
from tinygrad_gpt.check.evidence import Evidence


def readings(first: Evidence) -> Iterator[Reading]:
    if first.check.op in ("softmax", "log_softmax") and first.saved:
        terms = _softmax if first.check.op == "softmax" else _log_softmax
        yield Reading("", terms, pairs=True)
        yield Reading("it is divided by the size of the axis, as a mean is", lambda e: _divided(e, terms))
        if first.check.op == "softmax":
            yield Reading("it is divided by Σ e^(x - max), which y is divided by already", _divided_softmax)
    elif first.check.op == "logsumexp":
        yield Reading("", _logsumexp, pairs=True)
    elif first.check.op == "cross_entropy" and first.saved:
        yield from _of_cross_entropy()


def _sum(a, axis):
    return np.sum(a, axis=axis, keepdims=True)


def _over_axes(a) -> dict:
    """Axes that a sum may be taken over, where one of them is meant, in words."""
    others = tuple(range(1, a.ndim)) or 0
    return {
        "over the last axis": -1,
        "over the first axis": 0,
        "over all axes": None,
        "over all axes but the first": others,
    }


def _softmax(e: Evidence) -> dict:
    y, axis, dy, x = e.saved["y"], e.saved["axis"], e.dy, e.x
    exp = np.exp(x - np.max(x, axis=axis, keepdims=True))
    n = max(1, y.shape[axis])
    made = {
        "y dy": (1, y * dy),
        "y Σ y dy": (-1, y * _sum(y * dy, axis)),
        "dy": (0, dy),
        "Σ y dy": (0, _sum(y * dy, axis)),
        "y² dy": (0, y * y * dy),
        "y Σ dy": (0, y * _sum(dy, axis)),
        "y mean(y dy)": (0, y * _sum(y * dy, axis) / n),
        "y mean(dy)": (0, y * _sum(dy, axis) / n),
        "y Σ y² dy": (0, y * _sum(y * y * dy, axis)),
        "y² Σ y dy": (0, y * y * _sum(y * dy, axis)),
        "e dy": (0, exp * dy),
        "e Σ e dy": (0, exp * _sum(exp * dy, axis)),
        "e Σ y dy": (0, exp * _sum(y * dy, axis)),
        "y Σ e dy": (0, y * _sum(exp * dy, axis)),
        "x dy": (0, x * dy),
        "x Σ x dy": (0, x * _sum(x * dy, axis)),
        "y": (0, y),
        "y²": (0, y * y),
        "y Σ y²": (0, y * _sum(y * y, axis)),
    }
    for where, axes in _over_axes(y).items():
        made[f"Σ y dy {where}"] = (0, _sum(y * dy, axes))
        made[f"y Σ y dy {where}"] = (0, y * _sum(y * dy, axes))
        made[f"y mean(y dy) {where}"] = (0, y * np.mean(y * dy, axes, keepdims=True))
        made[f"y Σ dy {where}"] = (0, y * _sum(dy, axes))
    return {name: (c, np.broadcast_to(a, y.shape)) for name, (c, a) in made.items()}


def _divided(e: Evidence, terms) -> dict:
    return {name: (c, a / max(1, e.y.shape[e.saved["axis"]])) for name, (c, a) in terms(e).items()}


def _divided_softmax(e: Evidence) -> dict:
    axis = e.saved["axis"]
    total = _sum(np.exp(e.x - np.max(e.x, axis=axis, keepdims=True)), axis)
    return {name: (c, a / total) for name, (c, a) in _softmax(e).items()}


def _log_softmax(e: Evidence) -> dict:
    y, axis, dy = e.y, e.axis, e.dy
    p, n = np.exp(y), max(1, y.shape[axis])
    made = {
        "dy": (1, dy),
        "p Σ dy": (-1, p * _sum(dy, axis)),
        "p dy": (0, p * dy),
        "p mean(dy)": (0, p * _sum(dy, axis) / n),
        "p Σ p dy": (0, p * _sum(p * dy, axis)),
        "Σ dy": (0, _sum(dy, axis)),
        "mean(dy)": (0, _sum(dy, axis) / n),
        "Σ p dy": (0, _sum(p * dy, axis)),
        "y dy": (0, y * dy),
        "y Σ dy": (0, y * _sum(dy, axis)),
        "Σ y dy": (0, _sum(y * dy, axis)),
        "p Σ y dy": (0, p * _sum(y * dy, axis)),
        "p": (0, p),
    }
    for where, axes in _over_axes(y).items():
        made[f"p Σ dy {where}"] = (0, p * _sum(dy, axes))
        made[f"p mean(dy) {where}"] = (0, p * np.mean(dy, axes, keepdims=True))
    return {name: (c, np.broadcast_to(a, y.shape)) for name, (c, a) in made.items()}


def _logsumexp(e: Evidence) -> dict:
    x, axes = e.x, e.saved["axes"]
    kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
    y = np.broadcast_to(e.y.reshape(kept), x.shape)
    p, peak = np.exp(x - y), np.max(x, axis=axes, keepdims=True)
    made = {
        "p dy": (1, p),
        "e^x dy": (0, np.exp(x)),
        "e^(x - max) dy": (0, np.exp(x - peak)),
        "e^x/y dy": (0, np.exp(x) / y),
        "dy/Σ e^x": (0, np.exp(-y)),
        "dy/n": (0, np.full_like(x, 1 / max(1, x.size // e.y.size))),
        "dy": (0, np.ones_like(x)),
        "x dy": (0, x),
        "y dy": (0, y),
        "e^(y - x) dy": (0, np.exp(y - x)),
        "p² dy": (0, p * p),
        "p (1 - p) dy": (0, p * (1 - p)),
        "x p dy": (0, x * p),
        "(softmax over all elements) dy": (0, np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x)))),
        "(softmax over the last axis) dy": (0, _over(x, -1)),
    }
    return {name: (c, a * e.upstream) for name, (c, a) in made.items()}


# --- cross-entropy ---------------------------------------------------------------------------------------------------

_DIVISORS = {  # what the rows' sum is divided by: of the case's reduction, the rows that count, and the shape of logits
    "": lambda mean, counted, shape: counted if mean else 1,
    "it is not divided by the number of rows, as the mean is": lambda mean, counted, shape: 1,
    "the mean is divided by the number of all rows, ignored ones too": lambda mean, counted, shape: (
        _rows(shape) if mean else 1
    ),
    "it is divided by the number of rows that count, whatever `reduction` says": lambda mean, counted, shape: counted,
    "it is divided by the number of all rows, whatever `reduction` says": lambda mean, counted, shape: _rows(shape),
    "the mean is divided by the size of the first axis alone": lambda mean, counted, shape: shape[0] if mean else 1,
    "it is divided by the number of classes too": lambda mean, counted, shape: (counted if mean else 1) * shape[-1],
    "the mean is divided by the size of logits, where the rows that count are meant": lambda mean, counted, shape: (
        _rows(shape) * shape[-1] if mean else 1
    ),
    "it is divided by the size of logits": lambda mean, counted, shape: _rows(shape) * shape[-1],
}


def _rows(shape) -> int:
    return int(np.prod(shape[:-1]))


def _of_cross_entropy() -> Iterator[Reading]:
    for dy_words, of_dy in _DYS.items():
        for ignored_words, ignored in (("", True), ("rows that are ignored get a gradient", False)):
            for words, divisor in _DIVISORS.items():
                otherwise = [w for w in (words, ignored_words, dy_words) if w]
                if len(otherwise) < 3:
                    terms = _cross_entropy(divisor, ignored, of_dy)
                    yield Reading("; ".join(otherwise), terms, pairs=len(otherwise) < 2, notes=_NOTES)


_DYS = {  # what stands in the place of dy
    "": lambda dy: dy,
    "dy is ignored": np.ones_like,
    "the mean of dy stands for that of each row": lambda dy: np.full_like(dy, np.mean(dy)),
    "the sum of dy stands for that of each row": lambda dy: np.full_like(dy, np.sum(dy)),
    "the first dy stands for that of each row": lambda dy: np.full_like(dy, dy.ravel()[:1].sum()),
}


def _cross_entropy(divisor, ignored: bool, of_dy):
    def terms(e: Evidence) -> dict:
        if "logits" not in e.saved:
            return {}
        logits, counts = e.saved["logits"], e.saved["counts"]
        share = of_dy(e.dy) / max(1, divisor(e.saved["reduction"] == "mean", int(np.sum(counts)), logits.shape))
        share = np.broadcast_to(share.reshape(-1, 1), (len(counts), 1))
        share = np.where(counts[:, None], share, 0.0) if ignored else share
        made = e.once("cross-entropy's terms", _of_each_row)
        return {name: (c, (a * share).reshape(logits.shape)) for name, (c, a) in made.items()}

    return terms


def _of_each_row(e: Evidence) -> dict:
    """Name -> (the number before it, the array (R, V)), of the terms before they are multiplied by the row's share."""
    z = e.saved["logits"].reshape(-1, e.saved["logits"].shape[-1])
    counts, smoothing = e.saved["counts"], e.saved["label_smoothing"]
    exp = np.exp(z - e.saved["peak"])
    p = exp / e.saved["total"]
    onehot = np.zeros_like(p)
    onehot[np.arange(len(p)), e.saved["targets"]] = 1
    largest = (z == np.max(z, axis=-1, keepdims=True)).astype(z.dtype)
    others = (1 - smoothing) * onehot + smoothing / max(1, z.shape[-1] - 1) * (1 - onehot)

    def smoothed(hot):
        return (1 - smoothing) * hot + smoothing / z.shape[-1]

    made = {
        "p": (1, p),
        "(the targets, smoothed)": (-1, smoothed(onehot)),
        "onehot": (0, onehot),
        "ε onehot": (0, smoothing * onehot),
        "(the logits)": (0, z),
        "(the targets, smoothed over the other classes alone)": (0, others),
        "e^(logits - max)": (0, exp),
        "e^logits": (0, np.exp(z)),
        "log p": (0, np.log(p)),
        "p²": (0, p * p),
        "p (1 - p)": (0, p * (1 - p)),
        "p onehot": (0, p * onehot),
        "onehot/p": (0, onehot / p),
        "1": (0, np.ones_like(p)),
        "ε": (0, smoothing + 0 * p),
        "(the numbers of the targets)": (0, e.saved["targets"][:, None] + 0 * p),
        "(onehot of the largest logit, smoothed)": (0, smoothed(largest)),
        "(softmax over the rows)": (0, _over(z, 0)),
        "(softmax over all elements)": (0, _over(z, None)),
    }
    for name, hot in _elsewhere(onehot, counts).items():
        made |= {f"({name})": (0, hot), f"({name}, smoothed)": (0, smoothed(hot) * np.any(hot, axis=-1, keepdims=True))}
    return made


def _elsewhere(onehot, counts) -> dict:
    """Ones where somebody may take the targets to be: name -> (R, V)."""
    first, ignored_too = np.zeros_like(onehot), np.any(onehot, axis=0, keepdims=True)
    first[:, :1] = 1
    number = np.sum(onehot[counts], axis=0, keepdims=True)
    rows = np.arange(len(onehot))[:, None]
    return {
        _COLUMNS: (number > 0) + 0 * onehot,
        f"{_COLUMNS}, ignored rows' too": ignored_too + 0 * onehot,
        f"{_COLUMNS}, once for each row": number + 0 * onehot,
        "the class after the target": np.roll(onehot, 1, axis=-1),
        "the class before the target": np.roll(onehot, -1, axis=-1),
        "class 0": first,
        "the next row's target": np.roll(onehot, -1, axis=0),
        "the previous row's target": np.roll(onehot, 1, axis=0),
        "the first row's target": onehot[:1] + 0 * onehot,
        "the target, in the first row alone": np.where(rows == 0, onehot, 0.0),
    }


_COLUMNS = "the whole columns of all targets"
_NOTES = {
    f"({name}{smoothed})": "p[:, t] is a column for each target: p[np.arange(R), t] is one element of each row"
    for name in (_COLUMNS, f"{_COLUMNS}, ignored rows' too", f"{_COLUMNS}, once for each row")
    for smoothed in ("", ", smoothed")
}


def _over(z, axis):
    if not z.size:
        return z
    exp = np.exp(z - np.max(z))
    return exp / np.sum(exp, axis=axis, keepdims=True)
