"""What type checkers see: a user's script is clean, and mistakes in one are found. Skipped where pyright is missing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

MISTAKES = """
import tinygrad_gpt as tg
from tinygrad_gpt import nn

class Net(nn.Module):
    def forward(self, x: tg.Tensor, twice: bool = False) -> tuple[tg.Tensor, int]:
        return x, 1

x = tg.ones(2)
x.no_such_method()
x.sum(dimension=1)
Net()(x, three=True)
Net()(x)[1].shape
"""
REVEALED = """
import tinygrad_gpt as tg

x = tg.ones(2, 3)
reveal_type(tg.nn.Linear(3, 2)(x))
reveal_type(x + 1)
reveal_type(2 - x)
reveal_type(x.max(1).indices)
reveal_type(x > 0)
reveal_type(x.T.exp()[0])
reveal_type(x.size(0))

from tinygrad_gpt.models import GPT2, GPTConfig

model = GPT2(GPTConfig(3))
reveal_type(model(x, labels=x).logits)
reveal_type(model.eval())
reveal_type(GPT2.from_pretrained("gpt2"))
"""


def pyright(*files: Path) -> list[dict]:
    """What it says of these files."""
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable, *map(str, files)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return json.loads(run.stdout)["generalDiagnostics"]


@pytest.fixture(autouse=True)
def _needs_pyright():
    if shutil.which("pyright") is None:
        pytest.skip("pyright is not installed")


def test_a_users_script_is_clean():
    assert pyright(HERE / "user_script.py") == []


def test_mistakes_are_found(tmp_path):
    (tmp_path / "mistakes.py").write_text(MISTAKES, encoding="utf-8")
    lines = [d["range"]["start"]["line"] for d in pyright(tmp_path / "mistakes.py") if d["severity"] == "error"]
    assert lines == [9, 10, 11, 12]


def test_types_are_those_of_the_results(tmp_path):
    (tmp_path / "revealed.py").write_text(REVEALED, encoding="utf-8")
    said = [d["message"].split('" is ')[1] for d in pyright(tmp_path / "revealed.py") if "Type of" in d["message"]]
    assert said == ['"Tensor"'] * 6 + ['"int"', '"Tensor"', '"GPT2"', '"GPT2"']
