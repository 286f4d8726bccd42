"""Text files, read a chunk at a time; an error says where a file is not text. A name that ends in .gz says that the
file is gzipped."""

import codecs
import io
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import reason

GZIPPED = ".gz"
CHUNK_CHARS = 1 << 18  # characters in a chunk: small beside a model, large beside the cost of a loop
_READ_BYTES = 1 << 18
_LOOK_BYTES = 8192  # bytes at the start of a file in which a zero byte makes it binary


def read_text(path: Path) -> Iterator[str]:
    """The text of a UTF-8 file in chunks of at most about 256 Ki characters, with line ends as "\\n" and no BOM.

    Raises UserError, naming the file, with the offset of the first byte that is not UTF-8 (in a gzipped file: of what
    it holds), or why it cannot be read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    line_ends = io.IncrementalNewlineDecoder(None, translate=True)
    first = True
    try:
        with _opened(path) as file:
            while True:
                data = file.read(_READ_BYTES)
                try:
                    text = decoder.decode(data, final=not data)
                except UnicodeDecodeError as error:
                    offset = file.tell() - len(error.object) + error.start  # object: the last bytes that were read
                    raise UserError(
                        f"{path} is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {offset} "
                        f"({error.reason}): convert the file to UTF-8 or leave it out"
                    ) from None
                text = line_ends.decode(text, final=not data)
                if first and text:
                    text, first = text.removeprefix("\ufeff"), False
                if text:
                    yield text
                if not data:
                    return
    except (OSError, ValueError, EOFError, zlib.error) as error:  # ValueError for a path with a zero byte
        raise UserError(f"cannot read {path}: {reason(error)}") from error


def _opened(path: Path) -> BinaryIO:
    """The file, to read bytes from: of a gzipped one, those that it holds."""
    if path.suffix.lower() != GZIPPED:
        return open(path, "rb")
    import gzip  # few texts are compressed

    return cast(BinaryIO, gzip.open(path, "rb"))


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file of text, each with its "\\n". Only line feeds, and what read_text takes for them, end a
    line: the other characters at which str.splitlines cuts may stand in a text.

    Raises UserError as read_text does, and for a zero byte, which no text has: with the number of its line.
    """
    lines = list(io.StringIO("".join(read_text(path))))
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise UserError(f"{path}, line {number}: expected text, got a zero byte")
    return lines


def read_all(paths: list[Path]) -> Iterator[str]:
    """The texts of several files, one after the other. A missing line end between two files is added."""
    last = "\n"
    for path in paths:
        if last != "\n":
            yield "\n"
        for chunk in read_text(path):
            yield chunk
            last = chunk[-1]


def text_files(folder: Path) -> list[Path]:
    """Every text file in `folder` and the folders in it, in the order of their paths (the same on every system).

    Hidden files and folders (names that begin with a dot) and binary files (a zero byte near the beginning, git's rule)
    are left out. Raises UserError if no file is left.
    """
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(where, name) for name in names if not name.startswith(".")]
    found = [path for path in found if path.is_file() and not _is_binary(path)]
    if not found:
        raise UserError(f"the folder {folder} has no text files (hidden and binary files don't count)")
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _is_binary(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return b"\0" in file.read(_LOOK_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


def count_words(chunks: Iterable[str]) -> int:
    """The number of words of a text: stretches between white space. Two chunks may share one."""
    words, inside = 0, False
    for chunk in chunks:
        if chunk:
            words += len(chunk.split()) - (inside and not chunk[0].isspace())
            inside = not chunk[-1].isspace()
    return words


def section(chunks: Iterator[str], start: int, stop: int, size: int) -> Iterator[str]:
    """Characters start .. stop-1 of a text in chunks, in chunks of at most `size` characters."""
    position = 0
    for chunk in chunks:
        if position >= stop:
            return
        part = chunk[max(0, start - position) : max(0, stop - position)]
        position += len(chunk)
        for first in range(0, len(part), size):
            yield part[first : first + size]
