"""Mistakes in what trains a model: the optimiser, clipping, the schedule, the accumulation of gradients, the loss."""

from dataclasses import replace

import numpy as np
import pytest

from tests.check.probes.small import CONFIG, Small
from tinygrad_gpt import functional as F
from tinygrad_gpt.check.probes import (
    clipping,
    decay,
    first_steps,
    held_out,
    labels,
    parts,
    probe,
    schedule,
    subject_of,
    with_task,
)
from tinygrad_gpt.optim import (
    SGD,
    Adam,
    AdamW,
    clip_grad_norm,
    decay_matrices,
    inverse_sqrt,
    noam,
    warmup_cosine,
    warmup_linear,
)
from tinygrad_gpt.tasks.arrays import Windows

# --- the optimiser ---------------------------------------------------------------------------------------------------


class Plain:
    """AdamW as one writes it, with a switch for each mistake."""

    corrected = decoupled = own_state = True
    eps_inside = False
    first = 1

    def __init__(self, params, lr, betas, eps, weight_decay):
        self.params, self.lr, self.betas, self.eps, self.decay = list(params), lr, betas, eps, weight_decay
        self.t = self.first - 1
        self.m = [np.zeros_like(p.data) for p in self.params]
        self.v = [np.zeros_like(p.data) for p in self.params]

    def step(self):
        self.t += 1
        b1, b2 = self.betas
        if not self.own_state:
            self.m = self.m[1:] + self.m[:1]
        for i, p in enumerate(self.params):
            g = p.grad + (0 if self.decoupled else self.decay * p.data)
            self.m[i] = b1 * self.m[i] + (1 - b1) * g
            self.v[i] = b2 * self.v[i] + (1 - b2) * g * g
            m, v = self.m[i], self.v[i]
            if self.corrected:
                m, v = m / (1 - b1**self.t), v / (1 - b2**self.t)
            root = np.sqrt(v + self.eps) if self.eps_inside else np.sqrt(v) + self.eps
            if self.decoupled:
                p.data -= np.float32(self.lr * self.decay) * p.data
            p.data -= np.float32(self.lr) * (m / root).astype(np.float32)


@pytest.mark.parametrize(
    ("switches", "mistake"),
    [
        ({"corrected": False}, "T07"),
        ({"first": 0}, "T08"),
        ({"first": 2}, "T08"),
        ({"eps_inside": True}, "T09"),
        ({"decoupled": False}, "T10"),
        ({"own_state": False}, "T12"),
    ],
)
def test_a_mistake_in_the_optimiser(switches, mistake):
    verdict = first_steps(type("Wrong", (Plain,), switches))
    assert verdict.ok is False and verdict.mistakes == (mistake,)


def test_right_optimisers():
    assert first_steps(Plain).ok and first_steps(AdamW).ok
    assert first_steps(Adam, decoupled=False).ok and first_steps(Adam).mistakes == ("T10",)


# --- clipping --------------------------------------------------------------------------------------------------------


def each_alone(params, limit):
    for p in params:
        clip_grad_norm([p], limit)


def by_value(params, limit):
    for p in params:
        np.clip(p.grad, -limit, limit, out=p.grad)


def not_enough(params, limit):
    clip_grad_norm(params, 2 * limit)


def always(params, limit):
    norm = np.sqrt(sum(float((p.grad**2).sum()) for p in params))
    for p in params:
        p.grad *= np.float32(limit / norm)


@pytest.mark.parametrize(
    ("clip", "mistakes"), [(each_alone, ("T15",)), (by_value, ("T15",)), (not_enough, ("T16",)), (always, ())]
)
def test_a_mistake_in_clipping(clip, mistakes):
    verdict = clipping(clip)
    assert verdict.ok is False and verdict.mistakes == mistakes


def test_right_clipping():
    assert clipping(clip_grad_norm).ok


# --- the schedule ----------------------------------------------------------------------------------------------------

ENDS = dict(warmup=10, total=200, lr=1.0, min_lr=0.1)


def right(step):
    return warmup_cosine(step, **ENDS)


