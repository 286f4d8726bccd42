"""`tinygrad-gpt predict` and `tinygrad-gpt similar`: what a BERT, or a fine-tuned model, makes of a text."""

import json
import sys
from typing import Annotated, Any

import numpy as np
import typer

from tinygrad_gpt.cli.options import DeviceName, ModelPath, TokenizerPath
from tinygrad_gpt.cli.shared import read_lines
from tinygrad_gpt.cli.tables import print_table
from tinygrad_gpt.data.examples import PAIR_CLASSES, SIMILARITY
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.models.embeddings import sentence_embeddings
from tinygrad_gpt.models.fill_mask import Candidate, check_fills, fill_mask
from tinygrad_gpt.models.hf.sentences import sentence_length
from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned, head_in
from tinygrad_gpt.train.fine_tuning.folder import is_fine_tuning
from tinygrad_gpt.train.trained_model import open_model

_WIDEST = 12  # texts in a table of each with each
_FEW = 20  # pairs that are shown instead

Texts = Annotated[list[str] | None, typer.Argument(metavar="TEXT...", help="the texts", show_default=False)]
TextFile = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="a text on each line; -: read from standard input", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def predict(
    model: ModelPath,
    texts: Texts = None,
    text_file: TextFile = None,
    passage: Annotated[
        str | None,
        typer.Option(
            "--text", help="the text that answers the questions, of a model fine-tuned for spans", show_default=False
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="how many tokens to show for each [MASK]", min=1)] = 5,
    as_json: AsJson = False,
    tokenizer: TokenizerPath = None,
    device: DeviceName = "cpu",
):
    """Let a BERT fill the gaps in a text, or a fine-tuned model answer: prints the likeliest tokens for each [MASK].

    Each gap is judged by itself. A token that begins with ## goes on with the
    word before it.

        tinygrad-gpt predict runs/bert "The [MASK] sat on the mat."

    A folder that `finetune` made does what it was taught: it prints the class
    of each text, a number for each two texts, the label of each word, or where
    in a text the answer to each question stands. So does a Hugging Face folder
    of a fine-tuned BERT. In a --text-file, a tab may stand between two texts.

        tinygrad-gpt predict runs/stsb-1 "A man eats." "A man is eating."

        tinygrad-gpt predict runs/my-questions-1 "Who sat?" --text "The cat sat."
    """
    asked = _texts(texts, text_file)
    if is_fine_tuning(user_path(model)) or head_in(user_path(model)):
        _predict_as_taught(model, asked, passage, as_json, tokenizer, device)
        return
    if passage is not None:
        raise UserError(f"--text is for a model that was fine-tuned to answer questions, which {model} was not")
    _, own, trained = open_model(model, tokenizer, device, kinds=("bert",))
    check_fills(trained)
    for number, text in enumerate(asked):
        gaps = fill_mask(trained, own, text, top)
        if as_json:
            print(json.dumps({"text": text, "gaps": [[c._asdict() for c in gap] for gap in gaps]}), flush=True)
            continue
        if len(asked) > 1:
            print("\n" * (number > 0) + in_short(text))
        _print_gaps(gaps)


def _predict_as_taught(
    folder: str, texts: list[str], passage: str | None, as_json: bool, tokenizer: str | None, device: str
) -> None:
    if tokenizer is not None:
        raise UserError("a fine-tuned model reads texts with its own tokenizer: leave out --tokenizer")
    model = FineTuned(folder, device)
    if model.kind in (PAIR_CLASSES, SIMILARITY):
        texts = [part for text in texts for part in text.split("\t")]
    for found in model.predict(texts, passage):
        print(json.dumps(found) if as_json else as_line(found))
    print_remark(model.remark(texts))


def print_remark(remark: str) -> None:
    """Print what the model did not read, if there is anything."""
    if remark:
        print(f"note: {remark}", file=sys.stderr)


def as_line(found: dict[str, Any]) -> str:
    """What FineTuned.predict says of an example, as a line with tabs, the answer first; of a sentence a line for each
    word, and an empty one."""
    if "words" in found:
        return "".join(f"{row['word']}\t{row['label']}\t{_share(row['probability'])}\n" for row in found["words"])
    said = [found[name] for name in ("class", "answer") if name in found]
    said += [f"{found[name]:.3f}" for name in ("number", "probability") if name in found]
    asked: Any = found.get("texts") or [found.get("text", found.get("question"))]
    return "\t".join((*said, *asked))


def _share(probability: float | None) -> str:
    return "-" if probability is None else f"{probability:.3f}"


