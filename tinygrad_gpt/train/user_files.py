"""Python files of the user's: read once, hashed, and run as modules. Which line of theirs raised an error."""

import hashlib
import sys
import traceback
from dataclasses import dataclass
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import read_file

_LARGEST = 16 << 20  # bytes of a Python file
_ran: dict[str, Path] = {}  # every file that was run, by the name that a traceback has for it


@dataclass(frozen=True)
class UserFile:
    """A file and what it held when it was run.

    module  what it defines
    """

    path: Path
    source: bytes
    module: ModuleType

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest()


def run_file(path: Path, kind: str, sha256: str | None = None) -> UserFile:
    """Run the file as a module of its own, OWN_KIND_NAME.

    sha256  what its hash must be; None: anything

    Raises UserError for a file that is missing, is not valid Python, or has another hash, before it runs, and for one
    that imports what is not there. Any other exception of the file's own code passes through; see `blamed`.
    """
    source = read_file(path, _LARGEST)
    if sha256 is not None and hashlib.sha256(source).hexdigest() != sha256:
        raise UserError(f"{path} is not the file that this run was started with: put that one back")
    text_of(path, source)
    try:
        code = compile(source, str(path), "exec")
    except (SyntaxError, ValueError) as error:  # ValueError for zero bytes, in some versions of Python
        if isinstance(error, SyntaxError) and error.lineno:
            raise UserError(f"{path}, line {error.lineno}: {error.msg}") from None
        raise UserError(f"{path} is not valid Python: {error}") from None
    module = ModuleType(f"own_{kind}_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
    _ran[str(path)] = path
    try:
        # Not by import, which may run cached bytecode of an older file: what runs must be what is hashed.
        exec(code, vars(module))
    except ModuleNotFoundError as error:
        beside = path.parent / str(error.name).partition(".")[0]
        missing = "lies beside it" if beside.is_dir() or beside.with_suffix(".py").is_file() else "is not installed"
        line = _line_of(error)
        place = f"{path}, line {line.lineno}" if line else path
        raise UserError(
            f"{place}: imports {error.name}, which {missing}: such a file stands alone, "
            "since a run keeps a copy of it; what it needs goes into it"
        ) from None
    return UserFile(path, source, module)


def text_of(path: Path, source: bytes) -> str:
    """A Python file's text, as Python reads it: in the encoding that its first lines name, else UTF-8; lines end with
    \\n. Raises UserError for one that is in another."""
    try:
        return decode_source(source)
    except (UnicodeDecodeError, SyntaxError) as error:
        raise UserError(
            f"{path} is not written in the encoding that it should be ({error}): save it as UTF-8"
        ) from None


def blamed(error: BaseException) -> str | None:
    """An error in a line: the line of the user's that raised it, or led to it. None where none of theirs did."""
    kind = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if place := place_in_file(error):
        return f"{place}: {kind}"
    for path in _ran.values():  # a pair that returned what the engine refuses: its version has the file's name
        if f"[{path.stem}]" in str(error):
            return f"{path}: {kind}"
    return None


def blames(error: Exception) -> bool:
    """Whether a file of the user's raised the error, or led to it, and the error does not say so itself."""
    return not isinstance(error, UserError) and blamed(error) is not None


def place_in_file(error: BaseException) -> str | None:
    """The last line of the user's that an error passed through: "my.py, line 3, `x = y`". None if there is none."""
    frame = _line_of(error)
    return f"{frame.filename}, line {frame.lineno}, `{frame.line}`" if frame else None


def _line_of(error: BaseException) -> traceback.FrameSummary | None:
    """The last line of a user's file that an error passed through, None where there is none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in _ran]
    return frames[-1] if frames else None
