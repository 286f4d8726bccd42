"""A factor or a term that is missing, or one too many: arrays that play a part explain the difference.

    right = came · z, or right · z = came         z is dy, an input, the output, what the reference saves (rstd, p, ...)
    right = came · c(row)                          a number of each row is missing, or one too many
came - right is the same all along an axis     a sum or mean over that axis is missing, or wrong
    came - right is, along an axis, a multiple of z (or of z less its mean, or a constant and a multiple of z)
    came - right = c · dy · z                      element by element: a term of a product's derivative
    came - right = c · z                           one array more, or less

An axis is told from the op's own `axis`, so that one mistake is one hypothesis in cases of any axis.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tinygrad_gpt.check.evidence import CLOSE, Evidence, enough, is_alike, largest, spread
from tinygrad_gpt.check.hypothesis import Cases, Hypothesis, predicting

Part = tuple[str, Callable[[Evidence], object]]  # an array that plays a part: its name, and how a case gives it


def of_factors(cases: Cases) -> Iterator[Hypothesis]:
    """Hypotheses of an array that is multiplied in, or not."""
    for name, z in _parts(cases):
        yield _product(f"multiplied by {name}, it would be right: is that factor missing?", z, missing=True)
    for name, z in _parts(cases):
        said = f"divided by {name}, it would be right: is that one factor too many?"
        yield _product(said, z, missing=False)


def of_rows(cases: Cases) -> Iterator[Hypothesis]:
    """Hypotheses of a number of each row that is multiplied in, or not."""
    for where, axis in _axes(cases):
        said = (
            f"along {where} each row is a multiple of the right one, by another number in each row: "
            "is a number of the row, such as one over its sum, missing or one too many?"
        )
        yield Hypothesis("", lambda e, said=said: said, lambda e, axis=axis: _by_row(e, axis(e)))


def _by_row(e: Evidence, axis: int) -> bool | None:
    """Whether what came is the right one times a number of each row along `axis`, and not of all rows the same."""
    if not e.comparable:
        return None if e.silent else False
    if not 1 <= -axis <= e.got.ndim:
        return False
    n = e.got.shape[axis]
    if n < 3 or e.got.size < 2 * n:
        return None
    got, right = (np.moveaxis(a, axis, -1).reshape(-1, n) for a in (e.got, e.right))
    squares = np.sum(right * right, axis=-1, keepdims=True)
    numbers = np.sum(got * right, axis=-1, keepdims=True) / np.where(squares, squares, 1.0)
    if not e.same(got, numbers * right):
        return False
    if e.same(got, right) or is_alike(numbers[squares > 0]):
        return None
    return not np.all((numbers == 0) | (np.abs(numbers - 1) < CLOSE))


def of_sums(cases: Cases) -> Iterator[Hypothesis]:
    """Hypotheses of a term, the simpler ones first."""
    yield from _of_dy(cases)
    yield from _of_another_dy(cases)
    yield from _of_a_constant(cases)
    yield from _of_an_array(cases)
    for where, axis in _axes(cases):
        yield Hypothesis(
            "",
            lambda e, where=where: (
                f"the error is the same all along {where}: a sum or mean over it is missing or wrong"
            ),
            lambda e, axis=axis: _along(e, axis(e), ()),
        )
    for where, axis in _axes(cases):
        for name, z in _parts(cases):
            if name == "the number 1":
                continue
            for form, less_mean in ((name, False), (f"({name} less its mean)", True)):
                said = (
                    f"along {where} the error is a multiple of {form}, another one in each row: a term like {form} "
                    "times a number of the row, such as a sum or mean over that axis, is missing or wrong"
                )
                yield Hypothesis(
                    "", lambda e, said=said: said, lambda e, a=axis, z=z, m=less_mean: _along(e, a(e), (z(e),), m)
                )
    for where, axis in _axes(cases):
        for name, z in _parts(cases):
            said = (
                f"along {where} the error is a constant and a multiple of {name}: "
                f"two terms with a sum or mean over that axis, one of them times {name}, are missing or wrong"
            )
            yield Hypothesis("", lambda e, said=said: said, lambda e, a=axis, z=z: _along(e, a(e), (1.0, z(e))))


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
        return (
            factor is not None and spread(factor, e.right.shape) is not None and not e.same(e.right * factor, e.right)
        )

    return Hypothesis("", lambda e: said, test, denies)


def _axes(cases: Cases) -> Iterator[tuple[str, Callable[[Evidence], int]]]:
    """(in words, the axis of a case counted from the end): the op's own one, and those counted from the end."""
    if any(isinstance(e.used.get("axis"), int) for e in cases.failed):
        yield "the op's axis", lambda e: e.axis
    for axis in (-1, -2, -3, -4):
        yield f"axis {axis}", lambda e, axis=axis: axis
    yield "the first axis", lambda e: -e.got.ndim if e.got is not None else -1


