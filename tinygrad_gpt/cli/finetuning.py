"""`tinygrad-gpt finetune` and `tinygrad-gpt classify`."""

from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.cli.options import INTERRUPTED, DeviceName, Force, HelpAll, PairFiles, TokenizerPath, with_settings
from tinygrad_gpt.cli.shared import check_and_install, download_progress, no_folder_left, resume_command
from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.tasks.classification import ClassificationConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.finetune import DEFAULTS


@with_settings(
    (ClassificationConfig, TrainConfig),
    DEFAULTS | dict.fromkeys(("eval_interval", "checkpoint_interval"), "an epoch"),
    ("data", "from_", "lm_weight", "steps", "warmup"),
)
def finetune(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK",
            help="cola, or the path of your own: a .tsv or .csv file with a text and its label on each line, or a "
            "folder with two of them, train and dev",
            show_default=False,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="the pre-trained model: a run folder or a Hugging Face folder", show_default=False),
    ] = None,
    lm_weight: Annotated[
        list[float] | None,
        typer.Option(
            help="λ: weight of the language model's loss beside the task's; may be repeated",
            show_default="both 0 and 0.5",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="runs with each λ, from --seed on", min=1, max=1000, show_default="1")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder to make", show_default="runs/TASK-1, runs/TASK-2, ...")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="continue the fine-tuning in this folder", show_default=False)
    ] = None,
    tokenizer: TokenizerPath = None,
    with_: PairFiles = None,
    force: Force = False,
    help_all: HelpAll = False,
    **given,
):
    """Fine-tune a pre-trained GPT as a classifier of texts, as GPT-1's paper does.

    It trains once with the paper's auxiliary loss and once without. The first
    command pre-trains a small GPT-1; the others fine-tune it; --help-all shows
    all settings:

        tinygrad-gpt train sentences --preset gpt1-small --out runs/gpt1

        tinygrad-gpt finetune cola --from runs/gpt1 --seeds 3 --epochs 6 --lr 5e-4

        tinygrad-gpt finetune my-texts.tsv --from runs/gpt1 --lm-weight 0.5

    Ctrl-C saves and ends; --resume continues from there, or from the last
    checkpoint of a run that was killed, and ends with the same weights.
    """
    from tinygrad_gpt.train import finetune, user_ops
    from tinygrad_gpt.train.reporter import make_reporter

    reporter = make_reporter()
    progress = download_progress(reporter)
    pairs = user_ops.load_pairs(with_ or [])
    if resume:
        path, written = resume, finetune.read_classifier(finetune.runs_of(resume)[0])
        asked = {"TASK": data, "--from": from_, "--lm-weight": lm_weight, "--seeds": seeds, "--out": out}
        _check_resumed(path, written, asked | {"--tokenizer": tokenizer})
        pairs = user_ops.with_kept(pairs, written["own_pairs"], finetune.runs_of(resume)[0].own_op)
        user_ops.check_same_pairs(written["own_pairs"], pairs)
        reporter = check_and_install(pairs, force, reporter)
    else:
        texts, source, own = _read(data, from_, tokenizer, progress)
        reporter = check_and_install(pairs, force, reporter)
        first = given.get("seed", TrainConfig.seed)
        all_seeds = list(range(first, first + (seeds or 1)))
        path = finetune.start(texts, source, own, given, lm_weight or [0.0, 0.5], all_seeds, out, pairs)
        given, written = {}, finetune.read_classifier(finetune.runs_of(path)[0])
    corpus = written["corpus"]
    reporter.note(
        f"fine-tuning in {path} on {written['device']}: {written['parameters']:,} parameters, "
        f"{corpus['train_texts']:,} texts of {corpus['name']} in {len(written['task']['classes'])} classes "
        f"({corpus['dev_texts']:,} to test on)"
    )
    with no_folder_left(path, resume is not None):
        finished = finetune.train(path, reporter, given, pairs, progress)
    results = finetune.summary(path)
    if results["runs"]:
        _print_results(results)
    if not finished:
        reporter.note(f"stopped and saved; continue with: {resume_command('finetune', path)}")
        return INTERRUPTED
    example = command("tinygrad-gpt", "classify", path)
    reporter.note(f"{path}: try  {example} {_in_quotes(corpus['example'])}")
    return 0


def _read(data: str | None, from_: str | None, tokenizer: str | None, progress) -> tuple:
    """(texts, pre-trained model, tokenizer) of a new fine-tuning."""
    from tinygrad_gpt.data.labelled import open_task
    from tinygrad_gpt.train.trained_model import find_model

    if data is None:
        raise UserError("name the task, cola or a file of texts and labels; or continue a fine-tuning with --resume")
    if from_ is None:
        raise UserError("name the pre-trained model with --from; or continue a fine-tuning with --resume")
    texts, source = open_task(data, progress=progress), find_model(from_)
    return texts, source, source.tokenizer_at(tokenizer)


def _check_resumed(folder: Path, written: dict, asked: dict) -> None:
    """Raise UserError for an option that differs from the fine-tuning in this folder."""
    was = {"TASK": written["corpus"]["name"], "--from": written["from"]["name"], "--out": folder}
    for option, value in asked.items():
        if value is not None and value != was.get(option):
            has = f" it is {in_short(was[option])};" if option in was else ""
            raise UserError(f"--resume takes {option} from the folder {folder}:{has} leave out {option}")


def classify(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="a folder that `finetune` made, or one of its runs", show_default=False),
    ],
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="what to classify", show_default=False)],
    device: DeviceName = "cpu",
):
    """Classify texts with a fine-tuned model: prints the likeliest class, its probability and the text."""
    from tinygrad_gpt.train.classifier import Classifier

    classifier = Classifier(folder, device)
    for text, probabilities in zip(texts, classifier.probabilities(texts), strict=True):
        best = int(probabilities.argmax())
        print(f"{classifier.classes[best]}\t{probabilities[best]:.3f}\t{text}")


def _in_quotes(text: str) -> str:
    """A text as an argument to copy: in the quotes that every shell knows, if it has nothing that a shell would replace
    inside them; and after -- if it looks like an option."""
    quoted = f'"{text}"' if text.isprintable() and not set(text) & set('"$`\\!%') else command(text)
    return f"-- {quoted}" if text.startswith("-") else quoted


def _print_results(summary: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "accuracy", "Matthews", "epochs", "minutes")
    majority = summary["majority"]
    table.add_row("most frequent class", f"{majority['accuracy']:.3f}", f"{majority['matthews']:.3f}", "", "")
    for run in summary["runs"]:
        name = f"λ = {run['lm_weight']:g}, seed {run['seed']}" + ("" if run["finished"] else " (stopped)")
        scores = (f"{run[score]:.3f}" for score in ("accuracy", "matthews"))
        table.add_row(name, *scores, str(run["epoch"]), f"{run['seconds'] / 60:.1f}")
    for mean in summary["means"]:
        if mean["seeds"] > 1:
            scores = (f"{mean[score]:.3f} ± {mean[f'{score}_sd']:.3f}" for score in ("accuracy", "matthews"))
            table.add_row(f"λ = {mean['lm_weight']:g}, mean of {mean['seeds']} ± s.d.", *scores, "", "")
    Console().print(table)
