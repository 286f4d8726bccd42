"""Sentences with a tag for each word, as the CoNLL shared tasks write them.

A line holds a word and its tag, and a blank line ends a sentence. Between the two may stand other columns (part of
speech, chunk), which are skipped: the word is the first and the tag the last. Columns are separated by tabs, or by
spaces if a line has no tab. -DOCSTART-, which CoNLL-2003 writes between documents, is no word.

    Empire    B-location        tags (Ramshaw and Marcus, "Text chunking using transformation-based learning", 1995):
    State     I-location        B-TYPE  the first word of an entity
    Building  I-location        I-TYPE  a further word of it
    =         O                 O       a word of none
    ESB       B-location
"""

import re
from pathlib import Path
from typing import NamedTuple

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.examples import OUTSIDE
from tinygrad_gpt.data.text_files import read_lines
from tinygrad_gpt.errors import UserError

ENDING = ".conll"
_TAG = re.compile(r"O|[BI]-\S+")


class Sentence(NamedTuple):
    """Words, their tags, and where it was read: "FILE, line 2", its first line."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    place: str


def read_conll(path: Path) -> list[Sentence]:
    """The sentences of a file. Raises UserError, naming file and line, for a line that is not a word and a tag."""
    sentences: list[Sentence] = []
    pairs: list[tuple[str, str]] = []
    begin = 1
    for number, line in enumerate([*read_lines(path), ""], start=1):
        if line.strip():
            pair = _word_and_tag(path, number, line)
            begin = begin if pairs else number
            if pair[0] != "-DOCSTART-":
                pairs.append(pair)
        elif pairs:
            words, tags = zip(*pairs, strict=True)
            sentences.append(Sentence(words, tags, f"{path}, line {begin}"))
            pairs = []
    return sentences


def _word_and_tag(path: Path, number: int, line: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
    if len(cells) < 2 or not cells[0]:
        raise UserError(f"{path}, line {number}: expected a word and its tag, got {shown(line.strip())}")
    if not _TAG.fullmatch(cells[-1]):
        raise UserError(f"{path}, line {number}: expected the tag O, B-TYPE or I-TYPE, got {shown(cells[-1])}")
    return cells[0], cells[-1]


def classes_of(sentences: list[Sentence]) -> tuple[str, ...]:
    """O, then B-TYPE and I-TYPE of each type that occurs, in the order of their names."""
    types = sorted({tag[2:] for sentence in sentences for tag in sentence.tags} - {""})
    return (OUTSIDE, *(f"{place}-{type}" for type in types for place in "BI"))
