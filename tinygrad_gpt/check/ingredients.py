"""The arrays that play a part in an op's derivative, by the names that a learner knows them by.

dy, the inputs, the output, and what the reference saves (rstd, p, x_hat, ...); of an op element by element, simple
functions of its output; and of some ops more, such as the probabilities in cross-entropy. An explanation of a missing
factor or term may speak of them.
"""

from collections.abc import Callable

import numpy as np


def ingredients(e) -> dict[str, np.ndarray]:
    """name -> array, of the evidence of a gradient; of an output its float inputs."""
    found = dict(e.named)
    if e.i is None:
        return found
    if len(e.inputs) == 1 and not e.call.many and e.x is not None and e.y.shape == e.x.shape:
        y = e.y
        found |= {
            "(1 - the output)": 1 - y,
            "(1 + the output)": 1 + y,
            "the output squared": y * y,
            "(1 - the output squared)": 1 - y * y,
            "the output times (1 - the output)": y * (1 - y),
        }
        if e.check.op in ("log_softmax", "log"):
            found["exp(the output)"] = np.exp(y)
    if e.check.op in _OF_OPS and e.saved:
        found |= _OF_OPS[e.check.op](e)
    return {name: a for name, a in found.items() if a.size}


def _gelu(e) -> dict:
    from tinygrad_gpt.ops import gelu

    if not isinstance(e.saved.get("approximate"), str):
        return {}
    cdf, slope = gelu._cdf_and_slope(e.x, e.saved["approximate"])
    names = ("Φ(x)", "Φ'(x)") if e.saved["approximate"] == "none" else ("½(1 + tanh u)", "the slope of ½(1 + tanh u)")
    return {names[0]: cdf, names[1]: slope, f"x times {names[1]}": e.x * slope}


def _layer_norm(e) -> dict:
    rstd = e.saved["rstd"]
    return {"rstd squared": rstd * rstd, "x_hat times weight": e.saved["x_hat"] * e.saved["weight"]}


def _cross_entropy(e) -> dict:
    logits = e.saved["logits"]
    p = np.exp(logits - e.saved["peak"].reshape(*logits.shape[:-1], 1)) / e.saved["total"].reshape(*logits.shape[:-1], 1)
    one_hot = np.zeros_like(p).reshape(-1, p.shape[-1])
    one_hot[np.arange(len(one_hot)), e.saved["targets"]] = 1
    return {"the probabilities": p, "the one-hot targets": one_hot.reshape(p.shape)}


def _embedding(e) -> dict:
    counts = np.bincount(e.saved["ids"].ravel(), minlength=len(e.right)).astype(float)
    return {"how often each id occurs": np.maximum(counts, 1).reshape(-1, 1)}


def _var(e) -> dict:
    return {"x less its mean": e.saved["x"] - e.saved["mean"] - e.saved["rest"]}


_OF_OPS: dict[str, Callable] = {
    "gelu": _gelu,
    "layer_norm": _layer_norm,
    "cross_entropy": _cross_entropy,
    "embedding": _embedding,
    "var": _var,
}