@pytest.mark.parametrize(
    ("rate", "mistake"),
    [
        (lambda step: right(step - 1) if step else 0.0, "T13"),  # one behind
        (lambda step: right(max(0, step - 1)), "T13"),
        (lambda step: right(step) if step < 10 else right(10), "T14"),  # never falls
        (lambda step: right(4 * step), "T13"),  # called for each of four parts
        (lambda step: right(step // 4), "T13"),
        (lambda step: max(right(step), right(10)) if step > 10 else right(10) * step / 1e4 + 1e-9, "T13"),
        (lambda step: right(step) if step <= 10 else right(10 + 2 * (step - 10)), "T14"),
        (lambda step: 0.5 * right(step), "T13"),
    ],
)
def test_a_mistake_in_the_schedule(rate, mistake):
    verdict = schedule(rate, **ENDS)
    assert verdict.ok is False and mistake in verdict.mistakes


@pytest.mark.parametrize("warmup", [0, 1, 2, 10, 300])
@pytest.mark.parametrize("total", [1, 5, 200, 12_345])
def test_right_schedules(warmup, total):
    ends = dict(warmup=warmup, total=total)
    for made in (warmup_cosine, warmup_linear):
        for min_lr in (0.0, 0.1, 1.0):
            verdict = schedule(lambda step: made(step, lr=1.0, min_lr=min_lr, **ends), lr=1.0, min_lr=min_lr, **ends)  # noqa: B023
            assert verdict.ok, verdict.why
    assert schedule(lambda step: inverse_sqrt(step, lr=1.0, warmup=warmup), lr=1.0, **ends).ok
    peak = (64 * max(1, warmup)) ** -0.5
    assert schedule(lambda step: noam(step, d_model=64, warmup=warmup), lr=peak, **ends).ok


# --- accumulation ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return Small()


@pytest.fixture(scope="module")
def batch():
    """Two texts of six tokens, and of four labels and one."""
    ids = np.arange(24).reshape(4, 6) % CONFIG.vocab_size
    labels = np.roll(ids, -1, axis=1)
    labels[0, 4:] = labels[1:, 1:] = -100
    return ids, labels


def step_of(model, weigh, clear=True, keep=True):
    """A training step on several batches; weigh(labels of one, labels of all) is the weight of its mean loss."""

    def step(batches):
        if clear:
            model.zero_grad()
        for ids, targets in batches:
            if not keep:
                model.zero_grad()
            loss = F.cross_entropy(model(ids), targets)
            loss.backward(np.full_like(loss.data, weigh(targets, [of for _, of in batches])))

    return step


def by_tokens(one, every):
    return (one >= 0).sum() / sum((labels >= 0).sum() for labels in every)


@pytest.mark.parametrize(
    ("how", "mistake"),
    [
        (dict(weigh=lambda one, every: 1 / len(every)), "T05"),
        (dict(weigh=lambda one, every: 1.0), "T05"),
        (dict(weigh=lambda one, every: len(one) / sum(map(len, every))), "T05"),
        (dict(weigh=by_tokens, clear=False), "T06"),
        (dict(weigh=lambda one, every: 1.0, keep=False), "G12"),
    ],
)
def test_a_mistake_in_accumulation(model, batch, how, mistake):
    model.zero_grad()
    verdict = parts(step_of(model, **how), list(model.parameters()), batch, cut=1)
    assert verdict.ok is False and verdict.mistakes[0] == mistake


def test_right_accumulation(model, batch):
    assert parts(step_of(model, by_tokens), list(model.parameters()), batch, cut=1).ok


# --- decay -----------------------------------------------------------------------------------------------------------


def decaying(model, params):
    return decay(AdamW(params, lr=1e-3, weight_decay=0.1).step, model.named_parameters())


def test_decay_on_all_parameters(model):
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    verdict = decaying(model, model.named_parameters())
    vectors = sum(p.ndim < 2 for p in model.parameters())
    assert verdict.ok is False and verdict.mistakes == ("T11",) and verdict.measured == vectors
    assert "blocks.0.ln_1" in verdict.why
    assert all(np.array_equal(p.data, before[name]) and p.grad is None for name, p in model.named_parameters())


def test_right_decay(model):
    assert decaying(model, decay_matrices(model.named_parameters(), 0.1)).ok
    assert decaying(model, decay_matrices(model.named_parameters(), 0.0)).ok is None


# --- labels, and what is held out ------------------------------------------------------------------------------------


class NotShifted(Windows):
    def batch(self, step):
        x, _ = super().batch(step)
        return x, x


class ShiftedTwice(Windows):
    def batch(self, step):
        x, y = super().batch(step)
        return x[:, :-1], y[:, 1:]


class LossShiftsToo(Windows):
    def loss(self, model, x, y):
        return super().loss(model, x[:, :-1], y[:, 1:])


def asked_of(model, kind):
    ids = np.random.default_rng(0).integers(0, CONFIG.vocab_size, 300)
    task = kind(ids, None, 10, like=next(model.parameters()).data, batch_size=3)
    return labels(with_task(subject_of(model), task), lambda model: with_task(subject_of(model), task))


@pytest.mark.parametrize(("kind", "mistake"), [(NotShifted, "T02"), (ShiftedTwice, "T01"), (LossShiftsToo, "T01")])
def test_a_mistake_in_the_labels(model, kind, mistake):
    verdict = asked_of(model, kind)
    assert verdict.ok is False and verdict.mistakes == (mistake,), verdict.why


def test_right_labels(model):
    assert asked_of(model, Windows).ok


class EvaluatesOnTraining(Windows):
    def _held_out(self):
        self.val, val = self.ids, self.val
        try:
            yield from super()._held_out()
        finally:
            self.val = val


@pytest.mark.parametrize(("kind", "right"), [(Windows, True), (EvaluatesOnTraining, False)])
def test_what_is_held_out(kind, right):
    model = Small(replace(CONFIG, block_size=32))
    ids, val = np.random.default_rng(0).integers(0, CONFIG.vocab_size, (2, 400))
    task = kind(ids, val, 32, like=next(model.parameters()).data, batch_size=4)
    verdict = held_out(task, model, 30)
    assert verdict.ok is right and verdict.mistakes == (() if right else ("T18",))
    short = Windows(ids, val, 8, like=next(model.parameters()).data, batch_size=4)
    assert held_out(short, model, 30).ok is None


# --- the loss, and the whole -----------------------------------------------------------------------------------------


class TwoSoftmaxes(Small):
    def loss(self, ids, targets):
        return F.cross_entropy(F.softmax(self(ids)), targets)


def test_a_loss_that_takes_a_softmax_of_probabilities():
    verdict = probe(TwoSoftmaxes(), steps=40)["P5"]
    assert verdict.ok is False and verdict.mistakes[0] == "C09"


class Forgetful(AdamW):
    """It was given all but the last parameter."""

    def __init__(self, params, **settings):
        super().__init__(list(params)[:-1] or params, **settings)


class Twice(AdamW):
    """It has the first parameter twice, as one has a tied one."""

    def step(self, grad_scale=1.0):
        super().step()
        others = [(p, p.grad) for p in self.parameters()[1:]]
        for p, _ in others:
            p.grad = None
        super().step()
        for p, grad in others:
            p.grad = grad


@pytest.mark.parametrize(("optimizer", "mistake"), [(Forgetful, "T19"), (Twice, "M07")])
def test_parameters_that_the_optimiser_does_not_move_once(model, optimizer, mistake):
    verdict = probe(model, steps=0, optimizer=optimizer)["P11"]
    assert verdict.ok is False and verdict.mistakes == (mistake,)


def test_an_optimiser_that_is_no_adam(model):
    def sgd(params, lr, betas, eps, weight_decay):
        return SGD(params, lr=lr)

    assert probe(model, steps=0, optimizer=sgd)["P10"].ok is False


def test_the_model_is_as_it_was(model):
    before, modes = {name: a.copy() for name, a in model.state_dict().items()}, model.train().training
    probe(model, steps=20)
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())
    assert model.training == modes and all(p.grad is None and p.requires_grad for p in model.parameters())
