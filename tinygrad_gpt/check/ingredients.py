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
        for name, z in (("the output", e.y), (e.name, e.x)):
            found |= {
                f"(1 - {name})": 1 - z,
                f"(1 + {name})": 1 + z,
                f"{name} squared": z * z,
                f"(1 - {name} squared)": 1 - z * z,
                f"{name} (1 - {name})": z * (1 - z),
                f"{name} (1 + {name})": z * (1 + z),
            }
        if e.check.op in ("log_softmax", "log"):
            found |= {"exp(the output)": np.exp(e.y), "(1 - exp(the output))": 1 - np.exp(e.y)}
    elif len(e.inputs) == 1 and e.x is not None:
        found[f"{e.name} squared"] = e.x * e.x
    if e.check.op in _OF_OPS and e.saved:
        found |= _OF_OPS[e.check.op](e)
    return {name: a for name, a in found.items() if a.size}


def stand_ins(e) -> dict[str, np.ndarray]:
    """Arrays that may be taken for one that backward reads: name -> array."""
    found = {}
    if e.x is not None and "axis" in e.saved and e.check.op in ("softmax", "log_softmax"):
        found["e^x, which is not divided by its sum,"] = np.exp(e.x)
        less = np.exp(e.x - np.max(e.x, axis=e.axis, keepdims=True))
        found["e^(x - max), which is not divided by its sum,"] = less
    if "x_hat" in e.saved:
        found["x - mean"] = e.saved["x_hat"] / e.saved["rstd"]
        found["weight x̂"] = e.saved["x_hat"] * e.saved["weight"]
        found["the variance"] = e.saved["rstd"] ** -2.0
    return found


def upstream(e) -> np.ndarray | None:
    """dy as it meets an op element by element: as it is; of an op that reduces axes, stretched along those; of
    cross-entropy, the share of each row. None where dy meets no elements."""
    if e.check.op == "cross_entropy" and e.saved:
        counts = e.saved["counts"]
        each = e.dy / np.sum(counts) if e.saved["reduction"] == "mean" else e.dy
        return np.broadcast_to(np.where(counts, each.ravel(), 0.0).reshape(*e.right.shape[:-1], 1), e.right.shape)
    if "keepdims" in e.used and "axes" in e.saved:
        kept = [1 if i in e.saved["axes"] else n for i, n in enumerate(e.right.shape)]
        return np.broadcast_to(e.dy.reshape(kept), e.right.shape)
    try:
        fits = e.dy.shape == np.broadcast_shapes(*(a.shape for a in e.inputs.values()))
    except ValueError:
        return None
    return e.dy if fits else None


def _gelu(e) -> dict:
    from tinygrad_gpt.ops import gelu

    if not isinstance(e.saved.get("approximate"), str):
        return {}
    cdf, slope = gelu._cdf_and_slope(e.x, e.saved["approximate"])
    return {"Φ(x)": cdf, "Φ'(x)": slope, "x Φ'(x)": e.x * slope}  # or what stands for Φ


def _layer_norm(e) -> dict:
    rstd = e.saved["rstd"]
    return {"rstd squared": rstd * rstd, "x_hat times weight": e.saved["x_hat"] * e.saved["weight"]}


def _cross_entropy(e) -> dict:
    logits = e.saved["logits"]
    p = np.exp(logits - e.saved["peak"].reshape(*logits.shape[:-1], 1)) / e.saved["total"].reshape(
        *logits.shape[:-1], 1
    )
    one_hot = np.zeros_like(p).reshape(-1, p.shape[-1])
    one_hot[np.arange(len(one_hot)), e.saved["targets"]] = 1 - e.saved["label_smoothing"]
    one_hot += e.saved["label_smoothing"] / p.shape[-1]
    return {
        "p": p,
        "p squared": p * p,
        "p (1 - p)": p * (1 - p),
        "the targets (one-hot, smoothed)": one_hot.reshape(p.shape),
    }


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
