"""Every lesson runs from top to bottom; the claims it makes are its own assertions."""

import ast
import gc
import runpy
from pathlib import Path

import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.kernels import registry

LESSONS = sorted((Path(__file__).parents[2] / "lessons").glob("[0-9]*.py"))


def test_there_are_lessons():
    assert len(LESSONS) >= 4


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson_runs(path, capsys):
    random_state, registered = random_stream.random_state(), {op: list(vs) for op, vs in registry._registered.items()}
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        random_stream.set_random_state(random_state)
    assert gc.isenabled(), "the lesson left the garbage collector off"
    assert {op: vs for op, vs in registry._registered.items() if vs} == {op: vs for op, vs in registered.items() if vs}
    assert capsys.readouterr().out.strip(), "the lesson shows nothing"


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lesson_has_cells_prose_and_claims(path):
    source = path.read_text(encoding="utf-8")
    assert source.startswith("# %% [markdown]\n# # "), "a lesson begins with its title"
    assert source.count("# %%\n") >= 5 and source.count("# %% [markdown]") >= 5
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(source))) >= 5
    assert len(source.splitlines()) <= 300