def _along(e: Evidence, axis: int, spans: tuple, less_mean: bool = False) -> bool | None:
    """Whether the error is, in each row along `axis`, a combination of the arrays in `spans` (of a constant, if it is
    empty)."""
    if not e.comparable:
        return None if e.silent else False
    unknowns = max(1, len(spans))
    if not 1 <= -axis <= e.got.ndim:
        return False
    if e.got.shape[axis] < unknowns + 2:
        return None
    error = e.got - e.right
    vectors = []
    for z in spans or (1.0,):
        if z is None:
            return False
        if np.ndim(z) and (z.shape != e.got.shape or not np.isfinite(z).all()):
            return False
        z = np.broadcast_to(z, e.got.shape)
        vectors.append(z - np.mean(z, axis=axis, keepdims=True) if less_mean else z)
    rows = [np.moveaxis(v, axis, -1).reshape(-1, e.got.shape[axis]) for v in (error, *vectors)]
    basis = np.stack(rows[1:], axis=-1)  # (rows, n, unknowns)
    fitted = np.einsum("rnk,rk->rn", basis, np.einsum("rkn,rn->rk", np.linalg.pinv(basis), rows[0]))
    if not e.same(fitted, rows[0]):
        return False
    if is_alike(e.got, axis) and is_alike(e.right, axis):  # and so would any error be
        return False
    if len(spans) > 1 and any(_along(e, axis, (z,)) for z in spans):  # here, one of the two is enough
        return None
    return True if enough(error) else None


def _of_dy(cases: Cases) -> Iterator[Hypothesis]:
    """came - right = c · dy · z, or came = c · dy · z, with one number c and z one of the parts: element by element,
    and summed to the input's shape where forward broadcast it."""
    first = cases.failed[0]
    if first.dy is None or any(e.upstream is None for e in cases.failed):
        return
    products = [(name, lambda e, z=z: _product_with_dy(e, z(e))) for name, z in _parts(cases) if name != "dy"]
    is_it = cases.first(_is_it(products, first))
    missing = cases.first(_is_missing(products, first))
    if is_it and missing:
        said = f"{is_it.words(first)}: {missing.words(first)}"
        yield replace(is_it.hypothesis, words=lambda e: said)
    yield from (found.hypothesis for found in (is_it, missing) if found)


def _of_another_dy(cases: Cases) -> Iterator[Hypothesis]:
    """That it is right for another dy, or a number times that: for the sum of all rows in each row (a product of sums
    where a sum of products is right), or for dy · z or dy / z, with z one of the parts."""
    made = []
    for how, of in (("sum", np.sum), ("mean", np.mean)):
        said = f"the {how} of all rows of dy in the place of each: are they added up too early?"
        made.append((f"with {said}", lambda e, of=of: _for_rows_together(e, of)))
    for name, z in _parts(cases):
        if name != "dy":
            times = lambda e, z=z: _for_changed_dy(e, z(e), np.multiply)  # noqa: E731
            over = lambda e, z=z: _for_changed_dy(e, z(e), np.divide)  # noqa: E731
            made.append((f"for dy · {name}: is {name} one factor too many?", times))
            made.append((f"for dy / {name}: is the factor {name} missing?", over))
    first = next((e for e in cases.failed if e.comparable and not e.degenerate), cases.failed[0])
    for said, predict in made:
        if c := _multiple(first, lambda e: e.got, predict):
            times = "" if abs(c - 1) < 1e-6 else f"{c:.4g} times "
            said = f"it is {times}the gradient {said}"
            yield predicting("", said, lambda e, c=c, p=predict: None if (g := p(e)) is None else c * g)


