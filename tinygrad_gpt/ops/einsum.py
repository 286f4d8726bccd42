"""Sums of products whose axes have letters: einsum("bqd,bkd->bqk", q, k) is the scores of attention.

    subscripts  a letter for each axis of each array, with commas between the arrays; "->"; the letters of y
    arrays      float arrays, one or more
    y           for all values of its letters, the sum over all values of the others of the product of the elements

    y[b, q, k] = Σ_d q[b, q, d] k[b, k, d]

A letter that comes twice in one array takes its diagonal ("ii->i"). "..." stands for any number of further axes, which
broadcast; so does a size of 1 at any letter. Without "->" y has the axes of "..." and then, in alphabetical order, the
letters that come just once: "ij,jk" is the product of two matrices.

All of it is one formula, with x^1 ... x^n the arrays and the sum over the letters that y lacks:

    y[out] = Σ x^1[term 1] x^2[term 2] ... x^n[term n]

Backward. y is linear in each array, and an element of x^k meets dy times the elements of all the others. So its
gradient is the sum of such products over the letters that term k lacks. This is an einsum again, in which dy stands in
the place of x^k and the letters of the two, out and term k, are exchanged:

    dx^k[term k] = Σ dy[out] ∏_{m ≠ k} x^m[term m]

For "ij,jk->ik", the matrix product, it says da = einsum("ik,jk->ij", dy, b) = dy bᵀ and db = einsum("ik,ij->jk", dy, a)
= aᵀ dy. Three kinds of letters need a word more:

    that stands in term k alone     x^k was summed over it by itself: every element there has the same gradient
    twice in term k                 only the diagonal was used: it has the gradient, the rest 0
    of size 1 in x^k, more in others   it was broadcast: dx^k is summed over it

Saved are the arrays and their letters.
"""

import re
import string
from typing import NamedTuple

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.ops._shapes import along, check_floats, sum_to_shape


class Saved(NamedTuple):
    arrays: tuple[Array, ...]
    terms: tuple[str, ...]  # the letters of each array, without "..."
    out: str  # and of y


def check(*arrays, subscripts):
    """Raises TypeError for integers, ValueError for subscripts that are none or don't fit the arrays."""
    check_floats("einsum", *arrays)
    letters(subscripts, [tuple(a.shape) for a in arrays])


def forward(*arrays, subscripts):
    terms, out = letters(subscripts, [a.shape for a in arrays])
    return _sum_of_products(arrays, terms, out), Saved(arrays, terms, out)


def backward(dy, saved):
    return tuple([_gradient(dy, saved, k) for k in range(len(saved.arrays))])


def _gradient(dy: Array, saved: Saved, k: int) -> Array:
    """The gradient of array k."""
    arrays, terms, out = saved
    x, term = arrays[k], terms[k]
    others, their_terms = (dy, *arrays[:k], *arrays[k + 1 :]), (out, *terms[:k], *terms[k + 1 :])
    once = "".join(dict.fromkeys(term))  # each letter once
    known = [letter for letter in once if any(letter in other for other in their_terms)]
    # y[out] = sum(x1[term1] * x2[term2] * ...)
    dx = _sum_of_products(others, their_terms, "".join(known))
    # back to x's sizes: a letter of x alone is stretched, one that x has with size 1 is summed
    sizes = iter(dx.shape)
    dx = dx.reshape(tuple([next(sizes) if letter in known else 1 for letter in once]))
    shape = tuple([x.shape[term.index(letter)] for letter in once])
    dx = sum_to_shape(dx, tuple([1 if n == 1 else m for n, m in zip(shape, dx.shape, strict=True)]))
    dx = np.broadcast_to(dx, shape)
    if once == term:
        return dx
    whole = np.zeros_like(dx, shape=x.shape)
    whole[tuple([along(once.index(letter), n, dx) for letter, n in zip(term, x.shape, strict=True)])] = dx
    return whole


def _sum_of_products(arrays: tuple, terms: tuple, out: str) -> Array:
    """NumPy's own, in the order of products that it finds best, by matrix products where they will do."""
    return np.einsum(f"{','.join(terms)}->{out}", *arrays, optimize=True)


def letters(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[tuple[str, ...], str]:
    """The letters of each array and of y, with letters of its own for each axis of "...". Raises ValueError."""

    def wrong(why: str) -> ValueError:
        return ValueError(f'einsum: expected subscripts such as "ij,jk->ik", got {subscripts!r}: {why}')

    inputs, arrow, out = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    for term in (*terms, out):
        if not re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", term):
            raise wrong(f'{term!r} is not letters, with at most one "..."')
    if len(terms) != len(shapes):
        raise wrong(f"{len(terms)} terms for {len(shapes)} arrays")
    spare = [letter for letter in string.ascii_letters if letter not in subscripts]
    most = max(len(shape) for shape in shapes)  # axes that "..." can stand for
    if most > len(spare):
        raise wrong("too many letters")
    further = 0  # axes that it does stand for
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        axes = len(shape) - len(term.replace("...", ""))
        if axes < 0 or (axes > 0 and "..." not in term):
            raise wrong(f"{term!r} for an array of shape {shape}")
        terms[i] = term.replace("...", "".join(spare[most - axes : most]))  # the last one is the same for all
        further = max(further, axes)
    if arrow:
        out = out.replace("...", "".join(spare[most - further : most]))
    else:
        every = "".join(terms)
        out = "".join([*spare[most - further : most], *sorted(c for c in set(every) - {*spare} if every.count(c) == 1)])
    _check_sizes(terms, shapes, wrong)
    if len(set(out)) < len(out) or not set(out) <= set("".join(terms)):
        raise wrong("y has a letter twice, or one that no array has")
    return tuple(terms), out


def _check_sizes(terms: list[str], shapes: list[tuple[int, ...]], wrong) -> None:
    """Raise unless the axes with one letter have one size, or 1."""
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        within = dict(zip(term, shape, strict=True))
        for letter, n in zip(term, shape, strict=True):
            if n != within[letter] or (n != 1 and sizes.setdefault(letter, n) != n):
                raise wrong(f"axes of one letter differ in size, for arrays of shapes {', '.join(map(str, shapes))}")
