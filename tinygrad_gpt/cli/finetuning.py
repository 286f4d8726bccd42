"""`tinygrad-gpt finetune` and `tinygrad-gpt classify`."""

from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.cli.options import INTERRUPTED, DeviceName, Force, HelpAll, PairFiles, TokenizerPath, with_settings
from tinygrad_gpt.cli.shared import check_and_install, download_progress, no_folder_left, resume_command
from tinygrad_gpt.data.examples import CLASSES, PAIR_CLASSES, SPANS
from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig
from tinygrad_gpt.tasks.gpt1_family import GPT1Family
from tinygrad_gpt.tasks.xlnet_family import XLNetFamily
from tinygrad_gpt.train.config import TrainConfig

_DEFAULT = "{:g}; a BERT: {:g}; an XLNet: {:g}"
_DEFAULTS = GPT1Family.defaults | {
    "lr": _DEFAULT.format(*(family.defaults["lr"] for family in (GPT1Family, BertFamily, XLNetFamily))),
    "warmup_share": f"{GPT1Family.defaults['warmup_share']:g}; others: {BertFamily.defaults['warmup_share']:g}",
}


@with_settings(
    (FineTuneConfig, TrainConfig),
    _DEFAULTS | dict.fromkeys(("eval_interval", "checkpoint_interval"), "an epoch"),
    ("data", "from_", "lm_weight", "steps", "warmup"),
)
def finetune(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK",
            help="cola, sst2-sentences, stsb, wnut17, or the path of your own: a .tsv or .csv file with a text and its "
            "label on each line, other files (see below), or a folder with two of them, train and dev",
            show_default=False,
        ),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="the pre-trained GPT, BERT or XLNet: a run folder or a Hugging Face folder",
            show_default=False,
        ),
    ] = None,
    lm_weight: Annotated[
        list[float] | None,
        typer.Option(
            help="λ: weight of the language model's loss beside the task's, of a GPT; may be repeated",
            show_default="both 0 and 0.5",
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="runs (with each λ), from --seed on", min=1, max=1000, show_default="1")
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
    """Fine-tune a pre-trained BERT, XLNet or GPT on labelled texts, as their papers do.

    The kind of task follows from the data: classes of texts (cola,
    sst2-sentences) or of pairs of texts, how similar two texts are (stsb),
    a label for each word (wnut17), or where in a text the answer to a question
    stands (BERT only). Of your own data, columns and endings say it:

        text,label   text_a,text_b,label   text_a,text_b,score
        question,text,answer   SQuAD's .json   words and tags in a .conll

    A GPT trains once with the paper's auxiliary loss and once without. The
    first command pre-trains a small GPT-1; --help-all shows all settings:

        tinygrad-gpt train sentences --preset gpt1-small --out runs/gpt1

        tinygrad-gpt finetune cola --from runs/gpt1 --seeds 3 --epochs 6 --lr 5e-4

        tinygrad-gpt finetune my-texts.tsv --from my-bert --epochs 4 --lr 3e-5

    Ctrl-C saves and ends; --resume continues from there, or from the last
    checkpoint of a run that was killed, and ends with the same weights.
    """
    from tinygrad_gpt.train import user_ops
    from tinygrad_gpt.train.fine_tuning import finetune
    from tinygrad_gpt.train.fine_tuning.folder import read_fine_tuned, runs_of, summary
    from tinygrad_gpt.train.reporter import make_reporter

    reporter = make_reporter()
    progress = download_progress(reporter)
    pairs = user_ops.load_pairs(with_ or [])
    if resume:
        path, written = resume, read_fine_tuned(runs_of(resume)[0])
        asked = {"TASK": data, "--from": from_, "--lm-weight": lm_weight, "--seeds": seeds, "--out": out}
        _check_resumed(path, written, asked | {"--tokenizer": tokenizer})
        pairs = user_ops.with_kept(pairs, written["own_pairs"], runs_of(resume)[0].own_op)
        user_ops.check_same_pairs(written["own_pairs"], pairs)
        reporter = check_and_install(pairs, force, reporter)
    else:
        examples, source, own = _read(data, from_, tokenizer, progress)
        reporter = check_and_install(pairs, force, reporter)
        first = given.get("seed", TrainConfig.seed)
        all_seeds = list(range(first, first + (seeds or 1)))
        path = finetune.start(examples, source, own, given, lm_weight or [], all_seeds, out, pairs)
        given, written = {}, read_fine_tuned(runs_of(path)[0])
    corpus, classes = written["corpus"], written["task"]["classes"]
    what = f" in {len(classes)} classes: {in_short(', '.join(classes))}" if classes else ""
    reporter.note(
        f"fine-tuning in {path} on {written['device']}: {written['parameters']:,} parameters, "
        f"{corpus['train_texts']:,} texts of {corpus['name']}{what} "
        f"({corpus['dev_texts']:,} to test on)"
    )
    try:
        with no_folder_left(path, resume is not None):
            finished = finetune.train(path, reporter, given, pairs, progress)
    except KeyboardInterrupt:  # outside the steps, which save first
        finished = False
    results = summary(path)
    if results["runs"]:
        _print_results(results)
    if not finished:
        reporter.note(f"stopped and saved; continue with: {resume_command('finetune', path)}")
        return INTERRUPTED
    kind = written["task"]["kind"]
    example = command("tinygrad-gpt", "classify" if kind in (CLASSES, PAIR_CLASSES) else "predict", path)
    texts = " ".join(map(_in_quotes, corpus["example"]))
    reporter.note(f"{path}: try  {example} {texts}{' --text TEXT' if kind == SPANS else ''}")
    return 0


def _read(data: str | None, from_: str | None, tokenizer: str | None, progress) -> tuple:
    """(labelled examples, pre-trained model, tokenizer) of a new fine-tuning."""
    from tinygrad_gpt.data.labelled import TASKS, open_task
    from tinygrad_gpt.train.fine_tuning.finetune import find_source

    if data is None:
        raise UserError(
            f"name the task, one of {', '.join(TASKS)} or a file of texts and labels; or continue a fine-tuning with "
            "--resume"
        )
    if from_ is None:
        raise UserError("name the pre-trained model with --from; or continue a fine-tuning with --resume")
    texts, source = open_task(data, progress=progress), find_source(from_)
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
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT...", help="what to classify; pairs one text after the other", show_default=False),
    ],
    device: DeviceName = "cpu",
):
    """Classify texts with a fine-tuned model: prints the likeliest class, its probability and the text."""
    from tinygrad_gpt.cli.predicting import as_line, print_remark
    from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned

    model = FineTuned(folder, device)
    model.check_kind(CLASSES, PAIR_CLASSES)
    for found in model.predict(texts):
        print(as_line(found))
    print_remark(model.remark(texts))


