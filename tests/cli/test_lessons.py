"""`tinygrad-gpt lesson`: lists, runs, writes; never over a file that is there."""

import json

import pytest

from tests.helpers import assert_one_line_error
from tinygrad_gpt.cli import lessons

LESSON = """\
# %% [markdown]
# # 7. A short one

# %%
if __name__ == "__main__":
    print("it runs", 6 * 7)
"""


@pytest.fixture
def short(tmp_path, monkeypatch):
    """In place of the lessons, two short ones."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "07_short.py").write_text(LESSON, encoding="utf-8")
    (place / "08_other.py").write_text("# %% [markdown]\n# # Other\n", encoding="utf-8")
    (place / "notes.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(lessons, "_PLACES", (tmp_path / "nowhere", place))
    return place


def test_the_list(run):
    status, said, _ = run("lesson")
    assert status == 0 and "03_layer_norm" in said and "Layer norm: derive it, check it, break it" in said
    assert len(said.splitlines()) == len(lessons.all_lessons()) + 2


@pytest.mark.parametrize("name", ["7", "07", "short", "07_short", "07_short.py"])
def test_it_runs(run, short, name):
    assert run("lesson", name) == (0, "it runs 42\n", "")


def test_a_copy(run, short, tmp_path):
    status, said, _ = run("lesson", "7", "--copy")
    assert (status, said) == (0, "written: 07_short.py\n")
    assert (tmp_path / "07_short.py").read_text(encoding="utf-8") == LESSON


def test_a_notebook(run, short, tmp_path):
    status, said, _ = run("lesson", "short", "--notebook")
    assert (status, said) == (0, "written: 07_short.ipynb\n")
    install, title, code = json.loads((tmp_path / "07_short.ipynb").read_text(encoding="utf-8"))["cells"]
    assert "%pip install" in "".join(install["source"]) and ".whl[plot]" in "".join(install["source"])
    assert title["source"] == ["# 7. A short one"]
    assert code["cell_type"] == "code" and "6 * 7" in "".join(code["source"])


def test_what_is_there_stays(run, short, tmp_path):
    (tmp_path / "07_short.py").write_text("mine", encoding="utf-8")
    assert_one_line_error(run("lesson", "7", "--copy"), "07_short.py", "here already")
    assert (tmp_path / "07_short.py").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["9", "o", "notes", "..", ""])
def test_a_lesson_that_is_none(run, short, name):
    assert_one_line_error(run("lesson", name), "there is no lesson", "07_short", "08_other")


def test_a_part_of_a_name_is_enough_and_a_number_out_of_range_is_told_so(run, short):
    assert run("lesson", "sho") == (0, "it runs 42\n", "")
    assert_one_line_error(run("lesson", "9"), "there is no lesson '9': they go from 7 to 8")


def test_nothing_to_write(run, short):
    assert_one_line_error(run("lesson", "--copy"), "07_short")


def test_no_lessons(run, monkeypatch, tmp_path):
    monkeypatch.setattr(lessons, "_PLACES", (tmp_path / "a", tmp_path / "b"))
    assert_one_line_error(run("lesson"), "missing", "install")
