"""What the columns of a .tsv or .csv file mean.

A first line may name them; columns with other names are skipped then:

    text,label             a text and its class
    text_a,text_b,label    two texts and the class of the pair
    text_a,text_b,score    two texts and how similar they are, a number
    question,text,answer   a question, a text and the part of it that answers; a column start says where it begins.
                           The text may be called context

A file of 2 or 3 columns may have other names for its texts, if the last is label or score. Without names, 2 columns are
a text and its class, and 3 are two texts and a number, or their class if it is no number. Three columns that end in
whole numbers may be either, so they need names.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.examples import CLASSES, PAIR_CLASSES, SIMILARITY, SPANS
from tinygrad_gpt.data.questions import Question, answer, joined
from tinygrad_gpt.errors import UserError, in_short

_EXPECTED = {
    CLASSES: "a text and its label",
    PAIR_CLASSES: "two texts and their label",
    SIMILARITY: "two texts and a number",
    SPANS: "a question, a text and its answer",
}
_NAMES = {
    CLASSES: ("text", "label"),
    PAIR_CLASSES: ("text_a", "text_b", "label"),
    SIMILARITY: ("text_a", "text_b", "score"),
    SPANS: ("question", "text", "answer"),
}
_ALSO = {"context": "text"}  # other names, beside "question"
_LAST = ("label", "score", "answer")  # one of them ends a heading


class Row(NamedTuple):
    """One text or two, their label as it is written, and the place of the line: "FILE, line 2"."""

    texts: tuple[str, ...]
    label: str
    place: str


class Columns(NamedTuple):
    """Where the cells of a row stand that _NAMES lists, and how many cells a row has."""

    kind: str
    places: tuple[int, ...]
    count: int
    start: int | None = None


def read_table(path: Path, table: Iterable[tuple[int, list[str]]], kind: str = "") -> tuple[str, list]:
    """The kind of a table of numbered rows of cells, and its rows: of Row, or for spans of Question.

    kind  what a file without names holds if it has the columns for it, known from another file of the same task

    Raises UserError, naming file and line, for a row without these cells and for columns that may be read in two ways.
    """
    columns, rows, named = None, [], False
    for number, cells in table:
        place = f"{path}, line {number}"
        if columns is None:
            names = [cell.strip().lower() for cell in cells]
            if "question" in names:
                names = [_ALSO.get(name, name) for name in names]
            named = names[-1] in _LAST or len({*names} & {name for row in _NAMES.values() for name in row}) > 1
            columns = _named(place, names) if named else _nameless(place, cells, kind)
            if named:
                continue
        rows.append(_row(place, cells, columns))
    if columns is None:
        return kind or CLASSES, []
    if columns.kind == SPANS:
        return SPANS, joined(rows)
    if not named and not kind:
        _check_can_be_told(path, columns.kind, rows)
    return columns.kind, rows


def _named(place: str, names: list[str]) -> Columns:
    """The columns that a heading names."""
    fitting = [kind for kind, wanted in _NAMES.items() if {*wanted} <= {*names}]
    if len(fitting) == 1 and all(names.count(name) == 1 for name in _NAMES[fitting[0]]):
        (kind,) = fitting
        start = names.index("start") if kind == SPANS and "start" in names else None
        return Columns(kind, tuple(names.index(name) for name in _NAMES[kind]), len(names), start)
    shapes = {(2, "label"): CLASSES, (3, "label"): PAIR_CLASSES, (3, "score"): SIMILARITY}
    if not fitting and (kind := shapes.get((len(names), names[-1]))):
        return Columns(kind, tuple(range(len(names))), len(names))
    headings = ", or ".join(",".join(wanted) for wanted in _NAMES.values())
    raise UserError(f"{place}: expected a heading with the columns {headings}; got {in_short(','.join(names))}")


def _nameless(place: str, cells: list[str], kind: str) -> Columns:
    """The columns of a file whose first line is `cells`."""
    count = len(cells)
    if count == 3 and kind not in (PAIR_CLASSES, SIMILARITY):
        kind = PAIR_CLASSES if _number(cells[2]) is None else SIMILARITY
    elif count == 2:
        kind = CLASSES
    elif count != 3:
        raise UserError(
            f"{place}: expected {_EXPECTED[CLASSES]}, or two texts and their label or score, or a heading that names "
            f"more columns; got {shown(' | '.join(cells))}{_hint(cells)}"
        )
    return Columns(kind, tuple(range(count)), count)


def _hint(cells: list[str]) -> str:
    """What may be wrong with a line of a single cell."""
    if len(cells) == 1 and any(mark in cells[0] for mark in ";,\t"):
        return " (commas should separate the cells of a .csv, and tabs those of a .tsv)"
    return ""


def _row(place: str, cells: list[str], columns: Columns) -> Row | Question:
    picked = [cells[i] for i in columns.places] if len(cells) == columns.count else []
    if not picked or not all(cell.strip() for cell in picked):
        raise UserError(f"{place}: expected {_EXPECTED[columns.kind]}, got {shown(' | '.join(cells))}")
    if columns.kind == SPANS:
        question, text, words = picked
        start = None if columns.start is None else _whole_number(place, cells[columns.start])
        return Question(question.strip(), text, (answer(place, text, words, start),), place)
    *texts, label = (cell.strip() for cell in picked)
    if columns.kind == SIMILARITY and _number(label) is None:
        raise UserError(
            f"{place}: expected a number, got {shown(label)} (for classes, name the columns in the first line: "
            f"{','.join(_NAMES[PAIR_CLASSES])})"
        )
    return Row(tuple(texts), label, place)


def _check_can_be_told(path: Path, kind: str, rows: list[Row]) -> None:
    """Raise UserError for three columns without names that may be classes or numbers."""
    if kind == SIMILARITY and all(row.label.lstrip("+-").isdecimal() for row in rows):
        got = "the third column has whole numbers only, which may be classes or scores"
    elif kind == PAIR_CLASSES and len(rows) > 1 and all(_number(row.label) is not None for row in rows[1:]):
        got = f"the third column has numbers below {shown(rows[0].label)}"
    else:
        return
    classes, scores = (",".join(_NAMES[kind]) for kind in (PAIR_CLASSES, SIMILARITY))
    raise UserError(f"{path}: {got}: name the columns in the first line, {classes} or {scores}")


def _number(cell: str) -> float | None:
    """The finite number that a cell holds, or None."""
    try:
        number = math.nan if "_" in cell else float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole_number(place: str, cell: str) -> int:
    cell = cell.strip()
    if not (cell.isdecimal() and len(cell) < 10):
        raise UserError(f"{place}: expected how many characters stand before the answer, got {shown(cell)}")
    return int(cell)
