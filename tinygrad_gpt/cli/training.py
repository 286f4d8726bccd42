"""`tinygrad-gpt train` and `tinygrad-gpt presets`."""

from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.cli.options import INTERRUPTED, Force, HelpAll, PairFiles, with_settings
from tinygrad_gpt.cli.shared import (
    check_and_install,
    download_progress,
    no_folder_left,
    report_rounding,
    report_threads,
    resume_command,
    use_command,
    write_sample,
)
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.settings import option_name
from tinygrad_gpt.tasks.masked_lm import MaskedLMConfig
from tinygrad_gpt.tasks.next_token import NextTokenConfig
from tinygrad_gpt.tasks.permutation_lm import PermutationLMConfig
from tinygrad_gpt.tasks.streams import StreamConfig
from tinygrad_gpt.tasks.translation import TranslationConfig
from tinygrad_gpt.train.any_run import resolve
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.permutation_settings import XLNetShape
from tinygrad_gpt.train.presets import DEFAULT, LONGEST_WINDOW, PRESETS
from tinygrad_gpt.train.pretraining_settings import BertShape
from tinygrad_gpt.train.stream_settings import TransformerXLShape
from tinygrad_gpt.train.text_settings import MODEL_FIELDS
from tinygrad_gpt.train.translation_settings import TransformerShape

_QUICK, _BERT = resolve().values(), resolve("bert-small").values()
_BOTH = {name: f"{_QUICK[name]}; a BERT: {_BERT[name]}" for name in ("tokenizer", "vocab", "eval_tokens")}
_TRANSLATOR = resolve("transformer-tiny").values()
_BOTH |= {name: f"{_BOTH[name]}; a translator: {_TRANSLATOR[name]}" for name in ("tokenizer", "vocab")}


@with_settings(
    (
        GPTConfig,
        NextTokenConfig,
        StreamConfig,
        TransformerXLShape,
        MaskedLMConfig,
        BertShape,
        PermutationLMConfig,
        XLNetShape,
        TranslationConfig,
        TransformerShape,
        TrainConfig,
    ),
    _QUICK | _BOTH,
    ("corpus", "vocab_size"),
    f"{DEFAULT}: ",
)
def train(
    corpus: Annotated[
        str | None,
        typer.Argument(
            help="python-docs, shakespeare, names, wikitext-2, sentences, multi30k-en-de, or the path of a text file "
            "or folder",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="recipe to start from; see `tinygrad-gpt presets`", show_default="quick; with --from: finetune"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="run folder to make", show_default="runs/CORPUS-1, runs/CORPUS-2, ...")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="continue the run in this folder", show_default=False)] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B,...",
            help="a run for each of these values of a setting; with several --sweep, for each combination",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.py",
            help="your own model: a file with a class Model (see above)",
            show_default=False,
        ),
    ] = None,
    with_: PairFiles = None,
    force: Force = False,
    help_all: HelpAll = False,
    **given,
):
    """Train a GPT or Transformer-XL on a text, and let it write some; pre-train a BERT or XLNet; or train a translator.

    Six examples; --help-all shows all settings:

        tinygrad-gpt train

        tinygrad-gpt train my-text.txt --preset nanogpt-char-cpu --steps 4000

        tinygrad-gpt train names --sweep lr=1e-3,5e-3 --sweep seed=1,2

        tinygrad-gpt train shakespeare --preset transformer-xl-char

        tinygrad-gpt train wikitext-2 --preset bert-small

        tinygrad-gpt train multi30k-en-de --preset transformer-tiny

    With --from, training starts from a trained model: a run folder, a Hugging
    Face folder, or the name of a model on the Hugging Face hub. The model keeps
    its shape; --block-size then sets how many tokens it reads at once.

    Settings that are not given come from the preset. Ctrl-C saves and ends;
    --resume continues from there, or from the last checkpoint of a run that was
    killed, and ends with the same weights as a run that was never stopped.
    With --steps it also extends a run, finished or not, and says what that means.

    The presets that begin with transformer-xl train a Transformer-XL: a GPT that
    reads a text in segments, and remembers what it read before (--memory).

    The presets that begin with bert pre-train a BERT, which fills gaps and judges
    whether two passages belong together. The text has documents: wikitext-2,
    python-docs, shakespeare, or a file or folder of yours with a sentence on each
    line, and a blank line or the end of a file between documents. With --from, the pre-training of a
    BERT goes on; heads that it lacks start from random numbers.

    Those that begin with xlnet pre-train an XLNet, which tells tokens of a text in
    any order, each from those before it in the order, on both sides. Any text
    does; lines count as sentences.

    The other ones that begin with transformer train a translator, on pairs of sentences:
    multi30k-en-de, multi30k-de-en, or files of yours that differ in the language
    at the end of their names, as in  train corpus --source en --target de
    for corpus.en and corpus.de.

    --model FILE.py trains a model of your own. The file defines a class Model,
    derived from tinygrad_gpt.nn.Module: __init__(self, config) gets a GPTConfig
    (vocab_size, block_size, n_layer, n_embd, ...), and forward(self, ids) returns
    logits (B, T, vocab_size) for ids (B, T).

    --sweep lr=1e-3,3e-3 --sweep seed=1,2 trains four runs, one for each
    combination, and ends with a table; --resume continues a sweep too.
    """
    from tinygrad_gpt.train import any_run, user_ops
    from tinygrad_gpt.train.own_model import load_own_model
    from tinygrad_gpt.train.reporter import make_reporter
    from tinygrad_gpt.train.run_folder import RunFolder
    from tinygrad_gpt.train.sweep import is_sweep

    if resume and out:
        raise UserError("--resume continues in the run's own folder: leave out --out")
    if resume and sweep:
        raise UserError("--resume continues a sweep with its own settings: leave out --sweep")
    if corpus is not None:
        if RunFolder(Path(corpus)).checkpoint.is_file():
            again = command("--resume", Path(corpus))
            raise UserError(f"{corpus} is a run folder, not a text: continue it with {again}, or name a text first")
        given["corpus"] = corpus
    reporter = make_reporter()
    if sweep or (resume and is_sweep(resume)):
        return _train_sweep(preset, given, sweep, out, resume, model, with_, force, reporter)
    settings = None if resume else any_run.choose_settings(preset, given)  # report wrong options before any work
    own_model = load_own_model(model) if model else None
    for name in own_model.not_used(f.name for f in MODEL_FIELDS if f.name in given) if own_model else ():
        reporter.note(f"{model} does not name {name}: {option_name(name)} changes nothing")
    pairs = user_ops.load_pairs(with_ or [])
    if resume:
        folder = RunFolder(resume)
        saved = folder.read_config()["own_pairs"]
        pairs = user_ops.with_kept(pairs, saved, folder.own_op)
        user_ops.check_same_pairs(saved, pairs)
    reporter = check_and_install(pairs, force, reporter)
    if resume:
        run = any_run.resume(resume, preset, given, pairs, download_progress(reporter), reporter.note, own_model)
        if run.trainer.ending.out_of_patience:
            reporter.note(f"{resume} has ended early, at step {run.trainer.step}: a new run may have more --patience")
        elif run.trainer.ended:
            reporter.note(f"{resume} has made all its {run.trainer.step} steps; --steps with more extends it")
    else:
        run = any_run.start(settings, out, pairs, download_progress(reporter), reporter.note, own_model)
    begins = reporter.note_first if pairs and not run.trainer.ended else reporter.note
    begins(_what_begins(run, resumed=resume is not None))
    report_rounding(run.trainer, reporter)
    report_threads(run.trainer, reporter)
    path = run.folder.path
    again = resume_command("train", path)
    try:
        with no_folder_left(path, resume is not None):
            finished = run.train(reporter)
    except KeyboardInterrupt:  # the second one, or after the last step
        kept = run.trainer.saved_step
        reporter.note(f"stopped{f'; step {kept} is saved' if kept else ''}; continue with: {again}")
        raise
    if not finished:
        reporter.note(f"stopped and saved at step {run.trainer.step}; continue with: {again}")
        return INTERRUPTED
    if text := write_sample(run):
        reporter.note(f"\n{text.strip()}")
    reporter.note(f"\n{_what_next(run)}")
    return 0


