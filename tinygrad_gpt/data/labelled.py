"""Tasks by name or path: texts with what should be learnt about them, for fine-tuning.

Names:
    cola            the Corpus of Linguistic Acceptability (Warstadt, Singh and Bowman, "Neural network acceptability
                    judgments", 2019): 8,551 English sentences to train on and 527 to test on, each 1 (acceptable) or 0
    sst2-sentences  whole sentences of film reviews from the Stanford Sentiment Treebank (Socher et al., "Recursive deep
                    models for semantic compositionality over a sentiment treebank", 2013): 6,920, 872 and 1,821, each 1
                    (positive) or 0. GLUE trains on 67,000 phrases of the same sentences instead
    stsb            the STS benchmark (Cer et al., "SemEval-2017 task 1: semantic textual similarity", 2017): 5,749,
                    1,500 and 1,379 pairs of sentences and how similar people find them, from 0 to 5
    wnut17          names in tweets and forum posts (Derczynski et al., "Results of the WNUT2017 shared task on novel
                    and emerging entity recognition", 2017): 3,394, 1,009 and 1,287 texts with names of six types
Their files are found or downloaded like those of corpora.py, and are read as they were published: a few examples of dev
(cola, stsb) and of test (stsb, sst2-sentences) are among those to train on, too.

Anything else is a path, of a file or of a folder with the files train and dev (or validation), and test if one likes.
What they hold follows from their ending and columns:

    kind          ending      what it holds
    classes       .tsv .csv   text,label
    pair-classes  .tsv .csv   text_a,text_b,label
    similarity    .tsv .csv   text_a,text_b,score
    spans         .tsv .csv   question,text,answer (the answer is a part of the text)
    spans         .json       SQuAD's form
    tokens        .conll      a word and its tag (O, B-TYPE or I-TYPE) a line, a blank line between sentences

tables.py says when a .tsv or .csv needs these names in its first line; questions.py and conll.py have the other two.

A single file is split: its examples are put in the order of their SHA-256 (a shuffle that is the same everywhere); the
first 90 % train, and the rest are kept to test on. Questions are put in the order of their texts, and all questions
about a text are on one side.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data import conll, delimited, questions
from tinygrad_gpt.data.corpora import TRAIN_SHARE, find_file
from tinygrad_gpt.data.examples import (
    CLASSES,
    OUTSIDE,
    PAIR_CLASSES,
    SIMILARITY,
    SPANS,
    TOKENS,
    AnsweredQuestions,
    Examples,
    LabelledPairs,
    LabelledTask,
    LabelledTexts,
    LabelledWords,
)
from tinygrad_gpt.data.tables import Row, read_table
from tinygrad_gpt.data.text_files import read_lines
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.progress import Progress

ENDINGS = (*delimited.ENDINGS, conll.ENDING, questions.ENDING)


class Part(NamedTuple):
    """The rows of a file, all of one kind: Row, Sentence or Question."""

    path: Path
    kind: str
    rows: list[Any]


def open_task(name_or_path: str | Path, *, progress: Progress | None = None) -> LabelledTask:
    """The task with this name, or in this file or folder. Names come first: write ./cola for a path.

    progress  called with (bytes so far, total bytes or None) while a file is downloaded

    Raises UserError, naming file and line, for a path that does not exist, a line that is no example, a class that
    training never shows, training examples that all have one label, and a named task that can neither be found nor
    downloaded.
    """
    name = str(name_or_path)
    if name in _NAMED:
        places, read = _NAMED[name]
        return _task(name, [read(find_file(name, place, progress)) for place in places])
    path = user_path(name)
    if path.is_dir():
        train = _read(_file_of(path, "train"))
        files = [_file_of(path, "dev", also="validation"), _file_of(path, "test", needed=False)]
        return _task(name, [train, *(_read(file, train.kind) for file in files if file)], path)
    if not path.is_file():
        raise UserError(
            f"there is no task, file or folder {in_short(name)!r}{did_you_mean(name, TASKS)}: "
            f"expected {', '.join(TASKS)}, or a path of texts with labels"
        )
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path} should be a file of texts and labels with a name that ends in {_or(ENDINGS)}")
    whole = _read(path)
    keys = [hashlib.sha256(_to_shuffle_by(row).encode()).digest() for row in whole.rows]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    cut = int(TRAIN_SHARE * len(order))
    while whole.kind == SPANS and 0 < cut < len(order) and keys[order[cut]] == keys[order[cut - 1]]:
        cut += 1
    parts = [whole._replace(rows=[whole.rows[i] for i in part]) for part in (order[:cut], order[cut:])]
    return _task(name, parts, path)


def _file_of(folder: Path, part: str, needed: bool = True, also: str = "") -> Path | None:
    """The file of this part, which has `also` as another name. Raises UserError for several, which to read nobody said,
    and for none if it is needed."""
    names = [part + ending for ending in ENDINGS]
    others = [also + ending for ending in ENDINGS if also]
    found = [name for name in (*names, *others) if (folder / name).is_file()]
    if len(found) > 1:
        raise UserError(f"the folder {folder} has {' and '.join(found)}: leave the one that should be read")
    if not found and needed:
        raise UserError(f"the folder {folder} has no {_or(names)}")
    return folder / found[0] if found else None


def _read(path: Path, kind: str = "") -> Part:
    """A file of one's own. `kind`: what the training file holds, if this is another."""
    ending = path.suffix.lower()
    if ending == conll.ENDING:
        part = _conll(path)
    elif ending == questions.ENDING:
        part = Part(path, SPANS, questions.read_squad(path))
    else:
        part = Part(path, *read_table(path, delimited.read_cells(path), kind))
    if kind and part.kind != kind:
        raise UserError(f"{path} holds the kind {part.kind}, but the training file {kind}: both should hold the same")
    return part


