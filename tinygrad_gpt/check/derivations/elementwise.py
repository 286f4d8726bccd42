"""The terms of functions element by element, summed to the input's shape where forward stretched it; and the variance.

Of a product rule the terms have names (silu: σ dy + x σ (1 - σ) dy). Of any other function the right gradient is one
term, and simple functions of x and y, with dy or without it, may be added or stand in its place.
"""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt.check.derivations.reading import Reading
from tinygrad_gpt.check.evidence import Evidence
from tinygrad_gpt.check.terms import summed
from tinygrad_gpt.ops import gelu

RIGHT = "the right one"


def readings(first: Evidence) -> Iterator[Reading]:
    op = first.check.op
    if op == "var" and first.saved:
        for words, divisor in _DIVISORS.items():
            yield Reading(words, _var(divisor))
    elif op == "mean":
        for words, divisor in _DIVISORS.items():
            if "correction" not in words:
                yield Reading(words, _mean(divisor))
    elif op == "pow":
        yield Reading("", _pow)
    elif op == "silu":
        yield Reading("", _silu, pairs=True)
    elif op == "gelu" and first.saved:
        yield Reading("", _gelu, pairs=True)
    elif op == "gelu_linear" and first.name == "x":
        yield Reading("", _gelu_linear, pairs=True)


def of_any(first: Evidence, alone: bool) -> Iterator[Reading]:
    """The readings of a function element by element that has no terms of its own."""
    reads_rows = "axis" in first.used or first.check.op in ("cross_entropy", "layer_norm")
    if first.i is None or first.upstream is None or reads_rows or first.check.op == "dropout":
        return
    if len(first.inputs) == 1 and first.y.shape == first.x.shape:
        yield Reading("", lambda e: _without(alone, _of_one(e)), pairs=alone)
    elif len(first.inputs) == 2:
        yield Reading("", lambda e: _without(alone, _of_two(e)), pairs=alone)


def _without(alone: bool, terms: dict) -> dict:
    """The terms, or those beside the right one."""
    return {name: term for name, term in terms.items() if name != RIGHT} if alone else terms


def _logistic(x):
    return np.where(x > 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))


def _silu(e: Evidence) -> dict:
    x, y, dy = e.x, e.y, e.dy
    s = _logistic(x)
    made = {
        "σ": (1, s),
        "x σ (1 - σ)": (1, x * s * (1 - s)),
        "σ (1 - σ)": (0, s * (1 - s)),
        "x σ": (0, x * s),
        "x": (0, x),
        "1": (0, np.ones_like(x)),
        "y σ": (0, y * s),
        "y (1 - y)": (0, y * (1 - y)),
        "x (1 - σ)": (0, x * (1 - s)),
        "x² σ (1 - σ)": (0, x * x * s * (1 - s)),
        "σ²": (0, s * s),
    }
    return {f"{name} dy": (c, a * dy) for name, (c, a) in made.items()}


def _pow(e: Evidence) -> dict:
    x, n, dy = e.x, e.used["exponent"], e.dy
    made = {
        "n xⁿ⁻¹ dy": (1, n * x ** (n - 1)),
        "n xⁿ dy": (0, n * x**n),
        "n x dy": (0, n * x),
        "n xⁿ⁺¹ dy": (0, n * x ** (n + 1)),
        "xⁿ⁻¹ dy": (0, x ** (n - 1)),
        "(n - 1) xⁿ⁻² dy": (0, (n - 1) * x ** (n - 2)),
        "xⁿ ln x dy": (0, x**n * np.log(np.abs(x))),
        "n dy": (0, n + 0 * x),
        "xⁿ dy": (0, x**n),
        "x dy": (0, x),
        "x² dy": (0, x * x),
        "dy": (0, 1 + 0 * x),
    }
    return {name: (c, a * dy) for name, (c, a) in made.items()}


def _gelu_terms(x, approximate: str) -> dict:
    cdf, slope = gelu._cdf_and_slope(x, approximate)
    return {
        "Φ": (1, cdf),
        "x Φ'": (1, x * slope),
        "Φ'": (0, slope),
        "x Φ": (0, x * cdf),
        "x² Φ'": (0, x * x * slope),
        "x": (0, x),
        "1": (0, np.ones_like(x)),
        "Φ (1 - Φ)": (0, cdf * (1 - cdf)),
        "x Φ (1 - Φ)": (0, x * cdf * (1 - cdf)),
        "x e^(-x²/2)": (0, x * np.exp(-x * x / 2)),
        "(x > 0)": (0, (x > 0).astype(x.dtype)),
        "x Φ'/(1 + t), with t the tanh,": (0, x * slope / (2 * cdf)),
        "σ(1.702 x)": (0, _logistic(1.702 * x)),
        "1.702 x σ (1 - σ)(1.702 x)": (0, 1.702 * x * _logistic(1.702 * x) * _logistic(-1.702 * x)),
    }


