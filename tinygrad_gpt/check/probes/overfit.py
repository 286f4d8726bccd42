"""P5: can it learn one batch by heart? Whatever cannot do that learns nothing else."""

import copy

from tinygrad_gpt.check.probes.probed import Probed, Question
from tinygrad_gpt.check.probes.subject import Subject
from tinygrad_gpt.optim import clip_grad_norm

QUESTION = Question("P5", "what training on one batch leaves of its loss")
MOST = 0.3


def overfit(subject: Subject, optimizer, remade, steps: int) -> Probed:
    """Some steps on the same few rows bring the loss near 0. It ends as soon as it is low enough.

    optimizer  parameters -> an optimiser
    remade     model -> the same Subject of it: a copy is trained
    steps      at most
    """
    if subject.loss is None:
        return QUESTION.not_asked("it has no loss")
    if steps < 1:
        return QUESTION.not_asked("no steps are allowed for it")
    own = remade(copy.deepcopy(subject.model))
    params = [p for p in own.model.parameters() if p.requires_grad]
    train, losses = optimizer(params), []
    for _ in range(steps + 1):
        own.model.zero_grad()
        loss = own.loss(own.ids, *own.targets)
        losses.append(float(loss.item()))
        if not losses[-1] > MOST * losses[0]:  # nan, too
            break
        loss.backward()
        clip_grad_norm(params, 1.0)
        train.step()
    share, expected = losses[-1] / losses[0], f"at most {MOST:g} within {steps} steps"
    if share <= MOST:
        return QUESTION.right(share, expected)
    why = f"{len(losses) - 1} steps on one batch bring the loss from {losses[0]:.4g} to {losses[-1]:.4g}, and no lower"
    return QUESTION.wrong(share, expected, why, "C09", "G20", "T19")
