"""Gaussian error linear unit (Hendrycks and Gimpel, "Gaussian error linear units", 2016), both forms.

    x            float array of any shape
    approximate  "tanh" (GPT-2's), or "none" for the exact form (BERT's)
    y            shaped like x

Exact: y = x Φ(x), where Φ(x) = (1 + erf(x/√2)) / 2 is the probability that a standard normal number is below x. Its
slope is the normal density φ(x) = e^(-x²/2) / √(2π), so by the product rule

    dy/dx = Φ(x) + x φ(x)

Tanh form: Φ(x) is replaced by (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³). With t = tanh u and dt/du = 1 - t²:

    y = x (1 + t) / 2
    dy/dx = (1 + t) / 2 + x (1 - t²)/2 · du/dx,    du/dx = √(2/π) (1 + 3 · 0.044715 x²)

Only x is saved, alive anyway as the input; t or Φ is computed again, which costs a pass but no array of x's size.
"""

import math
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._erf import erf
from tinygrad_gpt.ops._shapes import check_floats

SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
CUBIC = 0.044715  # from the paper, section 2


class Saved(NamedTuple):
    x: Array
    approximate: str


def check(x, *, approximate="tanh"):
    """Raises TypeError for integers, ValueError for an approximation that there isn't."""
    check_floats("gelu", x)
    if approximate not in ("tanh", "none"):
        raise ValueError(f'gelu: expected approximate="tanh" or "none", got {approximate!r}')


def forward(x, *, approximate="tanh"):
    cdf = _tanh_cdf(x) if approximate == "tanh" else _normal_cdf(x)
    return x * cdf, Saved(x, approximate)


def backward(dy, saved):
    x, approximate = saved
    if approximate == "tanh":
        cdf = _tanh_cdf(x)
        # cdf = (1 + t) / 2, so that (1 - t²) / 2 = 2 cdf (1 - cdf)
        slope = 2 * cdf * (1 - cdf) * SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x)
    else:
        cdf = _normal_cdf(x)
        slope = np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    # y = x * cdf(x)
    return (dy * (cdf + x * slope),)


def _tanh_cdf(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x)))


def _normal_cdf(x: Array) -> Array:
    return 0.5 * (1 + erf(x * (1 / math.sqrt(2))))
