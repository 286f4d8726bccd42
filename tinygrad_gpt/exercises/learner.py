"""A learner's file: which exercise it is for, what it defines, and what is theirs in it."""

import ast
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

from tinygrad_gpt.errors import UserError, did_you_mean
from tinygrad_gpt.exercises.cutting import top_level
from tinygrad_gpt.exercises.exercise import Exercise
from tinygrad_gpt.files.storage import read_file
from tinygrad_gpt.train import user_files
from tinygrad_gpt.train.user_files import blamed, run_file

_LARGEST = 1 << 20  # bytes of a learner's file


class NotPythonError(UserError):
    """A file that does not parse. `excerpt` holds the line, and a caret below the place."""

    def __init__(self, message: str, excerpt: str):
        super().__init__(message)
        self.excerpt = excerpt


def exercise_of(path: Path, bank: dict[str, Exercise]) -> Exercise:
    """The exercise that a file is for: softmax.py and my_softmax.py are for softmax. Raises UserError for another
    name."""
    names = (path.stem, path.stem.removeprefix("my_"))
    found = next((bank[name] for name in names if name in bank), None)
    if found is None:
        near = did_you_mean(names[1], bank)
        raise UserError(
            f"{path} is named after no exercise{near}: call it ID.py, as `exercise start ID` does; "
            "`tinygrad-gpt exercise list` lists the exercises"
        )
    return found


def load(path: Path) -> ModuleType:
    """Run a learner's file. Raises UserError if it is missing or ends the program, NotPythonError if it does not parse.
    Any other exception of its own code passes through; see train/user_files.py."""
    try:
        ast.parse(text_of(path))
    except SyntaxError as error:
        if error.lineno and error.text:
            line = error.text.rstrip()
            inset = len(line) - len(line.lstrip())
            caret = " " * max(0, (error.offset or 1) - 1 - inset) + "^"
            raise NotPythonError(f"{path}, line {error.lineno}: {error.msg}", f"  {line.strip()}\n  {caret}") from None
    except ValueError:  # a zero byte: run_file says so
        pass
    try:
        return run_file(path, "exercise").module
    except SystemExit as error:
        raise UserError(f"{blamed(error) or path}: it ends the program when it is read: take that out") from None


@contextmanager
def silenced() -> Iterator[io.StringIO]:
    """Within this block what a learner's code prints is kept, not shown: it runs in many cases. input() finds an empty
    file, which exit() closes in place of the real one. breakpoint() talks and listens."""
    stdin, stdout, hook = sys.stdin, sys.stdout, sys.breakpointhook

    def talking(*args, **kwargs):
        sys.stdin, sys.stdout = stdin, stdout
        return hook(*args, **kwargs)

    try:
        sys.stdin, sys.breakpointhook = io.StringIO(), talking
        with redirect_stdout(io.StringIO()) as said:
            yield said
    finally:
        sys.stdin, sys.breakpointhook = stdin, hook


def text_of(path: Path) -> str:
    """The text of a learner's file. Raises UserError if it is missing, or in another encoding than it says."""
    return user_files.text_of(path, read_file(path, _LARGEST))


def parts_of(text: str, names: tuple[str, ...]) -> str:
    """What a text defines by these names, as it is written; the whole text if it defines none of them."""
    found = top_level(ast.parse(text))
    parts = [ast.get_source_segment(text, found[name]) for name in names if name in found]
    return "\n\n\n".join(parts) or text.strip()
