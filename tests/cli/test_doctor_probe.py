"""`tinygrad-gpt doctor --probe`: of a new model, of a run, of a user's own model; and what it says of a mistake."""

import pytest

from tests.helpers import assert_one_line_error
from tinygrad_gpt.kernels import compiling, registry

OWN = """
import numpy as np
from tinygrad_gpt import functional as F
from tinygrad_gpt.nn import Embedding, Linear, Module

class Model(Module):
    def __init__(self, config):
        c = config.n_embd
        self.tokens = Embedding(config.vocab_size, c, std=0.02)
        self.places = Embedding(config.block_size, c, std=0.02)
        self.q, self.k, self.v = Linear(c, c), Linear(c, c), Linear(c, c)

    def forward(self, ids):
        t = ids.shape[1]
        x = self.tokens(ids) + self.places.weight[:t]
        q, k, v = self.q(x)[:, None], self.k(x)[:, None], self.v(x)[:, None]  # one head
        mask = np.tri(t, k=MASK, dtype=bool)
        return F.linear(x + F.attention(q, k, v, mask)[:, 0], self.tokens.weight)
"""


def test_a_new_model(run):
    status, said, error = run("doctor", "--probe", "--preset", "tiny")
    assert status == 0 and error.startswith("asking a new model") and "WRONG" not in said
    for part in ("a new model of the preset tiny: 28,576 parameters", "P1 ", "P8 ", "P14 ", "right"):
        assert part in said


def test_nothing_is_compiled(run):
    before = compiling.times()
    with registry.counting() as counted:
        assert run("doctor", "--probe", "--preset", "bert-tiny")[0] == 0
    assert compiling.times() == before and {version.name for version in counted} == {"reference"}


def test_a_run_and_its_checkpoint(run, small_run):
    for place in (small_run, small_run / "checkpoint.safetensors"):
        status, said, _ = run("doctor", "--probe", str(place))
        assert status == 0 and "WRONG" not in said and "P14 " in said
        assert "P1 not asked: the model is trained" in said


def test_a_translator(run, translator):
    status, said, _ = run("doctor", "--probe", str(translator))
    assert status == 0 and "WRONG" not in said and "P8 " in said


@pytest.mark.parametrize(("mask", "status"), [("0", 0), ("1", 1)])
def test_a_model_of_ones_own(run, tmp_path, mask, status):
    (tmp_path / "own.py").write_text(OWN.replace("MASK", mask), encoding="utf-8")
    found, said, error = run("doctor", "--probe", "--preset", "tiny", "--model", "own.py")
    assert found == status and "asking a new model" in error and ("WRONG" in said) == bool(status)
    if status:
        assert "\nP2: place 0 sees token 1, which it should not: +!.... ++!..." in said
        assert "\n  A13: the mask lets each place see the next token. Look: " in said


def test_with_an_op_of_ones_own(run, tmp_path):
    ours = "from tinygrad_gpt.ops.softmax import backward, forward\n"
    (tmp_path / "softmax.py").write_text(ours, encoding="utf-8")
    status, said, _ = run("doctor", "--probe", "--preset", "tiny", "--with", "softmax.py")
    assert status == 0 and "softmax.py is right for softmax" in said
    (tmp_path / "softmax.py").write_text(ours + "def backward(dy, saved):\n    return dy,\n", encoding="utf-8")
    assert_one_line_error(run("doctor", "--probe", "--preset", "tiny", "--with", "softmax.py"), "wrong for softmax")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("", "expected the folder of a run"),
        ("--preset tiny", "give --probe too"),
        ("run --with softmax.py", "give --probe too"),
        ("--probe", "name a run or a model"),
        ("--probe run --preset tiny", "leave out --preset and --model"),
        ("--probe nowhere/run", "there is no folder nowhere/run"),
        ("--probe --preset tinny", "did you mean tiny?"),
        ("--probe --preset finetune", "starts from a trained model"),
        ("--probe --model nowhere.py", "nowhere.py"),
        ("--probe --preset bert-tiny --model own.py", "--model is in place of a GPT"),
    ],
)
def test_misuse(run, tmp_path, arguments, part):
    (tmp_path / "own.py").write_text(OWN.replace("MASK", "0"), encoding="utf-8")
    assert_one_line_error(run("doctor", *arguments.split()), part)
