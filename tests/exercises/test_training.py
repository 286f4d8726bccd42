"""A small GPT on a learner's op, or on a mistake, beside the package's own."""

import numpy as np
import pytest

from tests.helpers import process_settings
from tinygrad_gpt.cli import main
from tinygrad_gpt.exercises import training
from tinygrad_gpt.exercises.exercise import find
from tinygrad_gpt.kernels import registry


@pytest.fixture
def short(monkeypatch, tmp_path):
    """Ten steps of a tiny model, in a folder of its own."""
    small = dict(steps=10, log_interval=2, eval_interval=10, checkpoint_interval=10, batch_size=2, lr=1e-2)
    monkeypatch.setattr(training, "SETTINGS", small | dict(n_layer=1, n_embd=8, n_head=2, block_size=8, eval_tokens=64))
    monkeypatch.setattr(training, "LINES", 60)
    monkeypatch.setenv("TINYGRAD_GPT_PROGRESS", str(tmp_path / "p.json"))
    monkeypatch.setenv("TINYGRAD_GPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with process_settings():
        yield tmp_path


def losses(said: str) -> list[float]:
    return [float(part.split()[-1]) for part in said.splitlines()[-1].partition(": ")[2].split(", ")]


def test_a_right_op_learns_what_the_package_learns(short, capsys):
    (short / "softmax.py").write_text(find("softmax").cut.solution, encoding="utf-8")
    versions = len(registry.versions("softmax"))
    assert main(["exercise", "train", "softmax.py", "--plot", "curves.png"]) == 0
    said = capsys.readouterr().out
    assert "softmax.py: softmax ran 1 time forward" in said and "o ours   x yours   + both" in said
    assert said.startswith("two trainings of") and "loss.png" not in said
    ours, yours = losses(said)
    assert abs(ours - yours) < 1e-3
    assert len(registry.versions("softmax")) == versions and (short / "curves.png").stat().st_size


def test_a_mistake_learns_otherwise(short, capsys, monkeypatch):
    curves = []
    monkeypatch.setattr(training, "drawn", lambda found: curves.extend(found) or "")
    assert main(["exercise", "train", "softmax", "--wrong", "S03"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("S03: the sum of dy where") and "S03.py: softmax ran" in said
    ours, wrong = (dict(curve.rows) for curve in curves)
    assert ours.keys() == wrong.keys() and ours != wrong


def test_an_exit_in_a_learners_file_is_said(short, capsys):
    text = find("softmax").cut.solution.replace("def backward(dy, saved):\n", "def backward(dy, saved):\n    exit()\n")
    (short / "softmax.py").write_text(text, encoding="utf-8")
    assert main(["exercise", "train", "softmax.py"]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: softmax.py, line ") and "`exit()`: SystemExit" in said
    assert "it ends the program: take that out" in said


def test_a_curve_that_ends_is_drawn_as_far_as_it_goes():
    curves = [training.Curve("ours", ((0, 3.0), (10, 1.0)), 1.0), training.Curve("S01", ((0, np.nan),), np.nan)]
    assert "x" not in training.drawn(curves).split("step 0")[0].replace("max", "")
    assert training.in_words(curves) == "loss on held-out text after 10 steps: ours 1.000, S01 diverged"
    assert training.drawn([training.Curve("a", (), np.nan)]) == "no step ended with a number"


def test_the_text_is_always_the_same():
    text = training.letters()
    assert text == training.letters() and len(text) > 50_000
