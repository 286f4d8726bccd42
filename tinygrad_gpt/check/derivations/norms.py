"""Layer norm's terms: dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)) with dx̂ = dy weight, the means over a row."""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.check.derivations.reading import Reading
from tinygrad_gpt.check.evidence import Evidence


def readings(first: Evidence) -> Iterator[Reading]:
    op, name = first.check.op, first.name
    if op not in ("layer_norm", "add_layer_norm") or name not in ("x", "residual") or "x_hat" not in first.saved:
        return
    yield Reading("", _terms(), pairs=True)
    yield Reading("weight is multiplied in at the end, not before the means are taken", _terms(0, 1, 1), pairs=True)
    yield Reading("weight is multiplied in at the end once more", _terms(1, 1, 1))
    yield Reading("weight is left out", _terms(0))
    yield Reading("dy is multiplied by weight twice", _terms(2))
    yield Reading("r, one over the standard deviation, is left out", _terms(1, 0), pairs=True)
    yield Reading("weight and r, one over the standard deviation, are left out", _terms(0, 0))
    yield Reading("r, one over the standard deviation, is squared", _terms(1, 2))
    yield Reading("it is divided by r, one over the standard deviation, where r is a factor", _terms(1, -1))


def _terms(of_weight: int = 1, power: int = 1, weight_last: int = 0):
    """With dx̂ = dy weight**of_weight; all of it times r**power, and times weight**weight_last."""

    def terms(e: Evidence) -> dict:
        if "x_hat" not in e.saved:
            return {}
        x_hat, rstd, weight = e.saved["x_hat"], e.saved["rstd"], e.saved["weight"]
        dy = e.call.dys[-1]
        outer, g = rstd**power * weight**weight_last, dy * weight**of_weight
        d = "dx̂"
        r = {0: "", 1: "r ", 2: "r² ", -1: "1/r "}[power] + "weight " * weight_last
        rows = tuple(range(x_hat.ndim - 1))

        def mean(a, axis=-1):
            return np.mean(a, axis=axis, keepdims=True) if a.size else a

        whole = {
            f"{r}{d}": (1, g),
            f"{r}mean({d})": (-1, mean(g)),
            f"{r}x̂ mean({d} x̂)": (-1, x_hat * mean(g * x_hat)),
            f"{r}Σ {d}": (0, np.sum(g, axis=-1, keepdims=True)),
            f"{r}x̂ Σ {d} x̂": (0, x_hat * np.sum(g * x_hat, axis=-1, keepdims=True)),
            f"{r}mean({d} x̂)": (0, mean(g * x_hat)),
            f"{r}x̂ mean({d})": (0, x_hat * mean(g)),
            f"{r}x̂ (the mean of {d} over the rows)": (0, x_hat * mean(g, rows)),
            f"{r}(the mean of {d} over the rows)": (0, mean(g, rows)),
            f"{r}(the mean of {d} over the first axis)": (0, mean(g, 0)),
            f"{r}x̂ (the mean of {d} x̂ over the first axis)": (0, x_hat * mean(g * x_hat, 0)),
            f"{r}x̂ (the mean of {d} x̂ over the rows)": (0, x_hat * mean(g * x_hat, rows)),
            f"{r}(the mean of {d} over all elements)": (0, mean(g, None)),
            f"{r}x̂ (the mean of {d} x̂ over all elements)": (0, x_hat * mean(g * x_hat, None)),
            f"{r}(x̂² {d})": (0, x_hat**2 * g),
            f"{r}(x̂ {d})": (0, x_hat * g),
        }
        if of_weight == 1 and not weight_last:
            whole |= {
                f"{r}dy": (0, dy),
                f"{r}mean(dy)": (0, mean(dy)),
                f"{r}x̂ mean(dy x̂)": (0, x_hat * mean(dy * x_hat)),
                f"{r}mean(weight) mean(dy)": (0, mean(dy) * np.mean(weight)),
            }
        made = {n: (c, np.broadcast_to(outer * a, x_hat.shape)) for n, (c, a) in whole.items()}
        if power == 1 and of_weight == 1 and not weight_last:
            made |= {
                f"{d} (without r)": (0, g),
                f"mean({d}) (without r)": (0, np.broadcast_to(mean(g), x_hat.shape)),
                f"x̂ mean({d} x̂) (without r)": (0, x_hat * mean(g * x_hat)),
                f"r² mean({d})": (0, np.broadcast_to(rstd**2 * mean(g), x_hat.shape)),
                f"r² x̂ mean({d} x̂)": (0, rstd**2 * x_hat * mean(g * x_hat)),
                f"r³ x̂ mean({d} x̂)": (0, rstd**3 * x_hat * mean(g * x_hat)),
            }
        if e.call.many:
            made["ds"] = (1, e.call.dys[0])
        return made

    return terms
