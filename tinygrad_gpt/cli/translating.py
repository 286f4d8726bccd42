"""`tinygrad-gpt translate`: sentences in, their translations out, line by line."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.cli.options import DeviceName, ModelPath, TokenizerPath
from tinygrad_gpt.cli.sentences import Sentences, check_can_write, read_references, read_sentences
from tinygrad_gpt.cli.shared import STANDARD_INPUT
from tinygrad_gpt.data.translation_vocabulary import check_is_the_models
from tinygrad_gpt.errors import UserError, did_you_mean
from tinygrad_gpt.files.plots import check_is_picture
from tinygrad_gpt.files.storage import replacing, user_path
from tinygrad_gpt.generate.alignment import SHADES, WordAlignment, align_words, as_table, draw_alignment
from tinygrad_gpt.generate.beam import PENALTIES
from tinygrad_gpt.generate.translate import BATCH_TOKENS, MORE, alignments, texts_of, translate_ids
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.scores import corpus_scores
from tinygrad_gpt.tasks.scores.bleu import TOKENIZERS
from tinygrad_gpt.tasks.translation_scores import words_of
from tinygrad_gpt.train.reporter import reading_bar
from tinygrad_gpt.train.trained_model import TrainedModel, open_model

TRANSLATOR = "Of a translator"  # where the help shows what only such a model takes
TOO_LONG = 1  # exit status, where some of the sentences were
PART = ".part"  # the file of an --out that was not finished ends with it
_AT_ONCE = 256  # sentences between two writes: nobody waits longer, and Ctrl-C loses no more
_MOST_PENALTY = 10  # in size: of a power, with which the score of no long sentence overflows


class Search(NamedTuple):
    """How translations are looked for: the settings of translate_ids by their names."""

    beams: int = 5
    penalty: str = "length"
    length_penalty: float = 1.0

    @classmethod
    def of(cls, *given: Any) -> "Search":
        """That of the options given; the defaults for None."""
        return cls(*(default if value is None else value for value, default in zip(given, cls(), strict=True)))


def one_of(option: str, names: Iterable[str]) -> Callable[[str | None], str | None]:
    """A callback of an option that raises UserError for a value that is none of these names."""

    def check(value: str | None) -> str | None:
        if value is not None and value not in names:
            near = did_you_mean(value, names)
            raise UserError(f"{option} should be one of {', '.join(names)}, not {shown(value)}{near}")
        return value

    return check


def check_length_penalty(value: float | None) -> float | None:
    if value is not None and not abs(value) <= _MOST_PENALTY:
        raise UserError(f"--length-penalty should be from -{_MOST_PENALTY} to {_MOST_PENALTY}, not {value}")
    return value


Beams = Annotated[
    int | None,
    typer.Option(
        help="translations in progress of each sentence; 1: greedy",
        min=1,
        max=1000,
        show_default=str(Search().beams),
        rich_help_panel=TRANSLATOR,
    ),
]
Penalty = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(PENALTIES),
        help="what divides the log-probability of a translation: its length L (length) or (5 + L) / 6 (gnmt), to the "
        "power of --length-penalty",
        callback=one_of("--penalty", PENALTIES),
        show_default=Search().penalty,
        rich_help_panel=TRANSLATOR,
    ),
]
LengthPenalty = Annotated[
    float | None,
    typer.Option(
        help="0: short ones win; the higher, the longer they get",
        callback=check_length_penalty,
        show_default=str(Search().length_penalty),
        rich_help_panel=TRANSLATOR,
    ),
]


def translate(
    model: ModelPath,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...",
            help="sentences; or a file with one on each line; or - for those of standard input",
            show_default="standard input",
        ),
    ] = None,
    beams: Beams = None,
    penalty: Penalty = None,
    length_penalty: LengthPenalty = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="where a translation is made to end, in tokens",
            min=1,
            max=10**6,
            show_default=f"{MORE} more than its sentence has",
        ),
    ] = None,
    batch_tokens: Annotated[
        int, typer.Option(help="tokens of the sentences that are read at once", min=1, max=10**6)
    ] = BATCH_TOKENS,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="file to write", show_default="standard output")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="a right translation on each line: print BLEU", show_default=False),
    ] = None,
    tokenize: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(TOKENIZERS),
            help="the words that BLEU compares; none: what spaces part, for texts that are tokenised",
            callback=one_of("--tokenize", TOKENIZERS),
            show_default="none if the model learned from a tokenised Multi30k, else 13a",
        ),
    ] = None,
    align: Annotated[bool, typer.Option("--align", help="show where the model looked as it wrote each word")] = False,
    align_plot: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="draw that, of one sentence; or a .pdf, .svg", show_default=False),
    ] = None,
    align_layer: Annotated[
        int | None, typer.Option(help="layer of the decoder that is shown", min=1, show_default="the last one")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON object for each sentence")] = False,
    tokenizer: TokenizerPath = None,
    device: DeviceName = "cpu",
):
    """Translate sentences, each into one line, in their order.

    An empty line stays one. A sentence with more tokens than the model reads is
    reported, and its line left empty; the exit status is then 1. A model that
    was trained in lower case reads all in lower case.

        tinygrad-gpt translate runs/de-en "Ein Hund schläft."

        tinygrad-gpt translate runs/de-en test.de --reference test.en

    BLEU and its signature come last: on standard error, or, with --out, on
    standard output. Ctrl-C keeps what is done of --out, in FILE.part.

    --align prints a table below each translation: what was read across, what
    was written down, the darker the more the model looked there. Where a
    terminal is too narrow, it prints beside each word the one that was looked
    at most.
    """
    sentences = read_sentences(texts)
    references = None if reference is None else read_references(reference, sentences)
    if align_layer is not None and not align and align_plot is None:
        raise UserError("--align-layer is of what --align shows and --align-plot draws: give one of them")
    used = [place for place in (sentences.place, reference) if place and place != STANDARD_INPUT]
    for option, place in (("--out", out), ("--align-plot", align_plot)):
        if place is not None:
            check_can_write(option, place, used)
            used.append(place)
    if align_plot is not None:
        check_is_picture("--align-plot", align_plot)
    source, own, trained = open_model(model, tokenizer, device, kinds=("transformer",))
    check_is_the_models(own, trained.config, tokenizer or f"the tokenizer of {model}")
    layer = _layer(align_layer, trained) if align or align_plot else None
    lowercase = reads_lowercase(source)
    sources, long = _encoded(sentences, own, lowercase, trained.config.max_position_embeddings)
    full = sum(ids is not None for ids in sources)
    if long and not full:
        raise UserError(long)
    if long:
        print(f"warning: {long}; left empty here", file=sys.stderr)
    if align_plot is not None and full != 1:
        raise UserError(f"--align-plot draws one sentence, got {full:,}")
    how = Search.of(beams, penalty, length_penalty)._asdict()
    how |= dict(max_new_tokens=max_tokens, batch_tokens=batch_tokens, layer=layer)
    found: list[Translated] = []
    with _writing(out, len(sources)) as write, _bar(out) as progress:
        for first in range(0, len(sources), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            before = sum(ids is not None for ids in sources[:first])
            these = _translated(trained, own, sources[some], progress=partial(_add_to, progress, before, full), **how)
            for text, ids, each in zip(sentences.texts[some], sources[some], these, strict=True):
                left_out = ids is None and text != ""
                write(_as_json(text, each, left_out) if as_json else _as_text(each, _width(out) if align else None))
            found += these
    if align_plot is not None:
        [drawn] = [each.alignment for each in found if each.alignment is not None]
        draw_alignment(drawn, user_path(align_plot), lambda line: print(f"note: {line}", file=sys.stderr))
    if references is not None:
        words = tokenize or words_of("" if source.settings is None else source.settings.task.corpus)
        scores = corpus_scores([each.text for each in found], references, words, lowercase)
        print(f"{scores.bleu}\n{scores.signature}", file=sys.stderr if out is None else sys.stdout)
    return TOO_LONG if long else 0


class Translated(NamedTuple):
    """text       the translation, on one line; "" for an empty line, and for one that is too long
    alignment  where the model looked as it wrote it, if that was asked for
    """

    text: str
    alignment: WordAlignment | None = None


def reads_lowercase(source: TrainedModel) -> bool:
    """Whether this translator was trained on a text in lower case."""
    return source.settings is not None and source.settings.task.lowercase


def _layer(given: int | None, model: Any) -> int:
    """The decoder's layer that is shown, counted from 0."""
    layers = len(model.decoder)
    if given is not None and given > layers:
        raise UserError(f"--align-layer should be at most {layers}, the number of the decoder's layers, not {given}")
    return (given or layers) - 1


