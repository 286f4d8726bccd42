"""Every lesson runs from top to bottom, cell by cell; the claims it makes are its own assertions."""

import ast
import gc
import json

import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.cli.lessons import all_lessons, notebook_of
from tinygrad_gpt.files.notebook import cells_of
from tinygrad_gpt.kernels import registry

LESSONS = all_lessons()
WIDTH, MOST_LINES = 88, 330  # a notebook's cell is no wider
BRIEF = ("01_scalar_graph", "02_the_tape", "03_layer_norm")  # the others train longer


def test_there_are_lessons():
    assert len(LESSONS) >= 4


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=() if path.stem in BRIEF else pytest.mark.long) for path in LESSONS],
)
def test_lesson_runs(path, capsys):
    random_state, registered = random_stream.random_state(), {op: list(vs) for op, vs in registry._registered.items()}
    notebook = json.loads(notebook_of(path))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names = {"__name__": "__main__"}
    try:
        for cell in code:
            exec(compile(cell, f"a cell of {path.name}", "exec"), names)
    finally:
        random_stream.set_random_state(random_state)
    assert gc.isenabled(), "the lesson left the garbage collector off"
    assert {op: vs for op, vs in registry._registered.items() if vs} == {op: vs for op, vs in registered.items() if vs}
    assert capsys.readouterr().out.strip(), "the lesson shows nothing"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_as_a_script_it_does_what_its_cells_do(path):
    source = path.read_text(encoding="utf-8")
    code = [cell.text for cell in cells_of(source) if cell.kind == "code"]
    assert ast.dump(ast.parse("\n".join(code))) == ast.dump(ast.parse(source))
    for cell in code:
        assert max(map(len, cell.splitlines())) <= WIDTH, f"wider than {WIDTH} columns:\n{cell}"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson_has_cells_prose_and_claims(path):
    source = path.read_text(encoding="utf-8")
    assert source.startswith("# %% [markdown]\n# # "), "a lesson begins with its title"
    assert source.count("# %%\n") >= 5 and source.count("# %% [markdown]") >= 5
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(source))) >= 5
    assert len(source.splitlines()) <= MOST_LINES
