"""The normal distribution as plain arithmetic without branches, so that a loop over it is vectorised (vector_math.py).

    density_and_tail(a)    φ(a) = e^(-a²/2) / √(2π)  and  Φ(-a), the probability of a number above a, for 0 <= a <= FAR

of ops/_erf.py, which sums quotients; here one quotient and a polynomial do. Relative errors are at most a²/2 + 4 units
in the last place, since a²/2 is rounded before exp. Both are 0 where e^(-a²/2) is below 2^-125 (2^-1021). nan stays
nan.

What is left of Φ(-a) without its e^(-a²/2) falls slowly, from 1/2 at a = 0 like 1 / (a √(2π)) for large a. So

    Φ(-a) = e^(-a²/2) g / (a + K)

with a function g that stays between 0.4 and 2: it begins at K/2 and tends to 1/√(2π). In u = (a - K) / (a + K) the
half-line of all a >= 0 becomes -1 <= u < 1 (Shepherd and Laframboise, "Chebyshev approximation of (1 + 2x) exp(x²)
erfc(x) in 0 <= x < ∞", 1981), on which g is smooth enough for a polynomial:

    float32   degree  9, for a up to 13.2    off by a relative 1e-8;  with its coefficients rounded to float32 3e-8
    float64   degree 22, for a up to 37.7    off by a relative 3e-17; with its coefficients rounded to float64 1e-16

Each goes through the values of g at the Chebyshev points cos((2i + 1) π / 2n), i = 0 .. n-1, n = degree + 1, moved from
[-1, 1] to the range of u. (tests/kernels/test_normal_fit.py works the coefficients and these errors out again.) Of the
K that were tried, 4 needs the fewest terms, and a quotient 1 / (a + 4) gives u = 1 - 8 / (a + 4) without a second.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from tinygrad_gpt.kernels.numba.machine.vector_math import EXACT, exp

K = 4
# g's coefficients, that of the highest power of u first
_IN_FLOAT32 = (
    -0.00011517948, 0.00021318904, 0.0015786118, -0.003530255, -0.00753303, 0.060406856, -0.18652214, 0.3871367,
    -0.6078966, 0.75528514,
)  # fmt: skip
_IN_FLOAT64 = (
    -9.184771451678878e-10, 1.9054838690700575e-10, 1.3858645871432278e-08, 1.4210966127840914e-08,
    -7.644761276692808e-08, -1.5377766642286208e-07, 2.6389746266048705e-07, 1.0194512920716663e-06,
    -6.253402261070439e-07, -5.918737827947067e-06, 7.15112789176636e-07, 3.514413932582527e-05,
    -1.9078990454226582e-06, -0.00023109481145988956, 0.00013334425987699864, 0.0016308184412427659,
    -0.003479692362840292, -0.007540188965561452, 0.060396574890730165, -0.1865218579596948, 0.38713740074221825,
    -0.6078966419718917, 0.7552851304157515,
)  # fmt: skip


def density_and_tail(a):
    """(φ(a), Φ(-a)) of a number; only inside kernels."""
    raise NotImplementedError("for kernels")


@overload(density_and_tail, jit_options=EXACT)
def _density_and_tail(a):
    if a is types.float32:
        return _make_density_and_tail(np.float32, _IN_FLOAT32)
    if a is types.float64:
        return _make_density_and_tail(np.float64, _IN_FLOAT64)
    return None


def _make_density_and_tail(real, coefficients: tuple):
    numbers = [real(0)] * (len(coefficients) % 2) + [real(c) for c in coefficients]  # an even number of them
    (ODD, EVEN), *rest = zip(numbers[::2], numbers[1::2], strict=True)
    REST = tuple(rest)
    ONE, MINUS_HALF, OFFSET, SPAN = real(1), real(-0.5), real(K), real(2 * K)
    ONE_OVER_SQRT_2_PI = real(1 / math.sqrt(2 * math.pi))

    def density_and_tail(a):
        e = exp(MINUS_HALF * a * a)
        quotient = ONE / (a + OFFSET)
        u = ONE - SPAN * quotient
        u_squared = u * u
        g = ODD * u + EVEN
        for odd, even in REST:  # in pairs, as in exp: half as many steps that wait for the one before
            g = g * u_squared + (odd * u + even)
        return ONE_OVER_SQRT_2_PI * e, e * (g * quotient)

    return density_and_tail
