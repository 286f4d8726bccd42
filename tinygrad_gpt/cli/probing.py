"""`tinygrad-gpt doctor --probe`: which model is asked, with which loop, and how the answers are shown."""

import dataclasses
import sys
from pathlib import Path

import numpy as np

from tinygrad_gpt.check.probes import Probed, Report, Subject, decay, parts, probe, schedule, subject_of
from tinygrad_gpt.check.probes.decay import QUESTION as DECAY
from tinygrad_gpt.check.probes.parts import QUESTION as PARTS
from tinygrad_gpt.check.probes.schedule import QUESTION as SCHEDULE
from tinygrad_gpt.check.probes.subject import leaving_no_trace
from tinygrad_gpt.cli.shared import check_and_install, report_own_code
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.nn import Module
from tinygrad_gpt.nn.language_model import width_of
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.styled import show
from tinygrad_gpt.tasks.arrays import Windows
from tinygrad_gpt.tasks.source_targets import SourceTargets
from tinygrad_gpt.tasks.task import Task
from tinygrad_gpt.train import any_run, user_ops
from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned
from tinygrad_gpt.train.fine_tuning.folder import is_fine_tuning
from tinygrad_gpt.train.loadable import TrainedModel
from tinygrad_gpt.train.own_model import load_own_model
from tinygrad_gpt.train.reporter import make_reporter
from tinygrad_gpt.train.trained_model import find_model
from tinygrad_gpt.train.trainer import Trainer, learning_rate

_ANY = ("gpt", "transformer-xl", "bert", "xlnet", "transformer")
_NO_END = ("inverse_sqrt", "noam", "constant")


def probe_and_show(place: str | None, preset: str | None, own_file: Path | None, pair_files: list[Path]) -> int:
    """Ask the model at `place`, or a new one of a preset, all that applies. Returns 1 if something is wrong, else 0.

    Raises UserError for a model that cannot be opened, and for pairs that are wrong.
    """
    if place is not None and (preset or own_file):
        raise UserError(f"{place} has its own shape and model: leave out --preset and --model, or {place}")
    if place is None and not (preset or own_file):
        raise UserError("--probe asks a model: name a run or a model, or give --preset or --model")
    pairs = user_ops.load_pairs(pair_files)
    check_and_install(pairs, False, make_reporter())
    # The questions are about the model, and the rows few: nobody waits here for kernels to be compiled.
    own = {pair.op: registry.versions(pair.op)[0].name for pair in pairs}
    with registry.using("reference", **own):
        return _ask_and_show(place, preset, own_file)


def _ask_and_show(place: str | None, preset: str | None, own_file: Path | None) -> int:
    if place is None:
        settings = any_run.choose_settings(preset, {})
        model = any_run.new_model(settings, load_own_model(own_file) if own_file else None)
        what, train = f"a new model of {own_file or f'the preset {preset}'}", settings.train
    else:
        model, train, what = *_trained(place), place
    asking = f"asking {what}, and training a copy on a few rows (seconds; of a large model minutes) ..."
    print(asking, file=sys.stderr, flush=True)
    more = *_asked_of_steps(model, train), _asked_of_rates(model, train)
    report = probe(model, trained=place is not None, more=more)
    _show(what, model, report)
    return 0 if report.ok else 1


def _trained(place: str) -> tuple[Module, TrainConfig | None]:
    """The model of a run, a checkpoint, a fine-tuning, a Hugging Face folder or a name on the hub; and how it was
    trained, None where nobody knows."""
    path = user_path(place)
    if path.is_file():  # a checkpoint: it lies in its run's folder
        place, path = str(path.parent), path.parent
    if is_fine_tuning(path):
        return FineTuned(place).model, None
    source: TrainedModel = find_model(place, _ANY)
    use_arithmetic(source.train or TrainConfig())
    model = source.load()
    report_own_code(source)
    return model, source.train


def _asked_of_steps(model: Module, train: TrainConfig | None) -> tuple[Probed, ...]:
    """P8 and P16 of the trainer's step on a few rows, for models that `fit` trains on arrays."""
    with leaving_no_trace(model):
        subject = subject_of(model)
        made = _task(subject)
        if made is None:
            own = "its batches come from texts: ask `check.probes.{}` with a step of your own"
            return PARTS.not_asked(own.format("parts")), DECAY.not_asked(own.format("decay"))
        task, whole = made
        trainer = Trainer(dataclasses.replace(train or TrainConfig(), device="cpu"), model, task)
        return (
            parts(trainer.forward_and_backward, trainer.parameters, whole, cut=1),
            decay(trainer.optimizer.step, model.named_parameters()),
        )


def _task(subject: Subject) -> tuple[Task, tuple[np.ndarray, ...]] | None:
    """A task on the subject's rows, and its batch; of a translator, with sentences of unequal length."""
    model, ids = subject.model, subject.ids
    common = dict(like=next(model.parameters()).data, batch_size=len(ids))
    if subject.sources:
        source, target = ids[:, : subject.sources], subject.targets[0].copy()
        for row in range(len(target)):
            target[row, row + 1 :] = IGNORE_INDEX  # 1 token, 2 tokens, 3 tokens
        tokens = (target != IGNORE_INDEX).sum(axis=1)
        task = SourceTargets(source, subject.targets[0], None, model.config, **common)
        return task, (source, target, np.full(len(ids), tokens.mean()))
    if subject.in_order and subject.next_scores is not None:  # a language model
        return Windows(ids.reshape(-1), None, 1, own_loss=hasattr(model, "loss"), **common), (ids, *subject.targets)
    return None


def _asked_of_rates(model: Module, train: TrainConfig | None) -> Probed:
    """P14 of the learning rates of a run."""
    width = width_of(model)
    if train is None or (train.schedule == "noam" and width is None):
        return SCHEDULE.not_asked("nobody knows how it was trained")
    lowest = train.lr if train.schedule == "constant" else None if train.schedule in _NO_END else train.min_lr
    highest = (width * max(1, train.warmup)) ** -0.5 * train.lr if train.schedule == "noam" else train.lr

    def rate(step: int) -> float:
        return learning_rate(step, train, width)

    return schedule(rate, warmup=train.warmup, total=train.steps, lr=highest, min_lr=lowest)


def _show(what: str, model: Module, report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    title = escape(f"{what}: {model.num_parameters():,} parameters")
    table = Table("", "asked", "measured", "expected", "verdict", title=title)
    table.columns[0].no_wrap = table.columns[4].no_wrap = True
    for one in report.verdicts:
        if one.ok is not None:
            style = "green" if one.ok else "bold red"
            table.add_row(one.id, escape(one.asked), one.number or "-", escape(one.expected), f"[{style}]{one.verdict}")
    console.print(table)
    for one in report.verdicts:
        if one.ok is None:
            console.print(f"{one.id} not asked: {one.why}", markup=False, soft_wrap=True)
    for one in report.failures:
        show([[], *one.explanation()])
