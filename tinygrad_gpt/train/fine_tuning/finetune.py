"""Fine-tuning a pre-trained GPT, BERT or XLNet on labelled examples: a run for each seed, and with a GPT for each λ.

The folder that it makes is folder.py's. The defaults are those of the papers (tasks/gpt1_family.py,
tasks/bert_family.py and tasks/xlnet_family.py).
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygrad_gpt import random_stream
from tinygrad_gpt.data.examples import LabelledTask
from tinygrad_gpt.data.labelled import open_task
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import write_json
from tinygrad_gpt.settings import kept_settings, made_from
from tinygrad_gpt.tasks.families import FAMILIES
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig, FineTuning
from tinygrad_gpt.tasks.kinds import TASK_OF_KIND
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
from tinygrad_gpt.train.fine_tuning.folder import (
    RESULTS,
    TEST,
    family_of,
    plot_scores,
    read_fine_tuned,
    run_name,
    runs_of,
    summary,
)
from tinygrad_gpt.train.loadable import TrainedModel
from tinygrad_gpt.train.places import find_again
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trained_model import find_model
from tinygrad_gpt.train.user_ops import UserPair, check_same_pairs

FIELDS = {f.name: f for kind in (FineTuneConfig, TrainConfig) for f in dataclasses.fields(kind)}


def find_source(name: str) -> TrainedModel:
    """The pre-trained model with this name; see find_model."""
    return find_model(name, kinds=tuple(FAMILIES))


def start(
    data: LabelledTask,
    source: TrainedModel,
    tokenizer: Tokenizer,
    given: dict[str, Any],
    lm_weights: Sequence[float],
    seeds: Sequence[int],
    out: Path | None = None,
    pairs: tuple[UserPair, ...] = (),
) -> Path:
    """Make the folder of a new fine-tuning, with a run for each λ and seed, all at step 0; `train` trains them.

    source      the pre-trained model
    given       settings of FineTuneConfig and TrainConfig by name
    lm_weights  λ, of a family with a language model; none for the family's default

    Raises UserError for settings, examples or a folder that cannot be used; no folder is left then.
    """
    if source.own_model is not None:
        raise UserError(
            f"{source.name} holds a model of its own ({source.own_model.name}): fine-tuning needs a GPT, a BERT or an "
            "XLNet"
        )
    kind = FAMILIES[source.kind]
    if any(lm_weights) and not kind.lm_weights:
        raise UserError(
            f"{source.name} holds {kind.called}, which has no language model to train beside the task, since it reads "
            "a text as a whole: leave out --lm-weight"
        )
    values = kind.defaults | given | {"data": data.name, "from_": source.name}
    config = made_from(FineTuneConfig, values)
    family = kind(tokenizer, source.config, config.head_dropout, config.max_length)
    values["head_dropout"] = family.head_dropout
    first = _task(data, family, values)  # reads the examples, for all runs
    runs = {}
    for lm_weight, seed in itertools.product(dict.fromkeys(lm_weights or kind.lm_weights or [0.0]), seeds):
        settings = planned(first, values) | {"lm_weight": float(lm_weight), "seed": seed}
        task = first.with_settings(made_from(FineTuneConfig, settings), seed)
        runs[run_name(family.name, float(lm_weight), seed)] = task, made_from(TrainConfig, settings)
    train = made_from(TrainConfig, planned(first, values))
    use_arithmetic(train)
    check_training(source.config, train)
    with random_stream.uninitialised():  # weights are drawn, or copied, when the run's turn comes
        model = family.model_for(data.kind, first.outputs)
    more = _record(first, source) | {"vocab_size": model.config.vocab_size, "group": list(runs)}
    with run_folder.creating(out, data.name) as folder:
        for name, (task, train) in runs.items():
            begin(task, model, train, folder.path / name, pairs, tokenizer, more=more)
    return folder.path


def planned(task: FineTuning, values: dict[str, Any]) -> dict[str, Any]:
    """All settings by name, with those of the trainer that follow from the epochs; what was given comes first."""
    steps = task.config.epochs * task.steps_per_epoch
    plan = {"steps": steps, "warmup": round(task.config.warmup_share * steps)}
    return plan | dict.fromkeys(("eval_interval", "checkpoint_interval"), task.steps_per_epoch) | values


def _record(task: FineTuning, source: TrainedModel) -> dict[str, Any]:
    """Entries of config.json: what the runs are made from."""
    data = task.labelled
    corpus = {"name": data.name, "path": data.path, "sha256": data.sha256}
    corpus |= {"train_texts": len(data.train), "dev_texts": len(data.dev)}
    corpus |= {"guess": task.guess, "baseline": task.baseline(), "example": task.example()}
    tokenizer = task.family.tokenizer.fingerprint()
    return {"family": task.family.name, "tokenizer": tokenizer, "from": source.record(), "corpus": corpus}


def open_run(folder: RunFolder, given: dict[str, Any] | None = None, pairs=(), progress=None) -> Run:
    """The run in a folder, where its checkpoint left it.

    given  settings by name; only those that cannot change the outcome may differ from the run's

    Raises UserError for damaged files, for examples or a pre-trained model that have changed, and for settings or pairs
    that would make it another run.
    """
    written = read_fine_tuned(folder)
    check_same_pairs(written["own_pairs"], list(pairs))
    values = kept_settings(written["task"] | written["train"], given or {}, FIELDS)
    corpus = written["corpus"]
    read = functools.partial(open_task, progress=progress)
    data = dataclasses.replace(find_again("data", corpus["name"], corpus, folder.path, read), name=corpus["name"])
    family = family_of(folder, written)
    try:
        config, train = made_from(FineTuneConfig, values), made_from(TrainConfig, values)
    except UserError as error:
        raise UserError(f"{folder.config} is damaged: {error}") from None
    use_arithmetic(train)
    check_training(family.shape, train)
    task = _task(data, family, values)
    if folder.checkpoint.exists():
        with random_stream.uninitialised():
            model = family.model_for(data.kind, task.outputs)
    else:
        source = find_again("model", config.from_, written["from"], folder.path, find_source)
        model = family.first_model(
            family.body(source, train.seed), data.kind, task.outputs, config.pretrained, train.seed
        )
    return reopen(folder, task, model, train)


def train(path: Path, reporter: Reporter, given: dict[str, Any] | None = None, pairs=(), progress=None) -> bool:
    """Train all runs of a fine-tuning to the end, each from where it stopped. Returns False after Ctrl-C, with the
    state saved. Raises UserError as `open_run` does."""
    said = ""
    for folder in runs_of(path):
        run = open_run(folder, given, pairs, progress)
        if not run.trainer.ended:
            at = f", from step {run.trainer.step}" if run.trainer.step else ""
            task: Any = run.task  # a FineTuning
            beside = f"λ {task.config.lm_weight:g}, " if task.family.has_language_model else ""
            reporter.note(f"{beside}seed {task.seed}: {folder.path}{at}")
            if (remark := task.remark()) != said:  # the runs that follow read the same examples
                reporter.note(said := remark)
            run.train(reporter)
        if run.trainer.ended:
            _test(run)
        write_json(path / RESULTS, summary(path))
        if run.trainer.interrupted:
            break
    plot_scores(path, reporter.note)
    return not run.trainer.interrupted


def _test(run: Run) -> None:
    """Keep the scores of a run that has ended on the examples to test on at last, if its task has some."""
    task: Any = run.task
    test, file = task.labelled.test, run.folder.path / TEST
    if test is not None and not file.exists():
        only = dataclasses.replace(task.labelled, train=test, dev=test)  # so that no other examples are read
        measured = type(task)(task.config, only, task.family, task.rows, task.seed).evaluate(run.model)
        write_json(file, measured)


def _task(data: LabelledTask, family: Family, values: dict[str, Any]) -> FineTuning:
    """The task of one run, from all settings by name."""
    task, train = made_from(FineTuneConfig, values), made_from(TrainConfig, values)
    return TASK_OF_KIND[data.kind](task, data, family, train.batch_size * train.accumulate, train.seed)
