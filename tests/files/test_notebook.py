"""Notebooks made from scripts: the cells, and what Jupyter wants to find in the file."""

import json

import pytest

from tinygrad_gpt.files.notebook import Cell, cells_of, notebook

SCRIPT = """\
# %% [markdown]
# # Title
#
# Prose with `code`:
#
#     indented
#nothing after the sign

# %%
import math

# a comment stays in code


# %%
def f():
    return math.pi  # %% is no marker here


# %% [markdown]

# %%

# %% [markdown]
# The end.
"""


def test_cells():
    prose, first, second, end = cells_of(SCRIPT)
    assert prose == Cell("markdown", "# Title\n\nProse with `code`:\n\n    indented\nnothing after the sign")
    assert first == Cell("code", "import math\n\n# a comment stays in code")
    assert second == Cell("code", "def f():\n    return math.pi  # %% is no marker here")
    assert end == Cell("markdown", "The end.")


def test_what_stands_before_the_first_marker_is_code():
    assert cells_of("x = 1\n# %%\ny = 2\n") == [Cell("code", "x = 1"), Cell("code", "y = 2")]
    assert cells_of("") == []


@pytest.mark.parametrize("marker", ["# %% [raw]", "# %%% x", "# %% a title"])
def test_another_marker_is_refused(marker):
    with pytest.raises(ValueError, match="expected a line"):
        cells_of(f"{marker}\nx = 1\n")


def test_the_file_is_a_notebook():
    """Every field that version 4.5 of the format requires, and no other."""
    read = json.loads(notebook(cells_of(SCRIPT)))
    assert read.keys() == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (read["nbformat"], read["nbformat_minor"]) == (4, 5)
    assert read["metadata"]["kernelspec"] == {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert len({cell["id"] for cell in read["cells"]}) == len(read["cells"])
    for cell, (kind, text) in zip(read["cells"], cells_of(SCRIPT), strict=True):
        common = {"cell_type", "id", "metadata", "source"}
        assert cell.keys() == (common | {"execution_count", "outputs"} if kind == "code" else common)
        assert cell["cell_type"] == kind and "".join(cell["source"]) == text
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        if kind == "code":
            assert cell["execution_count"] is None and cell["outputs"] == []


def test_the_same_cells_give_the_same_file():
    assert notebook(cells_of(SCRIPT)) == notebook(cells_of(SCRIPT))