def _gelu(e: Evidence) -> dict:
    return {f"{name} dy": (c, a * e.dy) for name, (c, a) in _gelu_terms(e.x, e.saved["approximate"]).items()}


def _gelu_linear(e: Evidence) -> dict:
    """With dh = dy @ weight, the gradient of gelu's output."""
    dh = e.dy @ e.inputs["weight"]
    return {f"{name} dh": (c, a * dh) for name, (c, a) in _gelu_terms(e.x, e.used["approximate"]).items()}


@np.errstate(all="ignore")  # ln x and √x are nan where x < 0, and explain nothing there
def _of_one(e: Evidence) -> dict:
    x, y, dy = e.x, e.y, e.upstream
    functions = {
        "1": np.ones_like(x),
        "x": x,
        "y": y,
        "x²": x * x,
        "y²": y * y,
        "x y": x * y,
        "1/x": 1 / x,
        "1/y": 1 / y,
        "e^x": np.exp(x),
        "e^(-x)": np.exp(-x),
        "cos x": np.cos(x),
        "sin x": np.sin(x),
        "1/cosh x": 1 / np.cosh(x),
        "ln x": np.log(x),
        "√x": np.sqrt(x),
        "1/√x": 1 / np.sqrt(x),
        "1/x²": 1 / (x * x),
        "x^(-3/2)": np.abs(x) ** -1.5,
        "x³": x**3,
        "1/(1 + x²)": 1 / (1 + x * x),
    }
    made = {RIGHT: (1, e.right)}
    made |= {f"{name} dy" if name != "1" else "dy": (0, f * dy) for name, f in functions.items()}
    made |= {f"{name} (without dy)": (0, f) for name, f in functions.items()}
    return made


@np.errstate(all="ignore")
def _of_two(e: Evidence) -> dict:
    """Of a and b, element by element."""
    (first, a), (second, b) = e.inputs.items()
    one = np.ones_like(e.dy)
    functions = {
        "1": one,
        first: a,
        second: b,
        f"1/{first}": 1 / a,
        f"1/{second}": 1 / b,
        f"{first}/{second}": a / b,
        f"{second}/{first}": b / a,
        f"{first} {second}": a * b,
        f"{first}²": a * a,
        f"{second}²": b * b,
        f"1/{second}²": 1 / (b * b),
        f"{first}/{second}²": a / (b * b),
        f"{first}/{second}³": a / (b * b * b),
    }
    made = {RIGHT: (1, e.right)}
    for name, f in functions.items():
        f = f * one
        made[f"{name} dy" if name != "1" else "dy"] = (0, summed(f * e.dy, e.right.shape))
        made[f"{name} (without dy)"] = (0, summed(f, e.right.shape))
    return made


# --- the variance ----------------------------------------------------------------------------------------------------

_DIVISORS = {
    "": lambda e, n: e.saved.get("divisor", n),
    "it is divided by the number of elements, whatever `correction` says": lambda e, n: n,
    "it is divided by the number of elements less 1, whatever `correction` says": lambda e, n: n - 1,
    "it is divided by the number of all elements of x, whatever `axis` says": lambda e, n: e.x.size,
    "it is divided by the number of all elements of x less the correction, whatever `axis` says": lambda e, n: (
        e.x.size - (n - e.saved.get("divisor", n))
    ),
    "it is divided by the size of the last axis, whatever `axis` says": lambda e, n: e.x.shape[-1],
    "it is divided by the size of the first axis, whatever `axis` says": lambda e, n: e.x.shape[0],
    "it is not divided": lambda e, n: 1,
}


def _mean(divisor):
    def terms(e: Evidence) -> dict:
        n = int(np.prod([e.x.shape[a] for a in e.saved["axes"]]))
        return {"dy/n": (1, e.upstream / divisor(e, n))}

    return terms


def _var(divisor):
    def terms(e: Evidence) -> dict:
        x, axes = e.saved["x"], e.saved["axes"]
        n = int(np.prod([x.shape[a] for a in axes]))
        mean, dy = e.saved["mean"] + e.saved["rest"], 2 * e.upstream / divisor(e, n)
        made = {
            "2 x": (1, x),
            "2 μ": (-1, mean),
            "2 (the mean of all elements)": (0, np.mean(x)),
            "2 (x - μ)²": (0, (x - mean) ** 2),
            "2 (the mean over the last axis)": (0, np.mean(x, axis=-1, keepdims=True)),
            "2": (0, 1.0),
        }
        return {f"{name} dy/n": (c, a * dy) for name, (c, a) in made.items()}

    return terms
