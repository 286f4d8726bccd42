"""Where did the first number that is not finite come from?"""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import Step, Tensor
from tinygrad_gpt.tasks.task import Arrays, Task


def is_finite(x) -> bool:
    return bool(np.isfinite(x).all())


def first_non_finite(model, task: Task, batches: list[Arrays], random_state: dict) -> str:
    """In words: which parameter's gradient, in the order in which backward makes them, was the first with nan or inf.

    batches  what the step read

    Runs the step's forwards and backwards again, from the random numbers that the step began with, one node at a time,
    all of them in sight (`recompute` would hide those of a block). Leaves the model's gradients empty.
    """
    for name, parameter in model.named_parameters():
        if not is_finite(parameter.data):
            return f"the weights {name} were not finite before the step"
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    random_stream.set_random_state(random_state)
    model.zero_grad()
    recompute, model.recompute = model.recompute, False
    try:
        for arrays in batches:
            found = _first_in(task.loss(model, *arrays).total.backward_steps(), names)
            if found:
                return found
    finally:
        model.zero_grad()
        model.recompute = recompute
    return "every gradient was finite, so the norm or the loss itself overflowed"


def _first_in(steps: Iterator[Step], names: dict[int, str]) -> str:
    """The same for one walk; names: id of each parameter -> its name. "" where there is none."""
    origin = ""
    for step in steps:
        for gradient, source in zip(step.grads, step.inputs, strict=True):
            if gradient is None or is_finite(gradient):
                continue
            origin = origin or f"{step.op}[{step.version}]"
            if isinstance(source, Tensor) and id(source) in names:
                return f"the first gradient that is not finite is that of {names[id(source)]}, and comes from {origin}"
    return ""
