"""Mistakes in the GELU. Right is dx = dy (Φ + x Φ'), with Φ the normal distribution or what the tanh form takes for it.

exact       Φ(x), whose slope is the density e^(-x²/2) / √(2π)
tanh form   (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³), whose slope is (1 - tanh² u) / 2 · du/dx
"""

import math

import numpy as np

from tinygrad_gpt.check.mistakes.entry import wrong_backward
from tinygrad_gpt.ops import gelu
from tinygrad_gpt.ops._erf import density_and_tail
from tinygrad_gpt.ops.gelu import CUBIC, SQRT_2_OVER_PI

FORMS_SEEN_AT = "seen in TinyTorch #1399, tt-metal #35971"


def _exact(x):
    """Φ(x) and its slope."""
    density, tail = density_and_tail(np.abs(x))
    return np.where(x > 0, 1 - tail, tail), density


def _tanh_form(x):
    """What the tanh form takes for Φ(x), and the two factors of its slope: (1 - tanh² u) / 2 and du/dx."""
    t = np.tanh(SQRT_2_OVER_PI * (x + CUBIC * x * x * x))
    return (1 + t) / 2, (1 - t * t) / 2, SQRT_2_OVER_PI * (1 + 3 * CUBIC * x * x)


def _right(saved):
    """x, and Φ and its slope in the form that forward took."""
    x, approximate = saved
    if approximate == "none":
        return x, *_exact(x)
    cdf, outer, inner = _tanh_form(x)
    return x, cdf, outer * inner


@wrong_backward(
    "E12",
    "the product rule's second term is lost: dy Φ(x)",
    why="x Φ(x) is a product of two things that move with x: what Φ's moving does, x Φ', belongs to the slope too",
    look="how many of the factors of x Φ(x) depend on x?",
)
def second_term_lost(dy, saved):
    _, cdf, _ = _right(saved)
    return (dy * cdf,)


@wrong_backward(
    "E13",
    "the slope of the tanh form, whatever `approximate` says",
    why="the exact form and the tanh form are two functions, a little apart: each has the slope of its own",
    look="which GELU did forward compute, and which one does backward differentiate?",
    source=FORMS_SEEN_AT,
)
def always_the_tanh_form(dy, saved):
    x, _ = saved
    cdf, outer, inner = _tanh_form(x)
    return (dy * (cdf + x * outer * inner),)


@wrong_backward(
    "E47",
    "the slope of the exact form, whatever `approximate` says",
    why="the tanh form only looks like the exact one: the gradient has to be that of what forward computed",
    look="which GELU did forward compute, and which one does backward differentiate?",
    source=FORMS_SEEN_AT,
)
def always_the_exact_form(dy, saved):
    x, _ = saved
    cdf, density = _exact(x)
    return (dy * (cdf + x * density),)


@wrong_backward(
    "E48",
    "the slope of the sigmoid form, x σ(1.702 x), whatever `approximate` says",
    why="that is a third function with this name, the roughest of the three; forward computed another",
    look="which GELU did forward compute, and which one does backward differentiate?",
    source='Hendrycks and Gimpel, "Gaussian error linear units", 2016, names all three',
)
def the_sigmoid_form(dy, saved):
    x, _ = saved
    s = 0.5 * (1 + np.tanh(0.851 * x))  # σ(1.702 x)
    return (dy * (s + 1.702 * x * s * (1 - s)),)


@wrong_backward(
    "E14",
    "tanh form: the 3 of x³ is lost, du/dx = √(2/π) (1 + 0.044715 x²)",
    why="the power rule brings the exponent down: x³ has the slope 3x²",
    look="what is the derivative of 0.044715 x³?",
)
def three_lost(dy, saved):
    x, cdf, slope = _right(saved)
    if saved.approximate == "tanh":
        cdf, outer, _ = _tanh_form(x)
        slope = outer * SQRT_2_OVER_PI * (1 + CUBIC * x * x)
    return (dy * (cdf + x * slope),)


