"""Every exercise is right: its stub fails, its solution passes, its mistakes are named; a wrong one is seen."""

import shutil

import pytest

from tinygrad_gpt.exercises.exercise import BANK, read_bank, read_exercise
from tinygrad_gpt.exercises.verify import problems

EXERCISES = read_bank()
pytestmark = pytest.mark.usefixtures("measured_along_directions_only")  # the diagnosis reads the reference's gradients


@pytest.mark.parametrize("id", EXERCISES)
def test_an_exercise_is_right(id):
    """That the bank names the mistakes of an op is shown in tests/check, so here softmax stands for all pairs."""
    found = problems(EXERCISES[id], EXERCISES, mistakes=EXERCISES[id].kind != "pair" or id == "softmax")
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize("id", [id for id, exercise in EXERCISES.items() if exercise.kind == "pair"])
def test_every_mistake_of_a_pair_is_named(id):
    found = problems(EXERCISES[id], EXERCISES)
    assert not found, "\n".join(found)


def changed(tmp_path, id, file, before, after):
    """An exercise in which one thing is spoilt."""
    shutil.copytree(BANK / id, tmp_path / id)
    path = tmp_path / id / file
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    return problems(read_exercise(tmp_path / id), EXERCISES)


SPOILT = {
    "the solution is wrong": ("source.py", "m_hat / (np.sqrt", "m_hat * (np.sqrt", "the solution should pass"),
    "the stub is not": ("source.py", "# BEGIN SOLUTION", "# BEGIN SOLUTION\n    # STUB: return w, m, v", "the stub"),
    "a line is told": ("hints.md", "## look", "## look\n\n    v_hat = v / (1 - beta2**step)", "has a line of the sol"),
    "a mistake of another's name": ("checks.py", '"T07"', '"T99"', "KeyError: 'T07'"),
    "a mistake that is none": ("checks.py", "T10", "T10", ""),
    "two of one kind": ("checks.py", "m, v = means(g + DECAY * w, m, v)", "m, v = means(g, m, v)", "named as itself"),
    "a right version is wrong": ("wheat_combined.py", "eps * root", "eps", "should pass"),
    "no hint": ("hints.md", "## derivation", "## derived", "no section derivation"),
    "what it needs": ("exercise.toml", 'kind = "function"', 'kind = "function"\nneeds = ["x"]', "no exercise x"),
    "its name": ("exercise.toml", 'id = "adamw_step"', 'id = "random"', "a Python name that no module"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_exercise_is_seen(tmp_path, what):
    file, before, after, problem = SPOILT[what]
    found = changed(tmp_path, "adamw_step", file, before, after)
    assert any(problem in line for line in found) if problem else not found, found