def _for_rows_together(e: Evidence, of) -> np.ndarray | None:
    if e.dy is None or e.dy.ndim < 2 or not e.dy.size:
        return None
    row = of(e.dy.reshape(-1, e.dy.shape[-1]), axis=0)
    return e.right_for((np.broadcast_to(row, e.dy.shape).copy(),))


def _for_changed_dy(e: Evidence, z, of) -> np.ndarray | None:
    if e.dy is None or z is None or spread(z, e.dy.shape) is None or is_alike(z):
        return None
    dy = of(e.dy, z)
    return e.right_for((dy,)) if np.isfinite(dy).all() else None


def _of_a_constant(cases: Cases) -> Iterator[Hypothesis]:
    """That one number is added to what is right, everywhere and in every case."""
    e = next((e for e in cases.failed if e.comparable and not e.degenerate), None)
    if e and is_alike(e.got - e.right):
        c = float(np.mean(e.got - e.right))
        said = f"it is the right one and {c:.4g}, everywhere: is a number added?"
        yield predicting("", said, lambda e: e.right + c)


def _of_an_array(cases: Cases) -> Iterator[Hypothesis]:
    """came - right = c · z, with one number c in all cases and z one of the parts."""
    first = cases.failed[0]
    for name, z in _parts(cases):
        if c := _multiple(first, lambda e: e.got - e.right, lambda e, z=z: _of_its_shape(e, z)):
            said = f"it is the right one and {_times(c)}{name}: is that added by mistake?"
            if c < 0:
                said = f"it is the right one less {_times(-c)}{name}: is that missing, or subtracted by mistake?"
            yield predicting(
                "", said, lambda e, c=c, z=z: None if (a := _of_its_shape(e, z)) is None else e.right + c * a
            )


def _of_its_shape(e: Evidence, z) -> np.ndarray | None:
    """z of this case; None where it has not the gradient's shape."""
    a = z(e)
    return a if a is not None and np.shape(a) == e.right.shape else None


def _product_with_dy(e: Evidence, z) -> np.ndarray | None:
    """dy · z, summed to the shape of the gradient; None where z does not fit."""
    z = None if z is None else spread(z, e.upstream.shape)
    return None if z is None else summed(e.upstream * z, e.right.shape)


def _is_it(products, first: Evidence) -> Iterator[Hypothesis]:
    for name, product in products:
        if c := _multiple(first, lambda e: e.got, product):
            said = f"it is {_times(c)}dy · {name}"
            yield predicting("", said, lambda e, c=c, f=product: None if (a := f(e)) is None else c * a)


def _is_missing(products, first: Evidence) -> Iterator[Hypothesis]:
    for name, product in products:
        if c := _multiple(first, lambda e: e.got - e.right, product):
            said = f"the term {_times(-c)}dy · {name} is missing"
            said += f", or {_times(c)}dy · {name} is one too many" * (c > 0)
            yield predicting("", said, lambda e, c=c, f=product: None if (a := f(e)) is None else e.right + c * a)


def _times(c: float) -> str:
    return "" if abs(c - 1) < 1e-6 else "-" if abs(c + 1) < 1e-6 else f"{c:.4g} · "


def _multiple(e: Evidence, of, product) -> float | None:
    """c, where an array is c times `product`, in this case; None where it is no multiple."""
    if not e.comparable or (z := product(e)) is None or z.shape != e.got.shape or not np.isfinite(z).all():
        return None
    a = of(e)
    squares = float(np.sum(z * z))
    c = float(np.sum(a * z)) / squares if squares else 0.0
    return c if c and e.same(a, c * z) and enough(a) else None


def summed(a, shape: tuple) -> np.ndarray | None:
    """Summed over the axes that `shape` lacks, or has as 1."""
    extra = a.ndim - len(shape)
    if extra < 0:
        return None
    axes = tuple(range(extra)) + tuple(extra + i for i, n in enumerate(shape) if n == 1 and a.shape[extra + i] != 1)
    summed = np.sum(a, axis=axes, keepdims=True)
    return summed.reshape(shape) if summed.shape[extra:] == shape else None


def _parts(cases: Cases) -> list[Part]:
    names = dict.fromkeys(name for e in cases.failed for name in e.ingredients)
    return [(name, lambda e, name=name: e.ingredients.get(name)) for name in names]
