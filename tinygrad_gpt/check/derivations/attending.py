"""Attention's terms. With dS = P dP - P Σ P dP, the sum over the keys: dq = scale dS k, dk = scale dSᵀ q, dmask = dS;
and dv = Zᵀ dy. (Z: the weights P after dropout, dZ = dy vᵀ, dP: dropout's backward of dZ)"""

import math
from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.check.derivations.reading import Reading
from tinygrad_gpt.check.evidence import Evidence
from tinygrad_gpt.ops._shapes import sum_to_shape
from tinygrad_gpt.random_stream import keep_mask

_SCALES = {  # what stands in the place of the scale: of the scale and D
    "the scale is left out": lambda s, d: 1.0,
    "the scale is multiplied in twice": lambda s, d: s * s,
    "it is divided by the scale, where it should be multiplied": lambda s, d: 1 / s,
    "it is divided by D, where the scale is meant (1/√D, if none is given)": lambda s, d: 1 / d,
    "it is divided by √D, whatever `scale` says": lambda s, d: 1 / math.sqrt(d),
}


def readings(first: Evidence) -> Iterator[Reading]:
    if first.check.op != "attention" or "p" not in first.saved or first.name not in ("q", "k", "v", "mask"):
        return
    if first.name == "v":
        yield Reading("", _of_v, pairs=True)
        return
    of = "dS, the gradient of the scores,"
    scale = (lambda s, d: s) if first.name != "mask" else lambda s, d: 1.0
    yield Reading("", _of_scores(scale), True, of)
    if first.name == "mask":
        yield Reading("the scale is multiplied in, which the mask does not have", _of_scores(lambda s, d: s), of=of)
    else:
        for words, other in _SCALES.items():
            yield Reading(words, _of_scores(other), of=of)


def _of_scores(scale):
    def terms(e: Evidence) -> dict:
        if "p" not in e.saved:
            return {}
        return {name: (c, _outward(e, ds, scale)) for name, (c, ds) in _ds(e).items()}

    return terms


def _outward(e: Evidence, ds, scale):
    """The gradient of q, k or the mask, if ds is that of the scores."""
    if e.name == "mask":
        return sum_to_shape(ds, e.right.shape) * scale(e.saved["scale"], 1)
    product = ds @ e.saved["k"] if e.name == "q" else ds.swapaxes(-1, -2) @ e.saved["q"]
    return product * scale(e.saved["scale"], e.right.shape[-1])


def _dropped(e: Evidence, a, scaled: bool = True):
    dropout = e.saved["dropout"]
    if not dropout:
        return a
    keep = keep_mask(e.saved["seed"], a.shape, dropout, like=a)
    return np.where(keep, a / (1 - dropout) if scaled else a, 0.0)


def _sum(a, axis=-1):
    return np.sum(a, axis=axis, keepdims=True)


def _ds(e: Evidence) -> dict:
    """Terms of dS, and others in their places."""
    p, dz = e.saved["p"], e.call.dys[0] @ e.saved["v"].swapaxes(-1, -2)
    dp, unscaled = _dropped(e, dz), _dropped(e, dz, scaled=False)
    keys, queries = max(1, p.shape[-1]), -2
    return {
        "P dP": (1, p * dp),
        "P Σ P dP": (-1, p * _sum(p * dp)),
        "dP": (0, dp),
        "Σ P dP": (0, _sum(p * dp) + 0 * p),
        "P² dP": (0, p * p * dp),
        "P Σ dP": (0, p * _sum(dp)),
        "P mean(P dP)": (0, p * _sum(p * dp) / keys),
        "P mean(dP)": (0, p * _sum(dp) / keys),
        "P (Σ P dP over the queries)": (0, p * _sum(p * dp, queries)),
        "P (Σ P dP over all)": (0, p * np.sum(p * dp)),
        "P² Σ P dP": (0, p * p * _sum(p * dp)),
        "P Σ P² dP": (0, p * _sum(p * p * dp)),
        "P": (0, p),
        "P dZ": (0, p * dz),
        "P Σ P dZ": (0, p * _sum(p * dz)),
        "P (dP without 1/(1-dropout))": (0, p * unscaled),
        "P Σ P (dP without 1/(1-dropout))": (0, p * _sum(p * unscaled)),
    }


def _of_v(e: Evidence) -> dict:
    if "p" not in e.saved:
        return {}
    p, dy = e.saved["p"], e.call.dys[0]
    dp = _dropped(e, dy @ e.saved["v"].swapaxes(-1, -2))
    ds = p * (dp - _sum(p * dp))
    weights = {
        "Zᵀ dy": (1, _dropped(e, p)),
        "Pᵀ dy": (0, p),
        "(P with dropout, without 1/(1-dropout))ᵀ dy": (0, _dropped(e, p, scaled=False)),
        "dSᵀ dy": (0, ds),
        "dPᵀ dy": (0, dp),
        "scale Zᵀ dy": (0, _dropped(e, p) * e.saved["scale"]),
    }
    return {name: (c, w.swapaxes(-1, -2) @ dy) for name, (c, w) in weights.items()}
