"""The polynomials of kernels/numba/machine/normal.py, worked out again with as many digits as it takes."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from tinygrad_gpt.kernels.numba.machine import normal

DIGITS = 400  # e^(a²/2) of the largest a is 10^309, and cancels
FITS = {  # the largest a, the coefficients, and how far the polynomial is off, exactly and with rounded ones
    np.float32: (Decimal("13.2"), normal._IN_FLOAT32, "1e-8", "3e-8"),
    np.float64: (Decimal("37.7"), normal._IN_FLOAT64, "3e-17", "1e-16"),
}


def pi() -> Decimal:
    """π = 16 atan(1/5) - 4 atan(1/239) (Machin, 1706)."""

    def atan_of_one_over(n: int) -> Decimal:
        total, power, odd = Decimal(0), Decimal(1) / n, 1
        while power > Decimal(10) ** -DIGITS:
            total += power / odd if odd % 4 == 1 else -power / odd
            power, odd = power / (n * n), odd + 2
        return total

    return 16 * atan_of_one_over(5) - 4 * atan_of_one_over(239)


def cos(x: Decimal) -> Decimal:
    term, total, even = Decimal(1), Decimal(0), 0
    while abs(term) > Decimal(10) ** -DIGITS:
        total, even = total + term, even + 2
        term *= -x * x / (even * (even - 1))
    return total


def g(u: Decimal, root: Decimal) -> Decimal:
    """e^(a²/2) Φ(-a) (a + K) at a = K (1 + u) / (1 - u); root is √(2π).

    Φ(-a) = 1/2 - ∫ φ from 0 to a, and e^(a²/2) ∫ e^(-t²/2) dt from 0 to a is a + a³/3 + a⁵/(3·5) + a⁷/(3·5·7) + ...
    """
    a = normal.K * (1 + u) / (1 - u)
    term, total, odd = a, Decimal(0), 1
    while term > Decimal(10) ** (-DIGITS // 4):
        total, odd = total + term, odd + 2
        term *= a * a / odd
    return ((a * a / 2).exp() / 2 - total / root) * (a + normal.K)


def place(far: Decimal, x: Decimal) -> Decimal:
    """x in -1 .. 1 moved to the range of u, which begins at -1, where a = 0, and ends where a = far."""
    last = (far - normal.K) / (far + normal.K)
    return (last - 1) / 2 + (last + 1) / 2 * x


def fit(far: Decimal, terms: int, half_turn: Decimal) -> list[Decimal]:
    """The coefficients of the polynomial through g at the Chebyshev points, that of the highest power first."""
    points = [place(far, cos((2 * i + 1) * half_turn / (2 * terms))) for i in range(terms)]
    # Newton's form, g[u0] + (u - u0) (g[u0, u1] + (u - u1) (...)), then its powers of u.
    differences = [g(u, (2 * half_turn).sqrt()) for u in points]
    for order in range(1, terms):
        for i in range(terms - 1, order - 1, -1):
            differences[i] = (differences[i] - differences[i - 1]) / (points[i] - points[i - order])
    powers = [Decimal(0)] * terms  # the lowest first
    for u, difference in zip(reversed(points), reversed(differences), strict=True):
        powers = [(powers[i - 1] if i else difference) - u * powers[i] for i in range(terms)]
    return powers[::-1]


def off(coefficients: list[Decimal], far: Decimal, half_turn: Decimal) -> str:
    """The largest relative error among four places from each point to the next."""
    n, worst = 4 * len(coefficients), Decimal(0)
    for i in range(n + 1):
        u, value = place(far, cos(i * half_turn / n)), Decimal(0)
        for c in coefficients:
            value = value * u + c
        worst = max(worst, abs(value / g(u, (2 * half_turn).sqrt()) - 1))
    return f"{worst:.0e}"


@pytest.mark.long
@pytest.mark.parametrize("dtype", FITS)
def test_the_coefficients_are_those_of_the_fit(dtype):
    far, coefficients, exactly, rounded = FITS[dtype]
    with localcontext() as context:
        context.prec = DIGITS
        half_turn = pi()
        again = fit(far, len(coefficients), half_turn)
        assert [dtype(c) for c in coefficients] == [dtype(float(c)) for c in again]
        assert off(again, far, half_turn) == exactly
        assert off([Decimal(float(dtype(c))) for c in coefficients], far, half_turn) == rounded