def _train_sweep(preset, given, texts, out, resume, model, pair_files, force, reporter) -> int:
    from tinygrad_gpt.cli import sweeping
    from tinygrad_gpt.train import user_ops
    from tinygrad_gpt.train.own_model import load_own_model

    own_model = load_own_model(model) if model else None
    pairs = user_ops.load_pairs(pair_files or [])
    if resume:
        pairs = sweeping.with_kept(resume, pairs)
        sweeping.check_resumed(resume, given | ({"preset": preset} if preset else {}), own_model)
    reporter = check_and_install(pairs, force, reporter)
    path = resume or sweeping.start(preset, given, texts, out, pairs, own_model, download_progress(reporter))
    with no_folder_left(path, resume is not None):
        return sweeping.train(path, pairs, reporter)


def presets():
    """List the presets."""
    from rich.console import Console
    from rich.table import Table

    from tinygrad_gpt.train.reporter import thousands

    table = Table("preset", "what for", show_lines=True)
    for name, preset in PRESETS.items():
        shape, window = "the shape of the model that --from names", f"up to {LONGEST_WINDOW}"
        train = {"steps": TrainConfig.steps, "batch_size": TrainConfig.batch_size} | preset.train
        if preset.model is not None:
            settings = resolve(name)
            values, window = settings.values(), settings.window
            train["batch_size"] = settings.train.batch_size
            shape = (
                f"{thousands(settings.parameters())} parameters: {_counted(values['n_layer'], 'layer')}, "
                f"{_counted(values['n_head'], 'head')}, {values['n_embd']} channels"
            )
        table.add_row(
            f"{name} (default)" if name == DEFAULT else name,
            f"{preset.purpose}\n{shape}\n{train['steps']} steps of {_batch(train['batch_size'], window)}",
        )
    Console().print(table)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _batch(rows: int, window: int | str) -> str:
    return f"{window} tokens" if rows == 1 else f"{rows} x {window} tokens"


def _what_next(run) -> str:
    """What to do with a run that has ended, in two lines that end with a command to copy."""
    path = run.folder.path
    doctor = command("tinygrad-gpt", "doctor", path)
    losses = f"losses drawn in {run.folder.loss_plot}; " if run.folder.loss_plot.exists() else ""
    return f"{path}: {losses}checked by  {doctor}\n{path}: try  {use_command(path)}"


def _what_begins(run, resumed: bool) -> str:
    trainer, path, written = run.trainer, run.folder.path, run.folder.read_config()
    begins = f"resuming {path} at step {trainer.step}" if trainer.step else f"training in {path}"
    begins += " from step 0, as it has no checkpoint," if resumed and not trainer.step else ""
    source = f" from {written['from']['name']}" if "from" in written else ""
    frozen = run.model.num_parameters(trained=False)
    own = f"the model of {written['own_model']['file']}, " if "own_model" in written else ""
    return (
        f"{begins}{source}: {own}preset {written['preset']}, on {trainer.device.title}, "
        f"{run.model.num_parameters():,} parameters{f' ({frozen:,} frozen)' if frozen else ''}, "
        f"{run.task.data()}"
    )
