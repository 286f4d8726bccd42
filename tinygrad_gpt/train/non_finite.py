"""Find where the first number that is not finite came from."""

from collections.abc import Iterator

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import Step, Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.tasks.task import Arrays, Task


class NotFinite(UserError):  # noqa: N818 - it says what the loss is
    """A run ended because its loss or its gradient was not finite: it diverged."""


def first_non_finite(model, task: Task, batches: list[Arrays], random_state: dict) -> str:
    """Say which parameter's gradient was the first with nan or inf, in the order in which backward makes them.

    batches  what the step read

    Runs the step's forwards and backwards again, one node at a time, from the random numbers that the step began with.
    `recompute` is off, since it would hide the nodes of a block. Leaves the model's gradients empty.
    """
    for name, parameter in model.named_parameters():
        if not np.isfinite(parameter.data).all():
            return f"the weights {name} were not finite before the step"
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    random_stream.set_random_state(random_state)
    model.zero_grad()
    recompute = getattr(model, "recompute", False)
    if recompute:
        model.recompute = False
    try:
        for arrays in batches:
            found = _first_in(task.loss(model, *arrays).total.backward_steps(), names)
            if found:
                return found
    finally:
        model.zero_grad()
        if recompute:
            model.recompute = True
    return "every gradient was finite, so the norm or the loss itself overflowed"


def _first_in(steps: Iterator[Step], names: dict[int, str]) -> str:
    """Say which gradient was the first that is not finite in one backward pass, "" if all are finite.

    names  id of each parameter -> its name
    """
    origin = ""
    for step in steps:
        for gradient, source in zip(step.grads, step.inputs, strict=True):
            if gradient is None or np.isfinite(gradient).all():
                continue
            origin = origin or step.place
            if isinstance(source, Tensor) and id(source) in names:
                return f"the first gradient that is not finite is that of {names[id(source)]}, and comes from {origin}"
    return ""