def _encoded(
    sentences: Sentences, tokenizer: Any, lowercase: bool, positions: int
) -> tuple[list[np.ndarray | None], str]:
    """(the ids of each sentence, with their end; what to say of those that are too long, or ""). None stands for an
    empty sentence, and for one that is longer than the model's positions."""
    encoded: list[np.ndarray | None] = []
    long: dict[int, int] = {}  # number -> tokens
    for number, text in enumerate(sentences.texts):
        ids = np.append(tokenizer.encode(text.lower() if lowercase else text), tokenizer.end_id)
        if len(ids) > positions:
            long[number] = len(ids)
        encoded.append(ids if 1 < len(ids) <= positions else None)
    if not long:
        return encoded, ""
    has, its, of = ("have up to", "their ends", "each") if len(long) > 1 else ("has", "its end", "it")
    return encoded, (
        f"{sentences.names([*long])} {has} {max(long.values()):,} tokens with {its}, and the model reads at most "
        f"{positions:,}: make several sentences of {of}, each on its own line"
    )


def _translated(
    model: Any, tokenizer: Any, sources: Sequence[np.ndarray | None], layer: int | None, **how
) -> list[Translated]:
    """The translations of sources, in their order.

    layer  of the decoder that shows where the model looked; None: nothing is shown
    how    the settings of translate_ids
    """
    full = [ids for ids in sources if ids is not None]
    targets = translate_ids(model, full, **how)
    texts = [" ".join(text.splitlines()) for text in texts_of(tokenizer, targets)]
    found = map(Translated, texts)
    if layer is not None:
        ended = [np.append(ids, tokenizer.end_id) for ids in targets]
        looked = zip(full, ended, alignments(model, full, ended, layer), strict=True)
        found = (Translated(text, align_words(tokenizer, *each)) for text, each in zip(texts, looked, strict=True))
    return [Translated("") if ids is None else next(found) for ids in sources]


