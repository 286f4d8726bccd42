"""Notebooks: Jupyter's .ipynb, made from a script whose comments `# %%` begin cells (the percent format).

    # %% [markdown]
    # # A title                  prose, as comments

    # %%
    print("code")

VS Code and Spyder run such a script cell by cell as it is.
"""

import json
import re
from typing import Any, NamedTuple

_MARKER = re.compile(r"# %%(?P<rest>.*)")


class Cell(NamedTuple):
    """kind is "markdown" or "code"; text has no empty lines at its ends, and markdown no comment signs."""

    kind: str
    text: str


def cells_of(script: str) -> list[Cell]:
    """The cells of a script in percent format. What stands before the first marker is code; empty cells are left out.

    Raises ValueError for a marker with something after it that is not [markdown].
    """
    cells, kind, lines = [], "code", []

    def end_cell() -> None:
        prose = [line.removeprefix("#").removeprefix(" ") for line in lines] if kind == "markdown" else lines
        if text := "\n".join(line.rstrip() for line in prose).strip("\n"):
            cells.append(Cell(kind, text))

    for line in script.splitlines():
        marker = _MARKER.fullmatch(line)
        if marker is None:
            lines.append(line)
            continue
        rest = marker["rest"].strip()
        if rest not in ("", "[markdown]"):
            raise ValueError(f"expected a line '# %%' or '# %% [markdown]', got {line!r}")
        end_cell()
        kind, lines = "markdown" if rest else "code", []
    end_cell()
    return cells


def notebook(cells: list[Cell]) -> str:
    """The text of an .ipynb file with these cells, not run yet, in version 4.5 of the format (nbformat.readthedocs.io).
    The same cells give the same text."""
    content = {
        "cells": [_json_of(cell, f"cell-{i}") for i, cell in enumerate(cells, 1)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _json_of(cell: Cell, name: str) -> dict[str, Any]:
    run = {"execution_count": None, "outputs": []} if cell.kind == "code" else {}
    return {"cell_type": cell.kind, "id": name, "metadata": {}, "source": cell.text.splitlines(keepends=True)} | run
