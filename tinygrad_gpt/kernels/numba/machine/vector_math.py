"""exp and what is made of it, as plain arithmetic, so that a loop over it is vectorised: 16 float32 at a time on
AVX-512, where a call into the C library takes them one by one.

    exp(x)            float32 within 1e-7 of the true value (relative), float64 within 3e-16; 0 below
                      2^-125 (2^-1021), inf where it overflows, nan for nan

Deriving exp. Split the exponent into a whole number of octaves and a rest,

    x = n ln 2 + r,   n = round(x / ln 2),   |r| <= ln 2 / 2 = 0.347        e^x = 2^n e^r

- r must be exact, or the whole result is off. n ln 2 is up to 88 in float32, which would leave r with a rounding error
  a hundred times too large. So ln 2 = HIGH + LOW with HIGH short enough (few bits set) that n HIGH is exact, and so is
  x - n HIGH; n LOW is small, and so is its error. For this the order of the two subtractions matters, and the
  compiler must not regroup them (EXACT_ORDER).
- e^r = 1 + r + r²/2! + r³/3! + ... Taken up to r^7 the first term left out is at most 0.347^8 / 8! = 5e-9, up to r^13
  it is 0.347^14 / 14! = 4e-18: below half a unit in the last place of float32 (6e-8) and float64 (1.1e-16). The terms
  go in pairs, (1 + r) + r² ((1/2! + r/3!) + r² (...)): a chain half as long as one term after another, whose every
  step waits for the one before.
- n is found by adding 1.5 2^23 (1.5 2^52) to x / ln 2. Floats of that size are whole numbers 1 apart, so the sum is
  rounded to one, and the last bits of its fraction are those of n. Taking the same number away again leaves n itself.
- 2^n is not multiplied by. A float's bits are its sign, its exponent, and then 23 (52) bits of fraction. So n 2^23,
  which is the sum's bits moved up by 23, is added to the bits of e^r as to an integer.

Where x is too small or too large, or nan, what is computed so is of no meaning, and is replaced at the end.
"""

import math
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from tinygrad_gpt.kernels.numba.machine.compile import EXACT_ORDER, OPTIONS

EXACT = OPTIONS | {"fastmath": EXACT_ORDER, "forceinline": True}


class Format(NamedTuple):
    """What must be known of a float type."""

    real: type
    integer: type  # of the same size
    terms: int  # of the series for e^r
    bias: int  # what the exponent's bits are for 2^0
    fraction_bits: int
    high_bits: int  # how many HIGH may have


FORMATS = {
    types.float32: Format(np.float32, np.int32, terms=7, bias=127, fraction_bits=23, high_bits=12),
    types.float64: Format(np.float64, np.int64, terms=13, bias=1023, fraction_bits=52, high_bits=32),
}


def _constants(of: Format) -> tuple:
    """HIGH, LOW, 1 / ln 2, and what is added to round to a whole number."""
    ln2 = math.log(2)
    high = math.floor(ln2 * 2**of.high_bits) / 2**of.high_bits
    ln2_low = 2.319046813846299616e-17  # ln 2 less its float64 value
    return tuple(map(of.real, (high, (ln2 - high) + ln2_low, 1 / ln2, 1.5 * 2**of.fraction_bits)))


def _for_each_format(make: Callable[[Format], Callable]) -> Callable:
    """Decorator for what makes a function of one number, of this format; it gives the function of either format. That
    can be called inside kernels only."""

    @wraps(make)
    def function(x):
        raise NotImplementedError("for kernels")

    overload(function, jit_options=EXACT)(lambda x: make(FORMATS[x]) if x in FORMATS else None)
    return function


@_for_each_format
def exp(of: Format):
    """e^x (see the top of this file)."""
    real, integer = of.real, of.integer
    HIGH, LOW, PER_LN2, ROUNDING = _constants(of)
    FRACTION_BITS, ZERO, INFINITE = of.fraction_bits, real(0), real(np.inf)
    LEAST, MOST = real((2 - of.bias) * math.log(2)), real(np.log(np.finfo(real).max))
    pairs = [(real(1 / math.factorial(k)), real(1 / math.factorial(k + 1))) for k in range(of.terms - 1, -1, -2)]
    (EVEN, ODD), REST = pairs[0], tuple(pairs[1:])

    def exp(x):
        rounded = x * PER_LN2 + ROUNDING
        n = rounded - ROUNDING
        r = (x - n * HIGH) - n * LOW
        r_squared = r * r
        e_r = EVEN + ODD * r
        for even, odd in REST:
            e_r = e_r * r_squared + (even + odd * r)
        n_as_exponent = integer(real(rounded).view(integer) << FRACTION_BITS)
        y = integer(real(e_r).view(integer) + n_as_exponent).view(real)
        y = ZERO if x < LEAST else y
        return y if x <= MOST else x * INFINITE  # nan stays nan

    return exp