def _print_gaps(gaps: list[list[Candidate]]) -> None:
    heads = ["[MASK]"] if len(gaps) == 1 else [f"[MASK] {i}" for i in range(1, len(gaps) + 1)]
    print_table(heads, [[f"{c.probability:.3f} {c.token}" for c in row] for row in zip(*gaps, strict=True)])


def similar(
    model: ModelPath,
    texts: Texts = None,
    text_file: TextFile = None,
    query: Annotated[
        str | None, typer.Option(help="rank the texts by how like this one they are", show_default=False)
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            help="show this many texts (with --query) or pairs of texts, those most alike", min=1, show_default="all"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="texts that the model reads at once", min=1)] = 32,
    as_json: AsJson = False,
    tokenizer: TokenizerPath = None,
    device: DeviceName = "cpu",
):
    """Compare texts by their meaning, as a BERT sees it.

    Prints the cosine of each text's vector with each other's: 1 for texts
    that mean the same, about 0 for texts that have nothing in common. A
    text's vector is the mean of its tokens' vectors. This takes a BERT that
    was trained to compare texts, such as all-MiniLM-L6-v2; to one that has
    only filled gaps, all texts are alike.

        tinygrad-gpt similar MiniLM "A man eats." "A man is eating." "It rains."

        tinygrad-gpt similar MiniLM --query "How do I pay?" --text-file faq.txt
    """
    asked = _texts(texts, text_file)
    if query is None and len(asked) == 1:
        raise UserError("expected at least two texts to compare, or a --query, got one text")
    source, own, trained = open_model(model, tokenizer, device, kinds=("bert",))
    most = trained.config.max_position_embeddings
    most = min(most, sentence_length(source.files()[0].parent) or most)
    _report_long([*asked, query or ""], own, most)
    given = [*asked, *([] if query is None else [query])]
    vectors = sentence_embeddings(trained, own, given, batch_size, normalize=True, max_length=most)
    if query is not None:
        _rank(asked, vectors[:-1] @ vectors[-1], top, as_json)
    elif top is None and (as_json or len(asked) <= _WIDEST):
        _compare_all(asked, vectors @ vectors.T, as_json)
    else:
        _pair_up(asked, vectors @ vectors.T, top, as_json)


def _rank(texts: list[str], cosines: np.ndarray, top: int | None, as_json: bool) -> None:
    """cosines (N,) -> the texts in their order, the highest first."""
    best = np.argsort(-cosines, kind="stable")[:top].tolist()
    if as_json:
        print(json.dumps([{"text": texts[i], "cosine": float(cosines[i])} for i in best]))
    else:
        print_table(["cosine", "text"], [[f"{cosines[i]:.3f}", texts[i]] for i in best])


def _compare_all(texts: list[str], cosines: np.ndarray, as_json: bool) -> None:
    """cosines (N, N) -> a table of each text with each."""
    if as_json:
        print(json.dumps({"texts": texts, "cosines": cosines.tolist()}))
        return
    numbers = [str(i) for i in range(1, len(texts) + 1)]
    rows = zip(numbers, cosines, texts, strict=True)
    print_table(["", *numbers, "text"], [[number, *(f"{c:.3f}" for c in row), text] for number, row, text in rows])


def _pair_up(texts: list[str], cosines: np.ndarray, top: int | None, as_json: bool) -> None:
    """cosines (N, N) -> the pairs of texts that are most alike, these first."""
    if top is None:
        print(f"note: the {_FEW} pairs most alike of {len(texts)} texts; --top N shows more of them", file=sys.stderr)
    first, second = np.triu_indices(len(texts), k=1)
    best = np.argsort(-cosines[first, second], kind="stable")[: top or _FEW]
    pairs = [(float(cosines[i, j]), texts[i], texts[j]) for i, j in zip(first[best], second[best], strict=True)]
    if as_json:
        print(json.dumps([{"texts": pair, "cosine": cosine} for cosine, *pair in pairs]))
    else:
        print_table(["cosine", "text", "and"], [[f"{cosine:.3f}", *pair] for cosine, *pair in pairs])


def _texts(texts: list[str] | None, text_file: str | None) -> list[str]:
    found = [*(texts or []), *(read_lines(text_file) if text_file is not None else [])]
    if not found:
        raise UserError("expected a text, or --text-file with a text on each line, got neither")
    return found


def _report_long(texts: list[str], tokenizer: Any, most: int) -> None:
    """Print a line if the model does not read the ends of some texts."""
    long = sum(len(tokenizer.encode(text)) + 2 > most for text in texts)  # with [CLS] and [SEP]
    if long:
        said = "a text has" if long == 1 else f"{long} texts have"
        print(
            f"note: {said} more than the {most} tokens that the model reads; the rest does not count", file=sys.stderr
        )
