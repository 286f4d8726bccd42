"""Cases at kinks, at ties and at the edges of domains: where an op has no derivative, or an infinite one.

Finite differences measure nothing there (the mean of two slopes, or nan), so each case brings the words in which the
op's file states the gradient, and the checks compare with what the reference gives. Ties are ties in float32 too.
"""

import numpy as np

from tinygrad_gpt.cases.draw import strided, transposed

EQUAL_SHARES = "where several elements are the largest, each gets an equal share of dy"

_INF = np.inf


def _max(draw):
    shares = EQUAL_SHARES
    few = draw.few(4, 3, 5)  # of three values, so that most rows have ties
    for axis in (None, 0, 1, -1, (0, 2)):
        yield f"ties, axis {axis}", (few,), {"axis": axis}, shares
    yield "ties, kept", (few,), {"axis": 1, "keepdims": True}, shares
    yield "all equal", (np.full((3, 5), 2.0),), {"axis": 1}, shares
    yield "ties, strided", (strided(draw.few(3, 7)),), {"axis": 0}, shares
    yield "ties, transposed", (transposed(draw.few(4, 2, 3)),), {"axis": (0, -1)}, shares
    yield "0 and -0 tie", (np.array([[0.0, -0.0, -1.0], [-0.0, -2.0, -0.0]]),), {"axis": 1}, shares
    infinite = np.array([[_INF, 1.0, _INF], [-_INF, -_INF, -_INF], [-_INF, 0.0, -_INF]])
    yield "infinite ties", (infinite,), {"axis": 1}, shares
    yield "a tie far from its other", (np.where(np.arange(1025) % 1024 == 0, 3.0, 1.0),), {}, shares


def _maximum(draw):
    halves = "where a and b are equal, each gets half of dy"
    for name, a, b in [
        ("one shape", (4, 3, 5), (4, 3, 5)),
        ("a row to many", (4, 3, 5), (5,)),
        ("a column and a row", (7, 1), (5,)),
        ("a number and an array", (), (9,)),
    ]:
        yield f"ties, {name}", (draw.few(*a), draw.few(*b)), {}, halves
    same = draw.normal(3, 5)
    yield "equal everywhere", (same, same.copy()), {}, halves
    yield "ties, strided and transposed", (strided(draw.few(3, 5)), transposed(draw.few(2, 3, 5))), {}, halves
    yield "0 and -0 tie", (np.array([0.0, -0.0, 0.0, 1.0]), np.array([-0.0, 0.0, 0.0, -0.0])), {}, halves
    yield "infinite ties", (np.array([_INF, -_INF, _INF]), np.array([_INF, -_INF, -_INF])), {}, halves


def _relu(draw):
    stops = "at x = 0 the gradient is 0"
    yield "at zero", (draw.few(4, 3, 5) - 1,), {}, stops
    yield "at zero alone", (np.zeros(()),), {}, stops
    yield "at 0 and -0", (np.array([0.0, -0.0, 2.0**-100, -(2.0**-100)]),), {}, stops
    yield "at zero, strided", (strided(draw.few(3, 7) - 1),), {}, stops
    yield "at infinity", (np.array([_INF, 0.0, -_INF]),), {}, stops


def _clamp(draw):
    passes, bounds = "at a bound dy passes, and beyond it is 0", {"min": -1.0, "max": 0.5}
    yield "at the bounds", (np.array([[-1.0, 0.5, 0.0], [-1.5, 0.75, 0.5]]),), bounds, passes
    yield "at the lower one alone", (draw.few(4, 3, 5) - 1,), {"min": 0}, passes
    yield "at the upper one, strided", (strided(draw.few(3, 7)),), {"max": 1}, passes
    yield "bounds that meet", (draw.few(3, 5),), {"min": 1, "max": 1}, passes
    yield "at infinity", (np.array([_INF, 0.0, -_INF]),), {"min": -1}, passes


def _sqrt(draw):
    steep = "at x = 0 the slope is infinite, and so is the gradient"
    yield "at zero", (np.array([[0.0, 1.0, 4.0], [0.25, 0.0, 0.0]]),), {}, steep
    yield "at zero alone", (np.zeros(()),), {}, steep
    yield "at infinity", (np.array([_INF, 1.0]),), {}, "at x = inf the slope is 0, and so is the gradient"


def _pow(draw):
    x = np.array([0.0, 0.5, 4.0, 0.0])
    yield "root, at zero", (x,), {"exponent": 0.5}, "at x = 0 an exponent below 1 has an infinite slope"
    yield "inverse, at zero", (x,), {"exponent": -1}, "at x = 0 a negative exponent has an infinite slope"
    yield "fraction, at zero", (x,), {"exponent": 1.5}, "at x = 0 an exponent above 1 has slope 0"
    yield "negative root, at zero", (x,), {"exponent": -0.5}, "at x = 0 a negative exponent has an infinite slope"
    at_edges = np.array([0.0, -0.0, 2.0, _INF, -_INF])
    yield "power zero, at the edges", (at_edges,), {"exponent": 0}, "for exponent 0 the gradient is 0, at every x"
    yield "power one, at the edges", (at_edges,), {"exponent": 1}, "for exponent 1 the gradient is dy, at every x"
    zeros = np.array([0.0, -0.0, 2.0, -2.0])
    yield "square, at 0 and -0", (zeros,), {"exponent": 2}, "for exponent 2 the slope is 2x, which is 0 at 0"


def _log(draw):
    yield "at zero", (np.array([[0.0, 1.0], [2.0, 0.0]]),), {}, "at x = 0 the slope 1/x is infinite"


def _div(draw):
    by_zero = "a zero in b gives what NumPy gives: da = dy / b, db = -(dy / b) y, infinite or nan"
    yield "by zero", (np.array([1.0, -2.0, 0.0, 3.0]), np.array([0.0, 0.0, 0.0, 2.0])), {}, by_zero


def _log_softmax(draw):
    impossible = np.array([[1.0, -_INF, 0.5, 2.0], [-_INF, -_INF, 0.25, -1.0]])
    stays = "where x is -inf, e^y is 0 and what is left of the gradient is dy"
    yield "impossible classes", (impossible,), {}, stays


def _cross_entropy(draw):
    logits = draw.normal(5, 3).astype(np.float32).astype(np.float64)
    logits[1], logits[3, 0], logits[4, 2] = np.nan, _INF, -_INF
    nothing = "an ignored row has gradient 0, whatever its logits are"
    targets = np.array([2, -100, 0, -100, -100])
    for reduction in ("mean", "sum", "none"):
        yield f"ignored rows are not finite, {reduction}", (logits, targets), {"reduction": reduction}, nothing


MAKERS = {
    "max": _max,
    "maximum": _maximum,
    "relu": _relu,
    "clamp": _clamp,
    "sqrt": _sqrt,
    "pow": _pow,
    "log": _log,
    "div": _div,
    "log_softmax": _log_softmax,
    "cross_entropy": _cross_entropy,
}
