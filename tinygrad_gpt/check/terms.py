"""A factor or a term that is missing, or one too many: arrays that play a part explain the difference.

    right = came · z, or right · z = came         z is dy, an input, the output, what the reference saves (rstd, p, ...)
    came - right is the same all along an axis     a sum or mean over that axis is missing, or wrong
    came - right is, along an axis, a multiple of z (or of z less its mean, or a constant and a multiple of z)
    came - right = c · dy · z                      element by element: a term of a product's derivative

An axis is told from the op's own `axis`, so that one mistake is one hypothesis in cases of any axis.
"""

from collections.abc import Callable, Iterator

import numpy as np

from tinygrad_gpt.check.evidence import ENOUGH, Evidence, enough, largest, spread
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis, predicting

Part = tuple[str, Callable[[Evidence], object]]  # an array that plays a part: its name, and how a case gives it


def hypotheses(cases: Cases) -> Iterator[Hypothesis]:
    """Hypotheses about an array of the right shape, the likeliest first."""
    for name, z in _parts(cases):
        yield _product(f"multiplied by {name}, it would be right: is that factor missing?", z, missing=True)
    for name, z in _parts(cases):
        said = f"divided by {name}, it would be right: is that one factor too many?"
        yield _product(said, z, missing=False)
    for where, axis in _axes(cases):
        yield Hypothesis(
            "",
            lambda e, where=where: f"the error is the same all along {where}: a sum or mean over it is missing or wrong",
            lambda e, axis=axis: _along(e, axis(e), ()),
        )
    for where, axis in _axes(cases):
        for name, z in _parts(cases):
            if name == "the number 1":
                continue
            for form, less_mean in ((name, False), (f"({name} less its mean)", True)):
                said = (
                    f"along {where} the error is a multiple of {form}: a term like {form} times a sum or mean over that "
                    "axis is missing or wrong"
                )
                yield Hypothesis(
                    "", lambda e, said=said: said, lambda e, a=axis, z=z, m=less_mean: _along(e, a(e), (z(e),), m)
                )
    for where, axis in _axes(cases):
        for name, z in _parts(cases):
            said = (
                f"along {where} the error is a constant and a multiple of {name}: two terms with a sum or mean over that "
                f"axis, one of them times {name}, are missing or wrong"
            )
            yield Hypothesis("", lambda e, said=said: said, lambda e, a=axis, z=z: _along(e, a(e), (1.0, z(e))))
    yield from _of_dy(cases)


def _product(said: str, z, missing: bool) -> Hypothesis:
    def test(e: Evidence) -> bool | None:
        if not e.comparable:
            return None if e.silent else False
        factor = spread(a, e.got.shape) if (a := z(e)) is not None and np.isfinite(a).all() else None
        if factor is None:
            return False
        holds = e.same(e.got * factor, e.right) if missing else e.same(e.got, e.right * factor)
        if not holds or not (largest(e.right) and largest(e.got)):
            return False if not holds else None
        return True if enough(e.right) and np.size(a) > 1 and not e.same(e.got, e.right) else None

    def denies(e: Evidence) -> bool:
        factor = z(e)
        return factor is not None and spread(factor, e.right.shape) is not None and not e.same(e.right * factor, e.right)

    return Hypothesis("", lambda e: said, test, denies)


def _axes(cases: Cases) -> Iterator[tuple[str, Callable[[Evidence], int]]]:
    """(in words, the axis of a case counted from the end): the op's own one, and those counted from the end."""
    if any(isinstance(e.used.get("axis"), int) for e in cases.failed):
        yield "the op's axis", lambda e: e.axis
    for axis in (-1, -2, -3, -4):
        yield f"axis {axis}", lambda e, axis=axis: axis
    yield "the first axis", lambda e: -e.right.ndim


def _along(e: Evidence, axis: int, spans: tuple, less_mean: bool = False) -> bool | None:
    """Whether the error is, in each row along `axis`, a combination of the arrays in `spans` (of a constant, if it is
    empty)."""
    if not e.comparable:
        return None if e.silent else False
    unknowns = max(1, len(spans))
    if -axis > e.got.ndim:
        return False
    if e.got.shape[axis] < unknowns + 2:
        return None
    error = e.got - e.right
    vectors = []
    for z in spans or (1.0,):
        if z is None or np.ndim(z) and (z.shape != e.got.shape or not np.isfinite(z).all()):
            return False
        z = np.broadcast_to(z, e.got.shape)
        vectors.append(z - np.mean(z, axis=axis, keepdims=True) if less_mean else z)
    rows = [np.moveaxis(v, axis, -1).reshape(-1, e.got.shape[axis]) for v in (error, *vectors)]
    basis = np.stack(rows[1:], axis=-1)  # (rows, n, unknowns)
    fitted = np.einsum("rnk,rk->rn", basis, np.einsum("rkn,rn->rk", np.linalg.pinv(basis), rows[0]))
    if not e.same(fitted, rows[0]):
        return False
    return True if enough(error) else None


def _of_dy(cases: Cases) -> Iterator[Hypothesis]:
    """came = dy · z, and came - right = c · dy · z, z one of the parts or a product of two: for ops of one input, element
    by element."""
    first = cases.failed[0]
    if first.dy is None or any(not _elementwise(e) for e in cases.failed):
        return
    parts = [(name, z) for name, z in _parts(cases) if name != "dy"]
    for name, z in parts:
        said = f"it is dy times {name}"
        yield predicting("", said, lambda e, z=z: e.dy * a if (a := z(e)) is not None else None)
    for name, z in parts:
        for sign, what in ((-1, "missing"), (1, "one too many")):
            said = f"the term dy · {name} is {what}"
            yield predicting(
                "", said, lambda e, z=z, sign=sign: e.right + sign * e.dy * a if (a := z(e)) is not None else None
            )


def _elementwise(e: Evidence) -> bool:
    return len(e.call.arrays) == 1 and e.right is not None and e.right.shape == e.dy.shape


def _parts(cases: Cases) -> list[Part]:
    names = dict.fromkeys(name for e in cases.failed for name in e.ingredients)
    return [(name, lambda e, name=name: e.ingredients.get(name)) for name in names]
