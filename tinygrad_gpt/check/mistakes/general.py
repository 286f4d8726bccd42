"""Mistakes that can be made in the backward of any op. They have signatures instead of entries: what came is compared
with the right gradient, not with that of a wrong pair (check/diagnosis.py), some break the contract (check/case.py).
"""

from tinygrad_gpt.check.mistakes.entry import of_no_op

MISTAKES = (
    of_no_op(
        "G01",
        "the upstream gradient is ignored",
        why="the loss reaches x through the output, so ∂L/∂x is dy times the op's own derivative",
        look="does dy stand in every line that a gradient is made in?",
        source="https://github.com/pytorch/pytorch/issues/2710",
    ),
    of_no_op(
        "G02",
        "dy is passed on as it came",
        why="dy is ∂L/∂y; the chain rule multiplies it with ∂y/∂x",
        look="if x changes a little, by how much does y?",
    ),
    of_no_op(
        "G03",
        "an input's gradient is dropped: None, or zeros",
        why="an input that changes the output changes the loss, so its gradient is not zero",
        look="which inputs does forward use, and does each of them get its gradient?",
    ),
    of_no_op(
        "G04",
        "the sign is flipped",
        why="one step against this gradient goes uphill",
        look="if x grows, does the output grow or shrink?",
    ),
    of_no_op(
        "G05",
        "the gradients are returned in another order",
        why="the first gradient belongs to the first array that forward takes, and so on",
        look="in which order does forward take its arrays?",
    ),
    of_no_op(
        "G06",
        "the derivative is taken at y instead of x",
        why="f'(x) may be written with y only if the formula is rewritten for it, as y (1 - y) for the sigmoid",
        look="is what was saved the input or the output, and for which of them is the formula?",
    ),
    of_no_op(
        "G07",
        "what forward broadcast is not summed in backward",
        why="one number that was used many times collects the gradient of each use",
        look="is the gradient of the shape of its input?",
        source="https://github.com/pytorch/pytorch/issues/1787",
    ),
    of_no_op(
        "G08",
        "what forward broadcast is averaged in backward",
        why="each use of a number adds to its gradient; nothing is divided by how often it was used",
        look="if a number is used twice, by how much does the sum of both outputs move?",
    ),
    of_no_op(
        "G09",
        "summed over an axis too many",
        why="only the axes along which forward stretched an input are summed; the others tell its elements apart",
        look="which axes has the input itself?",
    ),
    of_no_op(
        "G10",
        "transposed",
        why="element [i, j] of a gradient belongs to element [i, j] of its input",
        look="write the shapes beside each factor of the product: in which order do they fit?",
    ),
    of_no_op(
        "G11",
        "the right numbers in other places: reshaped instead of transposed",
        why="reshape keeps the order in memory, transpose changes it",
        look="where does element [0, 1] stand after the reshape?",
        source="https://github.com/harvardnlp/annotated-transformer/issues/17",
    ),
    of_no_op(
        "G15",
        "something that backward needs is kept outside of saved",
        why="between a forward and its backward others run, and overwrite what they share",
        look="what happens if the op is used twice before backward begins?",
    ),
    of_no_op(
        "G16",
        "an input, a saved array or dy is changed in place",
        why="other ops read the same array, and read the change",
        look="which lines write into an array that was not made in this function?",
    ),
    of_no_op(
        "G17",
        "a gradient shares memory with an input, a saved array or an earlier gradient",
        why="gradients are added up in place, which then changes what they share memory with",
        look="is what is returned a new array, or a view?",
    ),
    of_no_op(
        "G18",
        "another dtype than the inputs'",
        why="one float64 number turns all that follows into float64: twice the memory, half the speed",
        look="which number in the formula is none of Python's own?",
    ),
    of_no_op(
        "G19",
        "a gradient for integers",
        why="an id or a label cannot move by a small step, so there is no derivative: the contract says None",
        look="which inputs are floats?",
    ),
    of_no_op(
        "G21",
        "a part of dy is left out: a loop that ends early, or one row in place of all",
        why="every element of dy carries a part of the gradient",
        look="what are the first and the last index that the loop, or the slice, reaches?",
        source="https://github.com/FlagOpen/FlagGems/pull/5392",
    ),
)
