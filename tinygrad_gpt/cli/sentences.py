"""The sentences that `translate` is given: arguments, a file or standard input, one a line, empty lines too."""

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tinygrad_gpt.cli.shared import STANDARD_INPUT, read_standard_input
from tinygrad_gpt.data.text_files import read_lines
from tinygrad_gpt.errors import UserError, command, in_short
from tinygrad_gpt.files.storage import user_path

# One word with a folder before it, or with an ending: data/test, test.de. "Dog." and "3.5" may be sentences.
_FILE_NAME = re.compile(rf"\S*{re.escape(os.sep)}\S*|\S*\w\.[A-Za-z]\w*")


class Sentences(NamedTuple):
    """texts  without white space around them; "" for an empty line
    place  where they were read, "" for the command's own arguments
    """

    texts: list[str]
    place: str

    def names(self, numbers: Sequence[int]) -> str:
        """What to call sentences, counted from 0, in a message: "in.txt, lines 3, 17"; "sentence 2"."""
        kind = ("line" if self.place else "sentence") + "s" * (len(numbers) > 1)
        listed = in_short(", ".join(f"{number + 1:,}" for number in numbers))
        return f"{self.place}, {kind} {listed}" if self.place else f"{kind} {listed}"


def read_sentences(texts: list[str] | None) -> Sentences:
    """The sentences of a command's arguments: themselves, or the lines of the one file that they name, or of standard
    input for "-" and for none.

    Raises UserError if there are none, for what looks like a path and is none, for a file among sentences, and for what
    is not text.
    """
    if not texts and (sys.stdin is None or sys.stdin.isatty()):
        raise UserError("expected sentences, a file with one on each line, or - to read standard input; got none")
    if not texts or texts == ["-"]:
        content = read_standard_input("sentences").replace("\r\n", "\n").removesuffix("\n")
        return _made(content.split("\n") if content else [], STANDARD_INPUT)
    if len(texts) == 1 and _is_there(texts[0]):
        return read_sentences_of_file(texts[0])
    if files := [text for text in texts if _is_there(text) and not user_path(text).is_dir()]:  # "." is a folder
        raise UserError(
            f"{in_short(files[0])} is a file, and of several arguments each is a sentence: translate one file at a "
            f"time, or their lines from standard input, as in `{command('cat', *files)} | tinygrad-gpt translate MODEL`"
        )
    if all(_FILE_NAME.fullmatch(text) for text in texts):
        raise UserError(f"there is no file {in_short(texts[0])}, and it does not look like a sentence")
    return _made([line for text in texts for line in text.split("\n")], "")


def check_can_write(option: str, place: str, used: Iterable[str]) -> None:
    """Raise UserError for a place of an option where no file can be made: a folder, a device, a folder that is not
    there; and for one of the files that are used already, as what is read."""
    path = user_path(place)
    if _is_there(place) and not path.is_file():
        raise UserError(f"{option} should be a file to write, and {place} is {'a folder' if path.is_dir() else 'none'}")
    if not path.parent.is_dir():
        raise UserError(f"{option} should be a file to write, and there is no folder {path.parent}: make it first")
    for other in used:
        if os.path.realpath(path) == os.path.realpath(user_path(other)):
            raise UserError(f"{option} would write over {other}, which this command uses: give it another file")


def _is_there(place: str) -> bool:
    try:
        return user_path(place).exists()
    except (OSError, ValueError):  # no name for a file: too long, or with a zero byte
        return False


def read_sentences_of_file(place: str) -> Sentences:
    """The lines of a file, which may be gzipped, or of a pipe: <(command) of a shell is one. Raises UserError for
    anything else, such as a device that may never end."""
    path = user_path(place)
    if path.exists() and not path.is_dir() and not path.is_file() and not path.is_fifo():
        raise UserError(f"cannot read {place}: it is not a file")
    return _made(read_lines(path), place)


def read_references(place: str, sentences: Sentences) -> list[str]:
    """The lines of a file with the right translations. Raises UserError unless there is one for each sentence."""
    references = read_sentences_of_file(place)
    if len(references.texts) != len(sentences.texts):
        raise UserError(
            f"{place} has {len(references.texts):,} lines, and there are {len(sentences.texts):,} sentences: expected "
            "as many, line n the translation of sentence n"
        )
    return references.texts


def _made(lines: list[str], place: str) -> Sentences:
    if not lines:
        raise UserError(f"{place} has no sentences: write one on each line")
    return Sentences([line.strip() for line in lines], place)