def _in_quotes(text: str) -> str:
    """A text as an argument to copy: in the quotes that every shell knows, if it has nothing that a shell would replace
    inside them; and after -- if it looks like an option."""
    quoted = f'"{text}"' if text.isprintable() and not set(text) & set('"$`\\!%') else command(text)
    return f"-- {quoted}" if text.startswith("-") else quoted


def _print_results(summary: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    from tinygrad_gpt.tasks.scores import TITLES

    baseline = summary["baseline"]
    names = list(baseline)
    table = Table("", *(TITLES[name] for name in names), "epochs", "minutes")
    table.add_row(summary["guess"], *(f"{baseline[name]:.3f}" for name in names), "", "")
    for run in summary["runs"]:
        name = f"{_lm_weight(run)}seed {run['seed']}" + ("" if run["finished"] else " (stopped)")
        scores = (f"{run[score]:.3f}" for score in names)
        table.add_row(name, *scores, str(run["epoch"]), f"{run['seconds'] / 60:.1f}")
        if "test" in run:
            table.add_row("  on the test examples", *(f"{run['test'][score]:.3f}" for score in names), "", "")
    for mean in summary["means"]:
        if mean["seeds"] > 1:
            table.add_row(f"{_lm_weight(mean)}mean of {mean['seeds']} ± s.d.", *_mean_cells(mean, names), "", "")
            if "test" in mean:
                table.add_row("  on the test examples", *_mean_cells(mean["test"], names), "", "")
    Console().print(table)


def _mean_cells(mean: dict, names: list[str]) -> list[str]:
    return [f"{mean[name]:.3f} ± {mean[f'{name}_sd']:.3f}" for name in names]


def _lm_weight(result: dict) -> str:
    return f"λ = {result['lm_weight']:g}, " if "lm_weight" in result else ""
