"""The normal distribution, and the error function that goes with it, which NumPy lacks.

    φ(t) = e^(-t²/2) / √(2π)                density
    Φ(-a) = ∫_a^∞ φ(t) dt                   tail: the probability of a number above a >= 0
    erf(x) = 2/√π ∫₀ˣ e^(-t²) dt            = 1 - 2 Φ(-√2 x)

Tails fall to 10⁻¹⁶ by a = 8 and go on falling. 1 - erf would round them to 0, or to a few units in the last place of 1
with either sign. So the tail is what is computed, as a sum of positive numbers, in which no digit cancels.

An integral whose every value is positive. 1/(t² + a²) = ∫₀^∞ e^(-s(t² + a²)) ds; put it in, integrate over t first, and
then substitute 1 + 2s = (u/a)²:

    I = ∫ e^(-t²/2) / (t² + a²) dt = ∫₀^∞ e^(-s a²) √(2π / (1 + 2s)) ds = √(2π)/a e^(a²/2) ∫_a^∞ e^(-u²/2) du

so Φ(-a) = a/2π e^(-a²/2) I.

The midpoint rule for I: M = h Σ e^(-t²/2) / (t² + a²) over t = ±h/2, ±3h/2, ... For a smooth function on the whole line
it is no crude rule: with F(w) the Fourier transform of the function, it is off by 2F(2π/h) and less, for e^(-t²/2) by a
relative 2 e^(-2π²/h²): 5 10⁻⁹ with h = 1, and 6 10⁻¹⁸ with h = 0.7.

But 1/(t² + a²) is not that smooth: at t = ±ia it is infinite, and for small a that is near. Subtract what makes it so,

    e^(-t²/2) / (t² + a²) = (e^(-t²/2) - e^(a²/2)) / (t² + a²) + e^(a²/2) / (t² + a²)

whose first part is finite at ±ia. For 1/(t² + a²) both are known: the integral, π/a, and what the midpoint rule makes
of it, π/a tanh(πa/h) (the series of tanh in partial fractions). The rule misses π/a (1 - tanh(πa/h)), which is 2π/a
over 1 + e^(2πa/h), and that is added:

    Φ(-a) = a/2π e^(-a²/2) M + 1 / (1 + e^(2πa/h))

From a = 2π/h on, e^(a²/2) in the first part makes the rule's error there the larger one, and M alone is more accurate.

e^(-a²/2) needs a²/2 to the last digit, of which a rounded square of 100 has lost two. With z = a to the nearest 1/16,
z² is exact, and a² = z² + (a - z)(a + z) with a small second term: the density is the product of their exponentials.
"""

import math

import numpy as np

from tinygrad_gpt.array import Array

FAR = 40.0  # density and tail are 0 from here on in either dtype, and what is still farther out would overflow

_STEPS = {"float32": (1.0, 6), "float64": (0.7, 12)}  # h, and midpoints up to where e^(-t²/2) no longer counts


def density_and_tail(a: Array) -> tuple[Array, Array]:
    """φ(a) and Φ(-a) for floats a >= 0, with a relative error of a few units in the last place."""
    h, midpoints = _STEPS[a.dtype.name]
    a = np.minimum(a, FAR)
    z = np.rint(16 * a) / 16
    density = np.exp(-0.5 * z * z) * np.exp(-0.5 * (a - z) * (a + z)) * (1 / math.sqrt(2 * math.pi))
    total = 0.0
    for n in range(midpoints - 1, -1, -1):  # the smallest first
        t_squared = ((n + 0.5) * h) ** 2
        total = total + math.exp(-0.5 * t_squared) / (a * a + t_squared)
    near = 2 * math.pi / h
    missed = (a < near) / (1 + np.exp(near * np.minimum(a, near)))
    # the factor 2 for the two signs of t, and that of the density's √(2π)
    return density, a * density * total * (h * math.sqrt(2 / math.pi)) + missed


def erf(x: Array) -> Array:
    """erf of every element of a float array, to a few units in the last place; never beyond ±1."""
    _, tail = density_and_tail(np.abs(x) * math.sqrt(2))
    return np.where(np.abs(x) < 0.5, _series(np.clip(x, -0.5, 0.5)), np.sign(x) * (1 - 2 * tail))


def _series(x: Array) -> Array:
    """erf for |x| <= 1/2, where 1 - 2 Φ(-√2 x) would cancel.

    Look for a series f with erf(x) = 2/√π e^(-x²) f(x). Differentiating both sides gives f' = 1 + 2x f with f(0) = 0;
    put in f = Σ a_n x^(2n+1) and compare powers of x: a_0 = 1 and (2n+1) a_n = 2 a_(n-1), so

        f(x) = x (1 + 2x²/3 (1 + 2x²/5 (1 + 2x²/7 (1 + ...))))

    The inner brackets are worked out first. After 12 of them the next term is below 10⁻¹⁸.
    """
    brackets = np.ones_like(x)
    for n in range(12, 0, -1):
        brackets = 1 + brackets * (2 * x * x) / (2 * n + 1)
    return (2 / math.sqrt(math.pi)) * x * brackets * np.exp(-x * x)
