"""Is this model right? Probes that ask a whole model, an optimiser or a training loop what its parts do not tell.

    report = probe(model)        # any model with forward(ids (B, T)) -> logits (B, T, V) and a config, or one of ours
    print(report)                # each question, what was measured, what is expected; where to look if it is wrong
    report["P2"].mistakes        # ("A13",): the mask lets each place see the next token

    start.py       P1   the loss at the start is that of a blind guess
    future.py      P2   no place sees tokens that it may not see
    rows.py        P3   no row of a batch sees another one
    order.py       P4   the order of tokens matters
    overfit.py     P5   one batch can be learned by heart
    evaluation.py  P6   evaluation gives the same twice
    padding.py     P7   padding changes nothing
    parts.py       P8   the gradients of parts add up to that of the whole
    cache.py       P9   reading with a cache is reading without
    optimizer.py   P10  the optimiser's first steps
    parameters.py  P11  each parameter gets its gradient, and moves
    entropy.py     P12  attention looks everywhere at first
    scale.py            and its scores have their scale
    clipping.py    P13  clipping keeps the direction
    schedule.py    P14  the learning rate at its ends
    labels.py      P15  each place is asked for the token after it
    decay.py       P16  weight decay spares biases and norms
    norms.py       P17  norms stand where the config says
    held_out.py    P18  evaluation reads what training does not

    subject.py     a model as the probes see it
    kinds.py       what kind of model it is, by what it says of itself
    dependence.py  what depends on what, by gradient
    probed.py      verdicts, and the report that holds them

What may be wrong stands in the bank (check/mistakes), by its id: a sentence, why, and where to look.

A probe is a plain function from a Subject (or an optimiser, a clip, a schedule, a step, a task) to a verdict: right,
WRONG, or that it does not apply, and why. It reads a few short rows, and leaves the model as it was.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from tinygrad_gpt.check.probes import (
    cache,
    entropy,
    evaluation,
    future,
    norms,
    order,
    overfit,
    padding,
    parameters,
    rows,
    start,
)
from tinygrad_gpt.check.probes.clipping import clipping
from tinygrad_gpt.check.probes.decay import decay
from tinygrad_gpt.check.probes.dependence import dependence
from tinygrad_gpt.check.probes.held_out import held_out
from tinygrad_gpt.check.probes.kinds import subject_of
from tinygrad_gpt.check.probes.labels import QUESTION as LABELS
from tinygrad_gpt.check.probes.labels import labels, with_task
from tinygrad_gpt.check.probes.optimizer import first_steps
from tinygrad_gpt.check.probes.parameters import LR
from tinygrad_gpt.check.probes.parts import parts
from tinygrad_gpt.check.probes.probed import Probed, Question, Report
from tinygrad_gpt.check.probes.schedule import schedule
from tinygrad_gpt.check.probes.subject import Subject, is_small, leaving_no_trace
from tinygrad_gpt.optim import AdamW, clip_grad_norm

__all__ = [
    "Probed",
    "Report",
    "Subject",
    "clipping",
    "decay",
    "first_steps",
    "held_out",
    "labels",
    "parts",
    "probe",
    "schedule",
    "subject_of",
    "with_task",
]

STEPS, WORK = 150, 2e9  # of P5 at most: steps; and steps · parameters, so that a large model is not trained for long
FEWEST = 30  # steps that say something
QUICK, CAREFUL = 5e-3, 1e-3  # learning rates of P5: of a small model, of a large one


def probe(
    model,
    *,
    trained: bool = False,
    optimizer: Callable = AdamW,
    clip: Callable = clip_grad_norm,
    more: tuple[Probed, ...] = (),
    steps: int = STEPS,
    subject_of: Callable[..., Subject] = subject_of,
) -> Report:
    """Ask a model, and what trains it, all that applies. The model is afterwards as it was.

    trained    whether its weights are trained: what is asked of new weights is left out then
    optimizer  AdamW, or a class with its arguments
    clip       (params, max_norm), which makes gradients shorter in place
    more       verdicts that the caller has reached, of a training step (`parts`), a `schedule` ...: for the report
    steps      of P5 at most
    subject_of  model -> Subject, for a model that is none of the kinds in kinds.py

    Raises ValueError for a model of unknown kind (see subject_of), and what the model itself raises.
    """
    few = min(steps, int(WORK / max(1, model.num_parameters())))
    few = few if few >= min(steps, FEWEST) else 0

    def made(params, lr=LR):
        return optimizer(params, lr=lr, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0)

    def of_new(question: Question, ask: Callable[[], Probed]) -> Probed:
        return question.not_asked("the model is trained, and this is about new weights") if trained else ask()

    with leaving_no_trace(model), np.errstate(all="ignore"):
        subject = subject_of(model)
        sizes = dependence(subject)
        same_twice, no_leak = evaluation.evaluation(subject), future.future(subject, sizes)

        def of_steady(question: Question, ask: Callable[[], Probed]) -> Probed:
            return question.not_asked("two evaluations differ anyway, see P6") if same_twice.ok is False else ask()

        def of_causal(question: Question, ask: Callable[[], Probed]) -> Probed:
            leaks = question.not_asked("places see later tokens, see P2")
            return leaks if no_leak.ok is False else of_steady(question, ask)

        verdicts = [
            of_new(start.QUESTION, lambda: start.start(subject)),
            no_leak,
            of_steady(rows.QUESTION, lambda: rows.rows(subject, sizes)),
            of_steady(order.QUESTION, lambda: order.order(subject, subject_of)),
            overfit.overfit(subject, partial(made, lr=QUICK if is_small(model) else CAREFUL), subject_of, few),
            same_twice,
            of_steady(padding.QUESTION, lambda: padding.padding(subject)),
            of_steady(cache.QUESTION, lambda: cache.cache(subject)),
            first_steps(optimizer),
            of_steady(parameters.QUESTION, lambda: parameters.parameters(subject, made, subject_of)),
            of_new(entropy.QUESTION, lambda: entropy.entropy(subject)),
            clipping(clip),
            of_causal(LABELS, lambda: labels(subject, subject_of)),
            of_new(norms.QUESTION, lambda: norms.norms(subject)),
        ]
    return Report(tuple(sorted([*verdicts, *more], key=lambda one: int(one.id[1:]))))
