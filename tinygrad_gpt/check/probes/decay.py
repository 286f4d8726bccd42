"""P16: does weight decay spare biases and norms?

With a gradient of 0, nothing but decay moves a parameter.
"""

from collections.abc import Callable, Iterable

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.check.probes.probed import Probed, Question, listed

QUESTION = Question("P16", "biases and norms that decay")


def decay(step: Callable[[], object], named: Iterable[tuple[str, Tensor]]) -> Probed:
    """A step of the optimiser on gradients of 0 shrinks matrices, if anything. The parameters are afterwards as they
    were; the optimiser has made a step.

    step   () -> nothing: one step of an optimiser of these parameters, with its weight decay
    named  (name, parameter), as model.named_parameters()
    """
    named = {name: p for name, p in named if p.requires_grad}
    before = {name: p.data.copy() for name, p in named.items()}
    try:
        for p in named.values():
            p.data[...] = 1  # what is 0 cannot shrink
            p.grad = np.zeros_like(p.data)
        step()
        shrunk = [name for name, p in named.items() if (to_numpy(p.data) < 1).any()]
    finally:
        for name, p in named.items():
            p.data[...], p.grad = before[name], None
    if not shrunk:
        return QUESTION.not_asked("nothing decays")
    spared = [name for name in shrunk if named[name].ndim < 2]
    if not spared:
        return QUESTION.right(0, "none")
    why = f"a step with gradients of 0 shrinks {listed(spared)}"
    return QUESTION.wrong(len(spared), "none", why, "T11")
