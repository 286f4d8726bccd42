"""`tinygrad-gpt finetune` and `tinygrad-gpt classify`."""

from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.cli.options import with_settings_of
from tinygrad_gpt.cli.trained import DeviceName, TokenizerPath
from tinygrad_gpt.errors import command
from tinygrad_gpt.train.finetune import FinetuneConfig

INTERRUPTED = 130


@with_settings_of(FinetuneConfig)
def finetune(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="cola, or the path of your own: a .tsv or .csv file with a text and its label on each line, or a "
            "folder with two of them, train and dev",
            show_default=False,
        ),
    ],
    from_: Annotated[
        str,
        typer.Option("--from", help="the pre-trained model: a run folder or a Hugging Face folder", show_default=False),
    ],
    lm_weight: Annotated[
        list[float] | None,
        typer.Option(
            help="λ: how much the language model's loss counts beside the task's; may be repeated",
            show_default="both 0 and 0.5",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="how many runs with each λ, from --seed on", min=1, max=1000)] = 1,
    out: Annotated[
        Path | None, typer.Option(help="folder to make", show_default="runs/TASK-1, runs/TASK-2, ...")
    ] = None,
    tokenizer: TokenizerPath = None,
    **given,
):
    """Fine-tune a pre-trained GPT as a classifier of texts, as GPT-1's paper does.

    The task is learned with and without the paper's auxiliary loss, side by
    side. Two commands pre-train a small GPT-1 and fine-tune it:

        tinygrad-gpt train sentences --preset gpt1-small --out runs/gpt1

        tinygrad-gpt finetune cola --from runs/gpt1 --seeds 3 --epochs 6 --lr 5e-4

    Ctrl-C saves what has been reached, and ends.
    """
    from tinygrad_gpt.cli.training import download_progress
    from tinygrad_gpt.data.classification import open_task
    from tinygrad_gpt.train.finetune_run import FinetuneRun
    from tinygrad_gpt.train.reporter import make_reporter
    from tinygrad_gpt.train.trained_model import open_model

    config = FinetuneConfig(**given)
    reporter = make_reporter()
    opened = open_task(task, progress=download_progress(reporter))
    _, tokenizer, body = open_model(from_, tokenizer)
    all_seeds = list(range(config.seed, config.seed + seeds))
    run = FinetuneRun(body, tokenizer, opened, config, lm_weight or [0.0, 0.5], all_seeds, out, from_)
    reporter.note(
        f"fine-tuning in {run.folder} on {run.device.title}: {run.parameters:,} parameters, "
        f"{len(opened.train.texts):,} texts of {opened.name} in {len(opened.classes)} classes "
        f"({len(opened.dev.texts):,} to test on)"
    )
    finished = run.run(reporter)
    if run.results:
        _print_results(run.summary())
    if not finished:
        reporter.note(f"stopped; what had been reached is saved in {run.folder}")
        return INTERRUPTED
    example = command("tinygrad-gpt", "classify", run.folder)
    reporter.note(f"{run.folder}: try  {example} {_in_quotes(opened.dev.texts[0])}")
    return 0


def classify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="a folder that `finetune` made", show_default=False)],
    texts: Annotated[list[str], typer.Argument(metavar="TEXT...", help="what to classify", show_default=False)],
    device: DeviceName = "cpu",
):
    """Classify texts with a fine-tuned model: the likeliest class, how likely it is, the text."""
    from tinygrad_gpt.train.classifier import Classifier

    classifier = Classifier(folder, device)
    for text, probabilities in zip(texts, classifier.probabilities(texts), strict=True):
        best = int(probabilities.argmax())
        print(f"{classifier.classes[best]}\t{probabilities[best]:.3f}\t{text}")


def _in_quotes(text: str) -> str:
    """A text as an argument to copy: in the quotes that every shell knows, where it has nothing that a shell would look
    for within them; and after -- where it looks like an option."""
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
