"""Tables: columns of text, alike on a terminal, where some cells have a colour, and in a file or a pipe."""

import sys
from collections.abc import Sequence

from tinygrad_gpt.errors import in_short

STYLES = {"finished": "green", "running": "cyan", "running?": "cyan", "damaged": "red", "diverged": "red"}
_BETWEEN = 2  # spaces


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], less: Sequence[str] = ()) -> None:
    """Print cells of text under these heads. A cell that STYLES names has its colour on a terminal.

    less  heads of columns that a narrow terminal does without, the first of them first
    """
    columns = {head: [in_short(row[i]) for row in rows] for i, head in enumerate(heads)}
    widths = {head: max(map(len, (head, *cells))) for head, cells in columns.items()}
    if not sys.stdout.isatty():
        for line in (columns, *zip(*columns.values(), strict=True)):
            cells = (cell.ljust(width) for cell, width in zip(line, widths.values(), strict=True))
            print((" " * _BETWEEN).join(cells).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for head in less:
        if sum(widths.values()) + _BETWEEN * (len(widths) - 1) > console.width:
            del columns[head], widths[head]
    table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
    for head in columns:
        table.add_column(head, overflow="fold")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in cells))
    console.print(table)
