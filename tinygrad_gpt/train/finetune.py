"""Fine-tuning a pre-trained GPT or BERT on labelled examples: a run for each seed, and with a GPT for each λ.

The folder that it makes is finetune_folder.py's. The defaults are those of the papers:

    GPT    Radford et al., "Improving language understanding by generative pre-training", 2018, sections 3.2, 3.3 and
           4.1; the gradient's limit and Adam's other settings come from the code published with it
    BERT   Devlin et al., "BERT", 2019, appendix A.3: 2 to 4 epochs, batches of 16 or 32, a learning rate of 2e-5 to
           5e-5; it rises over the first tenth of the steps and falls to 0. Norms and biases do not decay
"""

import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any

from tinygrad_gpt import random_stream
from tinygrad_gpt.data.examples import LabelledTask
from tinygrad_gpt.data.labelled import open_task
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import write_json
from tinygrad_gpt.settings import kept_settings, made_from
from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig, FineTuning
from tinygrad_gpt.tasks.gpt1_family import GPT1Family
from tinygrad_gpt.train import run_folder
from tinygrad_gpt.train.config import TrainConfig, use_arithmetic
from tinygrad_gpt.train.finetune_folder import (
    RESULTS,
    TASKS,
    family_of,
    outputs_of,
    plot_scores,
    read_fine_tuned,
    runs_of,
    summary,
)
from tinygrad_gpt.train.places import find_again
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.room import check_training
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trained_model import TrainedModel, find_model
from tinygrad_gpt.train.user_ops import UserPair, check_same_pairs

# The trainer's settings that differ from TrainConfig's defaults; steps, warmup and intervals follow from the epochs.
DEFAULTS = dict(batch_size=32, lr=6.25e-5, min_lr=0.0, schedule="linear", beta2=0.999, weight_decay=0.01)
BERT_DEFAULTS = DEFAULTS | dict(lr=5e-5, warmup_share=0.1, lm_weight=0.0)
FIELDS = {f.name: f for kind in (FineTuneConfig, TrainConfig) for f in dataclasses.fields(kind)}
FAMILIES = (GPT1Family.name, BertFamily.name)  # of the models that can be fine-tuned


def find_source(name: str) -> TrainedModel:
    """The pre-trained model with this name; see find_model."""
    return find_model(name, kinds=FAMILIES)


def start(
    data: LabelledTask,
    source: TrainedModel,
    tokenizer: Tokenizer,
    given: dict[str, Any],
    lm_weights: list[float],
    seeds: list[int],
    out: Path | None = None,
    pairs: tuple[UserPair, ...] = (),
) -> Path:
    """Make the folder of a new fine-tuning, with a run for each λ and seed, all at step 0; `train` trains them.

    source      the pre-trained model
    given       settings of FineTuneConfig and TrainConfig by name
    lm_weights  of a GPT, at least one; of a BERT none

    Raises UserError for settings, examples or a folder that cannot be used; no folder is left then.
    """
    if source.own_model is not None:
        raise UserError(
            f"{source.name} holds a model of its own ({source.own_model.name}): fine-tuning needs a GPT or a BERT"
        )
    is_bert = source.kind == BertFamily.name
    if is_bert and any(lm_weights):
        raise UserError(
            f"{source.name} holds a BERT, which has no language model to train beside the task, since it reads a text "
            "as a whole: leave out --lm-weight"
        )
    runs = {}
    for lm_weight, seed in itertools.product(dict.fromkeys(lm_weights or [0.0]), seeds):
        values = (BERT_DEFAULTS if is_bert else DEFAULTS) | given | {"data": data.name, "from_": source.name}
        values |= {"lm_weight": float(lm_weight), "seed": seed}
        family = _family(source, tokenizer, values)
        task = _task(data, family, values)
        steps = task.config.epochs * task.steps_per_epoch
        plan = {"steps": steps, "warmup": round(task.config.warmup_share * steps)}
        plan |= dict.fromkeys(("eval_interval", "checkpoint_interval"), task.steps_per_epoch)
        name = f"seed-{seed}" if is_bert else f"lm-{str(lm_weight).removesuffix('.0')}-seed-{seed}"
        runs[name] = task, made_from(TrainConfig, plan | values)
    _, config = next(iter(runs.values()))
    use_arithmetic(config)
    check_training(source.config, config)
    with random_stream.uninitialised():  # weights are drawn, or copied, when the run's turn comes
        model = family.unmade(data.kind, task.outputs)
    more = {
        "family": family.name,
        "tokenizer": tokenizer.fingerprint(),
        "vocab_size": model.config.vocab_size,
        "from": source.record(),
        "corpus": {
            "name": data.name,
            "path": data.path,
            "sha256": data.sha256,
            "train_texts": len(data.train),
            "dev_texts": len(data.dev),
            "guess": task.guess,
            "baseline": task.baseline(),
            "example": task.example(),
        },
        "group": list(runs),
    }
    with run_folder.creating(out, data.name) as folder:
        for name, (task, config) in runs.items():
            begin(task, model, config, folder.path / name, pairs, tokenizer, more=more)
    return folder.path


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
    if folder.checkpoint.exists():
        with random_stream.uninitialised():
            model = family.unmade(data.kind, outputs_of(written))
    else:
        source = find_again("model", config.from_, written["from"], folder.path, find_source)
        body = source.encoder() if source.kind == BertFamily.name else source.load()
        model = family.new(body, data.kind, outputs_of(written), config.pretrained, train.seed)
    return reopen(folder, _task(data, family, values), model, train)


def train(path: Path, reporter: Reporter, given: dict[str, Any] | None = None, pairs=(), progress=None) -> bool:
    """Train all runs of a fine-tuning to the end, each from where it stopped. Returns False after Ctrl-C, with the
    state saved. Raises UserError as `open_run` does."""
    said = ""
    for folder in runs_of(path):
        run = open_run(folder, given, pairs, progress)
        if run.trainer.step < run.trainer.config.steps:
            at = f", from step {run.trainer.step}" if run.trainer.step else ""
            task: Any = run.task  # a FineTuning
            beside = f"λ {task.config.lm_weight:g}, " if task.family.has_language_model else ""
            reporter.note(f"{beside}seed {task.seed}: {folder.path}{at}")
            if (remark := task.remark()) != said:  # the runs that follow read the same examples
                reporter.note(said := remark)
            run.train(reporter)
        write_json(path / RESULTS, summary(path))
        if run.trainer.interrupted:
            break
    plot_scores(path, reporter.note)
    return not run.trainer.interrupted


def _family(source: TrainedModel, tokenizer: Tokenizer, values: dict[str, Any]) -> Family:
    """That of a pre-trained model, for a new fine-tuning with these settings."""
    config = made_from(FineTuneConfig, values)
    if source.kind == BertFamily.name:
        return BertFamily(tokenizer, source.config, values.get("head_dropout"), config.max_length)
    return GPT1Family(tokenizer, source.config, config.head_dropout, config.max_length)


def _task(data: LabelledTask, family: Family, values: dict[str, Any]) -> FineTuning:
    """The task of one run, from all settings by name."""
    task, train = made_from(FineTuneConfig, values), made_from(TrainConfig, values)
    return TASKS[data.kind](task, data, family, train.batch_size * train.accumulate, train.seed)
