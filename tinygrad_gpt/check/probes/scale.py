"""What were attention's scores multiplied by?

Without a scale, the scores of new weights are too far apart; but where weights begin at 0.02, as a GPT's do, even these
are so small that the entropy shows nothing. So P12 measures the scale itself. The logarithms of a query's weights are
its scores, less a constant: on the products q · k, which the outputs of the projections give, they lie on a line with
that slope.
"""

import math
from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.array import to_numpy

NEAR = 0.01  # of a scale
STRAIGHT = 0.99  # r² of scores that are q · k and nothing else


def wrong_scale(p: np.ndarray, outputs: list) -> str:
    """What the scores behind weights p (B, H, T, K) were multiplied by in place of 1/√D: 1, or 1/√C; "" for 1/√D, for
    anything else, and where the outputs of the projections do not tell.

    outputs  of the Modules in the attention, in the order of their calls: those of q and k first, or of q, k and v
    """
    h = p.shape[1]
    for q, k in _queries_and_keys(p, outputs):
        d = q.shape[-1]
        slope, r2 = _line(q @ k.swapaxes(2, 3), p)
        if r2 > STRAIGHT:
            named = {"1": 1.0, "1/√C": 1 / math.sqrt(h * d)}
            right = abs(slope * math.sqrt(d) - 1) <= NEAR
            return next((name for name, x in named.items() if not right and abs(slope / x - 1) <= NEAR), "")
    return ""


def _queries_and_keys(p: np.ndarray, outputs: list) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What may be q and k, 2 of (B, H, T, D): the first channels that were projected, by a layer each or together."""
    b, h, t, _ = p.shape
    made = [to_numpy(y.data).astype(float) for y in outputs if getattr(y, "shape", ())[:-1] == (b, t)]
    if not made:
        return
    channels, first = np.concatenate(made, axis=-1), made[0].shape[-1]
    for width in (first, first // 3):
        if width % h == 0 and channels.shape[-1] >= 2 * width > 0:
            q, k = channels[..., :width], channels[..., width : 2 * width]
            yield tuple(x.reshape(b, t, h, width // h).swapaxes(1, 2) for x in (q, k))


def _line(products: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """The slope of ln p on the products, and its r², over the keys that each query sees: both (B, H, T, K)."""
    if products.shape != p.shape:
        return 0.0, 0.0
    seen = p > 0
    keys = np.maximum(seen.sum(axis=-1, keepdims=True), 1)

    def centred(x):
        return np.where(seen, x - np.where(seen, x, 0).sum(axis=-1, keepdims=True) / keys, 0)

    x, y = centred(products), centred(np.log(np.where(seen, p, 1)))
    xx, xy, yy = (x * x).sum(), (x * y).sum(), (y * y).sum()
    return (float(xy / xx), float(xy * xy / (xx * yy))) if xx > 0 and yy > 0 else (0.0, 0.0)
