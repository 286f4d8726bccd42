"""Inputs for checking ops: for each op, the cases on which every version of it must be right.

    for case in cases("layer_norm"):
        y, saved = pair.forward(*case.arrays, **case.settings)

Shapes are chosen to be awkward: no two sizes equal, so that a swapped axis shows; sizes of 1, where broadcasting and
reductions have their corners; sizes of 0, where they are legal; sizes just past a power of two, where a kernel's blocks
end, and beyond many of them; and arrays that do not lie in memory row by row. Values are float64, the same at every
call, and keep clear of kinks (a tie of two maxima, the 0 of relu), which have cases of their own.

    draw.py         random arrays, and the ways in which they lie in memory
    elementwise.py  cases of the ops that work element by element
    arranging.py    cases of the ops that reduce, rearrange, pick, join and cut
    layers.py       cases of the ops that layers are made of
    large.py        cases beyond every block of a kernel
    kinks.py        cases at kinks and ties, where an op has no derivative

`arrays` holds all that forward takes, None included, so that backward returns just as many gradients.
"""

from dataclasses import dataclass

from tinygrad_gpt.cases import arranging, elementwise, kinks, layers
from tinygrad_gpt.cases import large as beyond_blocks
from tinygrad_gpt.cases.draw import Draw
from tinygrad_gpt.kernels.registry import op_names

# op -> a generator of what a Case is made of
_MAKERS = elementwise.MAKERS | arranging.MAKERS | layers.MAKERS


@dataclass(frozen=True)
class Case:
    """One call of an op: `forward(*arrays, **settings)`. Floats are float64.

    kink  what the op's file states about the gradient here, where there is no derivative to measure; "" elsewhere
    """

    name: str
    arrays: tuple
    settings: dict
    kink: str = ""


def cases(op: str, large: bool = True) -> list[Case]:
    """The cases of `op`, with fresh arrays; without the `large` ones, if so asked, where all work is slow.

    Raises ValueError for a name that is no op.
    """
    if op not in _MAKERS:
        raise ValueError(f"there are no cases for {op!r}; the ops are {', '.join(op_names())}")
    made = [*_MAKERS[op](Draw(op))]
    if op in kinks.MAKERS:
        made += kinks.MAKERS[op](Draw(f"{op}, kinks"))
    if large:
        made += beyond_blocks.MAKERS[op](Draw(f"{op}, large"))
    return [Case(*parts) for parts in made]
