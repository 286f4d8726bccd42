"""P11: does each parameter get a gradient, the right one, and move by one step?"""

import copy

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.check.probes.probed import Probed, Question, listed
from tinygrad_gpt.check.probes.subject import Subject, in_float64

QUESTION = Question("P11", "parameters that are not trained rightly")
LR = 1e-3
NEAR = 1e-2  # share of the slope; less is the doing of a relu that bends in between


def parameters(subject: Subject, optimizer, remade) -> Probed:
    """After backward of the loss each trained parameter has a gradient other than 0; along a random direction it is the
    measured slope; and a step moves the parameter, once.

    optimizer  parameters -> an optimiser
    remade     model -> the same Subject of it
    """
    own = remade(copy.deepcopy(subject.model))
    named = {name: p for name, p in own.model.named_parameters() if p.requires_grad and name not in own.not_used}
    if not named:
        return QUESTION.not_asked("all its parameters are frozen")
    own.model.zero_grad()
    loss_of(own).backward()
    idle = [name for name, p in named.items() if p.grad is None or not np.any(to_numpy(p.grad))]
    if idle:
        layers = {name.rpartition(".")[0] for name in idle}
        why = f"no gradient reaches {listed(idle)}"
        return QUESTION.wrong(len(idle), "none", why, *_of_idle(layers, own))
    wide = in_float64(subject, remade)
    if wide and (wrong := _wrong_slopes(wide)):
        why = f"the gradient is not the slope of the loss for {listed(wrong)}"
        return QUESTION.wrong(len(wrong), "none", why, "M06", "G12", "G20")
    before = {name: to_numpy(p.data).copy() for name, p in named.items()}
    optimizer(list(own.model.parameters())).step()
    moved = {name: np.abs(to_numpy(p.data) - before[name]).max() for name, p in named.items()}
    still = [name for name, by in moved.items() if by == 0]
    if still:
        why = f"a step of the optimiser does not move {listed(still)}, which have gradients"
        return QUESTION.wrong(len(still), "none", why, "T19")
    far = [name for name, by in moved.items() if by > 1.5 * LR * (1 + np.abs(before[name]).max())]
    if far:
        why = f"a step with a learning rate of {LR:g} moves {listed(far)} by {moved[far[0]] / LR:.3g} of it"
        return QUESTION.wrong(len(far), "none", why, "M07")
    return QUESTION.right(0, "none")


def loss_of(subject: Subject):
    """The loss; of a model without one, the mean of its answers with random weights."""
    if subject.loss is not None:
        return subject.loss(subject.ids, *subject.targets)
    answers = subject.answers(subject.ids)
    u = np.random.default_rng(0).standard_normal(answers.shape).astype(answers.dtype)
    return F.mean(answers * np.asarray(u, like=answers.data))


def _wrong_slopes(subject: Subject) -> list[str]:
    """Names of parameters whose gradient is not the slope that is measured, in float64, along a random direction: of
    all at once; one by one only if that is wrong."""
    model, rng = subject.model, np.random.default_rng(0)
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    along = {name: rng.standard_normal(p.shape) for name, p in named.items()}
    pad = getattr(model.config, "pad_token_id", None)
    for direction in along.values():
        if pad is not None and len(direction) == model.config.vocab_size:
            direction[pad] = 0  # padding's vector is not trained
    model.zero_grad()
    loss_of(subject).backward()
    slopes = {name: float(np.sum(to_numpy(p.grad) * along[name])) for name, p in named.items() if p.grad is not None}
    largest = max(map(abs, slopes.values()))

    def is_wrong(names) -> bool:
        measured = _measured(subject, {name: (named[name], along[name]) for name in names})
        return abs(measured - sum(slopes[name] for name in names)) > NEAR * max(abs(measured), largest)

    return [name for name in slopes if is_wrong([name])] if is_wrong(slopes) else []


def _measured(subject: Subject, directions: dict, h: float = 1e-7) -> float:
    """(L(θ + h d) - L(θ - h d)) / 2h"""
    losses = []
    for sign in (1, -1):
        for p, d in directions.values():
            p.data += np.asarray(sign * h * d, like=p.data)
        with no_grad():
            losses.append(float(loss_of(subject).item()))
        for p, d in directions.values():
            p.data -= np.asarray(sign * h * d, like=p.data)
    return (losses[0] - losses[1]) / (2 * h)


def _of_idle(layers: set[str], subject: Subject) -> tuple[str, ...]:
    """A norm alone: another one is called in its place. An encoder: nobody reads it."""
    if all("norm" in layer or "ln" in layer for layer in layers):
        return ("N15", "T19", "G20")
    if subject.sources and any("encoder" in layer for layer in layers):
        return ("A19", "G20", "T19")
    return ("T19", "G20")