def _as_text(translated: Translated, width: int | None) -> str:
    """The translation, and, for a width, the table of its alignment and an empty line."""
    if width is None or translated.alignment is None:
        return translated.text
    return "\n".join([translated.text, *as_table(translated.alignment, width), ""])


def _as_json(text: str, translated: Translated, left_out: bool) -> str:
    answer: dict[str, Any] = {"text": text, "translation": None if left_out else translated.text}
    if translated.alignment is not None:
        answer["alignment"] = translated.alignment._asdict() | {"weights": translated.alignment.weights.tolist()}
    return json.dumps(answer)


def _width(out: str | None) -> int:
    """The columns that a table may have; 0 where its shades cannot be written."""
    encoding = "utf-8" if out is not None else getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        SHADES.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return 0
    return shutil.get_terminal_size().columns


@contextmanager
def _writing(out: str | None, total: int) -> Iterator[Callable[[str], object]]:
    """A function that writes a translation: to standard output, or to a file that is there once all are written. Until
    then an older one stays as it was, and what Ctrl-C or an error leaves goes beside it."""
    if out is None:
        yield lambda text: print(text, flush=True)
        return
    path, done = user_path(out), 0

    def write(text: str) -> None:
        nonlocal done
        file.write(f"{text}\n".encode())
        done += 1

    with replacing(path) as file:
        try:
            yield write
        except BaseException:
            if done:
                part = path.with_name(path.name + PART)
                with suppress(OSError):
                    file.flush()
                    shutil.copyfile(file.name, part)
                    print(f"{part} has the first {done:,} of {total:,} translations", file=sys.stderr)
            raise


def _add_to(progress: Progress, before: int, total: int, done: int, _) -> None:
    progress(before + done, total)


def _bar(out: str | None):
    """A bar for a terminal, unless the translations appear there themselves."""
    return nullcontext(no_progress) if out is None and sys.stdout.isatty() else reading_bar(unit="sentences")
