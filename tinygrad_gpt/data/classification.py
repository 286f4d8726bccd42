"""Texts with labels, by name or path: the data for fine-tuning a classifier.

Names:
    cola   the Corpus of Linguistic Acceptability (Warstadt, Singh and Bowman, "Neural network acceptability judgments",
           2019): 8,551 English sentences to train on and 527 to test on, each 1 (acceptable) or 0. Found or downloaded
           like the files of corpora.py.

Anything else is a path, of a file or of a folder with train.tsv and dev.tsv (or .csv). Each line holds a text and its
label in two columns: tab-separated and without quotes in a .tsv, as spreadsheets write them in a .csv. A first line
with "label" in its second column is a heading. A single file is split: its lines are put in the order of their SHA-256
(a shuffle that is the same everywhere); the first 90 % train, and the rest are kept to test on.
"""

import csv
import hashlib
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.corpora import TRAIN_SHARE, find_file
from tinygrad_gpt.data.text_files import read_text
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.files.storage import user_path
from tinygrad_gpt.progress import Progress

Row = tuple[str, str]  # (text, label)
ENDINGS = (".tsv", ".csv")
_HEADING = "label"  # name of the second column
_LONGEST_FIELD = (1 << 31) - 1  # characters: the largest limit that csv takes on every system
_limit_is_lifted = threading.Lock()


@dataclass(frozen=True)
class Labelled:
    """Texts, and their labels as indices into the list of classes: (N,) int64."""

    texts: list[str]
    labels: np.ndarray


@dataclass(frozen=True)
class ClassificationTask:
    """Labelled texts to train and to test on.

    name     the name or path that open_task was called with
    classes  the labels as they are written, sorted
    train    what to learn from
    dev      what to test on
    path     the absolute path it was read from; None for a named task
    """

    name: str
    classes: tuple[str, ...]
    train: Labelled
    dev: Labelled
    path: str | None = None

    @property
    def majority(self) -> int:
        """The class with the most training examples."""
        return int(np.bincount(self.train.labels).argmax())

    @property
    def sha256(self) -> str:
        """Of all texts with their labels, in their order."""
        digest = hashlib.sha256()
        for part in (self.train, self.dev):
            for text, label in zip(part.texts, part.labels, strict=True):
                digest.update(f"{self.classes[label]}\t{text}\n".encode())
            digest.update(b"\0")
        return digest.hexdigest()


def open_task(name_or_path: str | Path, *, progress: Progress | None = None) -> ClassificationTask:
    """The task with this name, or in this file or folder.

    Raises UserError for a path that does not exist, a line that is not a text and a label, a class that occurs in the
    test texts only, fewer than two classes, and a named task that can neither be found nor downloaded.
    """
    name = str(name_or_path)
    if name == "cola":
        paths = [find_file(name, f"cola/in_domain_{part}.tsv", progress) for part in ("train", "dev")]
        return _task(name, *(_rows(path, _cola_row) for path in paths))
    path = user_path(name)
    if path.is_dir():
        return _task(name, *(_rows(_part(path, part), _own_row) for part in ("train", "dev")), path)
    if not path.is_file():
        raise UserError(
            f"there is no task, file or folder {in_short(name)!r}{did_you_mean(name, ['cola'])}: "
            "expected cola, or a path of texts with labels"
        )
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path} should be a file of texts and labels with a name that ends in {' or '.join(ENDINGS)}")
    rows = sorted(_rows(path, _own_row), key=lambda row: hashlib.sha256("\t".join(row).encode()).digest())
    cut = int(TRAIN_SHARE * len(rows))
    return _task(name, rows[:cut], rows[cut:], path)


def _part(folder: Path, part: str) -> Path:
    for ending in ENDINGS:
        if (folder / f"{part}{ending}").is_file():
            return folder / f"{part}{ending}"
    raise UserError(f"the folder {folder} has no {part}.tsv or {part}.csv with a text and its label on each line")


def _rows(path: Path, row_of) -> list[Row]:
    """The row of each line. Raises UserError, naming file and line, for a line without these two."""
    lines = list(io.StringIO("".join(read_text(path))))
    how = {} if path.suffix.lower() == ".csv" else {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    table, rows = csv.reader(lines, **how), []
    number, begin = 1, 1  # the lines where the next row and this one begin: a .csv's row may have several
    with _fields_of_any_length():
        try:
            for cells in table:
                row, begin, number = row_of(cells), number, table.line_num + 1
                if row is None and any(cell.strip() for cell in cells):
                    got = shown(" | ".join(cells))
                    raise UserError(f"{path}, line {begin}: expected a text and its label, got {got}")
                if row and (rows or row[1].strip().lower() != _HEADING):
                    rows.append(row)
            for _ in csv.reader(lines[begin - 1 :], strict=True, **how):
                pass  # strict: the last row, too, closes its quotation marks
        except csv.Error as error:
            raise UserError(f"{path}, line {begin}: {error}") from None
    return rows


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Inside this block, csv takes fields of more than its default of 131,072 characters. The limit belongs to the
    whole process, so it is reset afterwards."""
    with _limit_is_lifted:
        before = csv.field_size_limit(_LONGEST_FIELD)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _cola_row(cells: list[str]) -> Row | None:
    """Source, label, the author's own mark, sentence."""
    return (cells[3], cells[1]) if len(cells) == 4 and cells[1] in ("0", "1") else None


def _own_row(cells: list[str]) -> Row | None:
    text, label = (cell.strip() for cell in cells) if len(cells) == 2 else ("", "")
    return (text, label) if text and label else None


def _task(name: str, train: list[Row], dev: list[Row], path: Path | None = None) -> ClassificationTask:
    if not train or not dev:
        raise UserError(f"{name} has {len(train)} texts to train on and {len(dev)} to test on: both need some")
    classes = tuple(sorted({label for _, label in train}))
    if len(classes) < 2:
        raise UserError(
            f"every training text of {name} has the label {shown(classes[0])}: at least two classes are needed"
        )
    for text, label in dev:
        if label not in classes:
            raise UserError(
                f"{name}: the label {shown(label)} of the test text {shown(text)} is not among those of training: "
                f"{in_short(', '.join(classes))}"
            )
    where = None if path is None else os.path.abspath(path)
    return ClassificationTask(name, classes, _labelled(train, classes), _labelled(dev, classes), where)


def _labelled(rows: list[Row], classes: tuple[str, ...]) -> Labelled:
    place = {label: i for i, label in enumerate(classes)}
    return Labelled([text for text, _ in rows], np.array([place[label] for _, label in rows], dtype=np.int64))
