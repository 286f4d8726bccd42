"""Inputs for checking ops: for each op, the cases on which every version of it must be right.

    for case in cases("layer_norm"):
        y, saved = pair.forward(*case.arrays, **case.settings)

Shapes are chosen to be awkward: no two sizes equal, so that a swapped axis shows; odd sizes rather than 2 and 4, which
are constants of formulas as well; sizes of 1, where broadcasting and reductions have their corners; sizes of 0, where
they are legal; sizes just past a power of two, where a kernel's blocks end, and beyond many of them; and arrays that do
not lie in memory row by row. Values are float64, the same at every call, and keep clear of kinks (a tie of two maxima,
the 0 of relu), which have cases of their own. Where two sizes are equal (named "square"), a wrong transpose fits.

    draw.py         random arrays, and the ways in which they lie in memory
    elementwise.py  cases of the ops that work element by element
    arranging.py    cases of the ops that reduce, rearrange, pick, join and cut
    layers.py       cases of the ops that layers are made of
    large.py        cases beyond every block of a kernel
    kinks.py        cases at kinks and ties, where an op has no derivative
    given.py        cases that a user gives for an op of their own, as arrays or shapes
    case.py         what a case is

`arrays` holds all that forward takes, None included, so that backward returns just as many gradients.
"""

from tinygrad_gpt.cases import arranging, elementwise, kinks, layers
from tinygrad_gpt.cases import large as beyond_blocks
from tinygrad_gpt.cases.case import Case
from tinygrad_gpt.cases.draw import Draw
from tinygrad_gpt.cases.given import HOW_TO_GIVE, given_cases
from tinygrad_gpt.kernels import catalogue

# op -> a generator of what a Case is made of
_MAKERS = elementwise.MAKERS | arranging.MAKERS | layers.MAKERS


def cases(op: str, large: bool = True) -> list[Case]:
    """The cases of `op`, with fresh arrays; without the `large` ones, if so asked, where all work is slow. For an op of
    the user's own, the cases that it was made with.

    Raises ValueError for a name that is no op, and for an op without cases.
    """
    if own := catalogue.own_op(op):
        if own.cases is None:
            raise ValueError(f"there are no cases for {op}: give it cases=, {HOW_TO_GIVE}")
        return given_cases(op, own.cases, own)
    if op not in _MAKERS:
        raise ValueError(catalogue.no_such_op(op))
    made = [*_MAKERS[op](Draw(op))]
    if op in kinks.MAKERS:
        made += kinks.MAKERS[op](Draw(f"{op}, kinks"))
    if large:
        made += beyond_blocks.MAKERS[op](Draw(f"{op}, large"))
    return [Case(*parts) for parts in made]