# --- the files of named tasks ----------------------------------------------------------------------------------------


def _cola(path: Path) -> Part:
    """Source, label, the author's own mark, sentence."""
    rows = []
    for number, cells in delimited.read_cells(path):
        place = f"{path}, line {number}"
        if len(cells) != 4 or cells[1] not in ("0", "1"):
            raise UserError(f"{place}: expected a text and its label, got {shown(' | '.join(cells))}")
        rows.append(Row((cells[3],), cells[1], place))
    return Part(path, CLASSES, rows)


def _label_first(path: Path) -> Part:
    """0 or 1, a space and a sentence."""
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        label, _, text = line.strip().partition(" ")
        if label not in ("0", "1") or not text:
            raise UserError(f"{path}, line {number}: expected 0 or 1 and a sentence, got {shown(line.strip())}")
        rows.append(Row((text,), label, f"{path}, line {number}"))
    return Part(path, CLASSES, rows)


def _scored(path: Path) -> Part:
    return Part(path, *read_table(path, delimited.read_cells(path), SIMILARITY))


def _conll(path: Path) -> Part:
    return Part(path, TOKENS, conll.read_conll(path))


_NAMED: dict[str, tuple[tuple[str, ...], Callable[[Path], Part]]] = {  # name -> places in FILES, how they are read
    "cola": (("cola/in_domain_train.tsv", "cola/in_domain_dev.tsv"), _cola),
    "sst2-sentences": (tuple(f"sst2-sentences/{part}.txt" for part in ("train", "dev", "test")), _label_first),
    "stsb": (tuple(f"stsb/{part}.csv" for part in ("train", "dev", "test")), _scored),
    "wnut17": (tuple(f"wnut17/{part}.conll" for part in ("train", "dev", "test")), _conll),
}
TASKS = tuple(_NAMED)


# --- from rows to arrays ---------------------------------------------------------------------------------------------


def _task(name: str, parts: list[Part], path: Path | None = None) -> LabelledTask:
    """The task of two or three parts: train, dev and perhaps test."""
    train, dev, *_ = parts
    if not train.rows or not dev.rows:
        raise UserError(
            f"{name} has {len(train.rows)} texts to train on and {len(dev.rows)} to test on: both need some"
        )
    classes = _classes_of(name, train)
    examples = [_EXAMPLES[train.kind](part.rows, classes) for part in parts]
    where = None if path is None else os.path.abspath(path)
    return LabelledTask(name, train.kind, *examples, classes=classes, path=where)


def _classes_of(name: str, train: Part) -> tuple[str, ...]:
    """The classes of the training rows; () for kinds without. Raises UserError if there is nothing to tell apart."""
    if train.kind == SPANS:
        return ()
    if train.kind == TOKENS:
        classes = conll.classes_of(train.rows)
        if len(classes) == 1:
            raise UserError(f"every training word of {name} has the tag {OUTSIDE}: at least one entity is needed")
        return classes
    if train.kind == SIMILARITY:
        labels, needed = {float(row.label) for row in train.rows}, "different scores"
    else:
        labels, needed = {row.label for row in train.rows}, "classes"
    if len(labels) < 2:
        raise UserError(
            f"every training text of {name} has the label {shown(labels.pop())}: at least two {needed} are needed"
        )
    return tuple(sorted(labels)) if needed == "classes" else ()


def _texts(rows: list[Row], classes: tuple[str, ...]) -> LabelledTexts:
    return LabelledTexts([row.texts[0] for row in rows], _indices(rows, classes))


def _pairs(rows: list[Row], classes: tuple[str, ...]) -> LabelledPairs:
    numbers = _indices(rows, classes) if classes else np.array([float(row.label) for row in rows])
    return LabelledPairs([row.texts[0] for row in rows], [row.texts[1] for row in rows], numbers)


def _words(rows: list[conll.Sentence], classes: tuple[str, ...]) -> LabelledWords:
    index = {tag: i for i, tag in enumerate(classes)}
    labels = []
    for row in rows:
        for word, tag in zip(row.words, row.tags, strict=True):
            if tag not in index:
                types = in_short(", ".join(name[2:] for name in classes[1::2]))
                raise UserError(
                    f"{row.place}: the tag {shown(tag)} of the test word {shown(word)} is not of a type that is among "
                    f"those of training: {types}"
                )
        labels.append(np.array([index[tag] for tag in row.tags], dtype=np.int64))
    return LabelledWords([row.words for row in rows], labels)


def _answered(rows: list[questions.Question], classes: tuple[str, ...]) -> AnsweredQuestions:
    return AnsweredQuestions([row.question for row in rows], [row.text for row in rows], [row.answers for row in rows])


_EXAMPLES: dict[str, Callable[[list, tuple[str, ...]], Examples]] = {
    CLASSES: _texts,
    PAIR_CLASSES: _pairs,
    SIMILARITY: _pairs,
    TOKENS: _words,
    SPANS: _answered,
}


def _indices(rows: list[Row], classes: tuple[str, ...]) -> np.ndarray:
    """(N,) int64: where each label stands among the classes."""
    index = {label: i for i, label in enumerate(classes)}
    for row in rows:
        if row.label not in index:
            raise UserError(
                f"{row.place}: the label {shown(row.label)} of the test text {shown(row.texts[0])} is not among those "
                f"of training: {in_short(', '.join(classes))}"
            )
    return np.array([index[row.label] for row in rows], dtype=np.int64)


def _to_shuffle_by(row: Any) -> str:
    """What decides the place of an example in the shuffle of a single file."""
    if isinstance(row, Row):
        return "\t".join((*row.texts, row.label))
    return row.text if isinstance(row, questions.Question) else "\t".join((*row.words, *row.tags))


def _or(names: Any) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"