@wrong_backward(
    "E98",
    "tanh form: tanh u is not squared in its slope, (1 - tanh u) / 2",
    why="the slope of tanh is 1 - tanh²; without the square it is 2 where tanh is -1, though tanh is flat there",
    look="what is the slope of tanh far on the left?",
)
def tanh_not_squared(dy, saved):
    x, cdf, slope = _right(saved)
    if saved.approximate == "tanh":
        cdf, _, inner = _tanh_form(x)
        slope = (1 - cdf) * inner  # 1 - (1 + tanh u) / 2
    return (dy * (cdf + x * slope),)


@wrong_backward(
    "E15",
    "tanh form: the inner derivative du/dx is lost",
    why="tanh is taken of u, not of x: by the chain rule its slope, 1 - tanh² u, is multiplied by du/dx",
    look="u is a function of x: where in your backward is its derivative?",
)
def inner_derivative_lost(dy, saved):
    x, cdf, slope = _right(saved)
    if saved.approximate == "tanh":
        cdf, slope, _ = _tanh_form(x)
    return (dy * (cdf + x * slope),)


@wrong_backward(
    "E49",
    "exact form: the inner derivative 1/√2 of erf(x/√2) is lost",
    why="Φ(x) = (1 + erf(x/√2)) / 2: erf is taken of x/√2, whose slope is 1/√2 by the chain rule",
    look="what is the derivative of x/√2, and where is it in your backward?",
)
def erf_inner_derivative_lost(dy, saved):
    x, cdf, slope = _right(saved)
    if saved.approximate == "none":
        slope = slope * math.sqrt(2)
    return (dy * (cdf + x * slope),)


@wrong_backward(
    "E50",
    "exact form: the density without its 1/√(2π)",
    why="Φ is a probability and goes from 0 to 1, so the area under its slope is 1; under e^(-x²/2) alone it is √(2π)",
    look="Φ rises from 0 to 1: what must the area under its slope be?",
)
def density_not_normalised(dy, saved):
    x, cdf, slope = _right(saved)
    if saved.approximate == "none":
        slope = slope * math.sqrt(2 * math.pi)
    return (dy * (cdf + x * slope),)


@wrong_backward(
    "E16",
    "as if it were relu: dy passes where x > 0, and stops elsewhere",
    why="the GELU is smooth: its slope at 0 is 1/2, and a little left of 0 it has not ended yet",
    look="what is Φ(0), and so the slope of x Φ(x) at 0?",
)
def as_relu(dy, saved):
    return (np.where(saved.x > 0, dy, 0.0),)


@wrong_backward(
    "E51",
    "x is lost from the second term: dy (Φ + Φ')",
    why="the product rule says u'v + uv': beside Φ's own slope stands the factor x",
    look="in u'v + uv' with u = x and v = Φ(x), what is u v'?",
)
def x_lost(dy, saved):
    _, cdf, slope = _right(saved)
    return (dy * (cdf + slope),)


@wrong_backward(
    "E52",
    "the product rule's first term is lost: dy x Φ'",
    why="x Φ(x) is a product: the factor x moves too, with slope 1, and leaves Φ beside it",
    look="for large x, Φ(x) is 1 and x Φ(x) is x: what is the slope there, and what is yours?",
)
def first_term_lost(dy, saved):
    x, _, slope = _right(saved)
    return (dy * x * slope,)


@wrong_backward(
    "E53",
    "the second term is doubled: the 1/2 of (1 + tanh u) / 2, or of (1 + erf) / 2, is lost there",
    why="the 1/2 is a factor of the whole bracket and stays one in both terms of the product rule",
    look="what is the derivative of (1 + tanh u) / 2 with respect to u?",
)
def half_lost(dy, saved):
    x, cdf, slope = _right(saved)
    return (dy * (cdf + 2 * x * slope),)


@wrong_backward(
    "E54",
    "the slope is taken at y, not at x",
    why="the slope is a function of what went in, and the GELU's cannot be told from what came out",
    look="is the array that backward puts into Φ the input or the output?",
)
def slope_at_y(dy, saved):
    y, _ = gelu.forward(saved.x, approximate=saved.approximate)
    _, cdf, slope = _right(gelu.Saved(y, saved.approximate))
    return (dy * (cdf + y * slope),)
