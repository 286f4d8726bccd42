"""Lines of cells: tab-separated and without quotes in a .tsv, as spreadsheets write them in a .csv."""

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinygrad_gpt.data.text_files import read_lines
from tinygrad_gpt.errors import UserError

ENDINGS = (".tsv", ".csv")
_LONGEST_FIELD = (1 << 31) - 1  # characters: the largest limit that csv takes on every system
_limit_is_lifted = threading.Lock()


def read_cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that has any, with its number from 1 on. A quoted cell of a .csv may have several lines.

    Raises UserError, naming file and line, for a quotation mark that nothing closes, and as read_lines does.
    """
    lines = read_lines(path)
    how = {} if path.suffix.lower() == ".csv" else {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    table = csv.reader(lines, **how)
    number, begin = 1, 1  # the lines where the next row and this one begin
    try:
        while (cells := _next(table)) is not None:
            begin, number = number, table.line_num + 1
            if any(cell.strip() for cell in cells):
                yield begin, cells
        last = csv.reader(lines[begin - 1 :], strict=True, **how)
        while _next(last) is not None:
            pass  # strict: the last row, too, closes its quotation marks
    except csv.Error as error:
        raise UserError(f"{path}, line {begin}: {error}") from None


def _next(table) -> list[str] | None:
    """The next row; None at the end."""
    with _fields_of_any_length():
        return next(table, None)


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
