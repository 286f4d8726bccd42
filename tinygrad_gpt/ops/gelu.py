"""Gaussian error linear unit (Hendrycks and Gimpel, "Gaussian error linear units", 2016), both forms.

    x            float array of any shape
    approximate  "tanh" (GPT-2's), or "none" for the exact form (BERT's)
    y            shaped like x

Exact: y = x Φ(x), where Φ(x) is the probability that a standard normal number is below x. Its slope is the normal
density φ(x) = e^(-x²/2) / √(2π), so by the product rule

    dy/dx = Φ(x) + x φ(x)

Tanh form: Φ(x) is replaced by (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³). Far to the left 1 + tanh u cancels;
but with e = e^(-2|u|), which cannot overflow, it is

    (1 + tanh u) / 2 = σ(2u) = s for u < 0,  1 - s for u >= 0,    s = e / (1 + e) <= 1/2

and σ' = σ (1 - σ) = s (1 - s), so that

    y = x σ(2u)
    dy/dx = σ(2u) + x · 2 s (1 - s) · du/dx,    du/dx = √(2/π) (1 + 3 · 0.044715 x²)

In either form y and slope tend to 0 on the left, and the slope to 1 on the right. Past ±FAR they are there to the last
bit; x is not taken farther, where 0 · ∞ would make nan of a limit that is 0.

Only x is saved, alive anyway as the input; e or Φ is computed again, which costs a pass but no array of x's size.
"""

import math
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._erf import FAR, density_and_tail
from tinygrad_gpt.ops._shapes import check_floats

SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
CUBIC = 0.044715  # from the paper, section 2


class Saved(NamedTuple):
    x: Array
    approximate: str


def check(x, *, approximate="none"):
    """Raises TypeError for integers, ValueError for an approximation that there isn't."""
    check_floats("gelu", x)
    if approximate not in ("tanh", "none"):
        raise ValueError(f'gelu: expected approximate="tanh" or "none", got {approximate!r}')


def forward(x, *, approximate="none"):
    cdf, _ = _cdf_and_slope(x, approximate)
    return np.clip(x, -FAR, None) * cdf, Saved(x, approximate)


def backward(dy, saved):
    cdf, slope = _cdf_and_slope(*saved)
    x = np.clip(saved.x, -FAR, FAR)
    # y = x * cdf(x)
    return (dy * (cdf + x * slope),)


def _cdf_and_slope(x: Array, approximate: str) -> tuple[Array, Array]:
    """Φ(x), or what stands for it, and its derivative. Raises TypeError unless x is (still) of floats."""
    check_floats("gelu", x)
    if approximate == "none":
        density, tail = density_and_tail(np.abs(x))
        return _of_side(x, tail), density
    x = np.clip(x, -FAR, FAR)
    e = np.exp(-2 * SQRT_2_OVER_PI * np.abs(x + CUBIC * x * x * x))
    s = e / (1 + e)
    # cdf = σ(2u)
    slope = 2 * s * (1 - s) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x)
    return _of_side(x, s), slope


def _of_side(x: Array, share: Array) -> Array:
    """1 - share where x > 0, else share, without a branch: np.where takes ten times as long where signs are mixed."""
    return np.abs((x > 0) - share)