@intrinsic
def either(typingctx, condition, a, b):
    """a if condition else b, as one instruction; only inside kernels, for numbers of one type.

    Python's own `x[i] = a if condition else b` may become a store that is made or not, under a mask, which AVX2 does
    slowly. So does this one where b is x[i] itself.
    """

    def codegen(context, builder, signature, args):
        return builder.select(*args)

    return b(types.boolean, b, b), codegen


@intrinsic
def larger(typingctx, a, b):
    """a if a > b else b, as one instruction: b where one is nan; only inside kernels, for numbers of one type."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return b(b, b), codegen


@_for_each_format
def sigmoid(of: Format):
    """1 / (1 + e^-x)."""
    ONE = of.real(1)
    return lambda x: ONE / (ONE + exp(-x))


@_for_each_format
def tanh(of: Format):
    """tanh x. Relative errors are a few units in the last place.

    With e = e^(-2|x|), and d = e - 1, of which e would have lost the digits where x is small,

        tanh |x| = (1 - e) / (1 + e) = -d / (1 + e)    where x is near 0
                                     = 1 - 2e / (1 + e)    where it is not, and nearly 1
        d = 2^n (e^r - 1) + (2^n - 1)                  with n and r as in exp; for small x n is 0
    """
    real, integer = of.real, of.integer
    HIGH, LOW, PER_LN2, ROUNDING = _constants(of)
    FRACTION_BITS, BITS_OF_1 = of.fraction_bits, integer(of.bias << of.fraction_bits)
    FIRST, *rest = [real(1 / math.factorial(k)) for k in range(of.terms, 0, -1)]
    REST = tuple(rest)
    ZERO, ONE, TWO = real(0), real(1), real(2)
    NEAR, FAR = real(-1), real(-40)  # e^-40 is nothing beside 1 in either type

    def tanh(x):
        twice = -TWO * abs(x)
        inside = FAR if twice < FAR else twice
        rounded = inside * PER_LN2 + ROUNDING
        n = rounded - ROUNDING
        r = (inside - n * HIGH) - n * LOW
        quotient = FIRST  # (e^r - 1) / r
        for inverse_factorial in REST:
            quotient = quotient * r + inverse_factorial
        two_n = integer(integer(real(rounded).view(integer) << FRACTION_BITS) + BITS_OF_1).view(real)
        rest = two_n * (quotient * r)
        e, d = rest + two_n, rest + (two_n - ONE)
        is_near = twice > NEAR
        part = (-d if is_near else e + e) / (ONE + e)
        y = part if is_near else ONE - part
        return -y if x < ZERO else y

    return tanh


def row_max(x, n):
    """The largest of x[:n], for n >= 1; nan if there is a positive one. Only inside kernels.

    The compiler does not vectorise a maximum of floats, but it does one of integers. Read as an integer, the bits of a
    positive float are in its order: exponent first, then fraction. Those of a negative float are in reverse order,
    which inverting all but the sign puts right. A positive nan comes after inf.
    """
    raise NotImplementedError("for kernels")


@overload(row_max, jit_options=EXACT)
def _row_max(x, n):
    return _make_row_max(FORMATS[x.dtype]) if x.dtype in FORMATS else None


def _make_row_max(of: Format):
    real, integer = of.real, of.integer
    limits = np.iinfo(integer)
    ALL_BUT_SIGN, LEAST, SIGN_BIT = integer(limits.max), integer(limits.min), limits.bits - 1

    def row_max(x, n):
        largest = LEAST
        for i in range(n):
            bits = real(x[i]).view(integer)
            ordered = integer(bits ^ (integer(bits >> SIGN_BIT) & ALL_BUT_SIGN))
            largest = integer(max(largest, ordered))
        return integer(largest ^ (integer(largest >> SIGN_BIT) & ALL_BUT_SIGN)).view(real)

    return row_max
