"""Pairs from the user's files."""

import numpy as np
import pytest

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.train.user_ops import check_same_pairs, install, load_pair, load_pairs

PAIR = "from tinygrad_gpt.ops.relu import backward, forward\n"


@pytest.fixture
def write(tmp_path):
    def write(name, content=PAIR):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("name", "content", "op"),
    [
        ("relu.py", PAIR, "relu"),
        ("my_relu.py", PAIR, "relu"),
        ("my_layer_norm.py", PAIR, "layer_norm"),
        ("anything.py", PAIR + "OP = 'relu'\n", "relu"),
        ("my_gelu.py", PAIR + "OP = 'relu'\n", "relu"),
    ],
)
def test_which_op_a_file_is_for(write, name, content, op):
    assert load_pair(write(name, content)).op == op


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.py", PAIR, "is for the op 'mine', which doesn't exist: name the file my_OP.py, or set OP in it"),
        ("my_adamw.py", PAIR, "is for the op 'adamw', which doesn't exist"),
        ("relu.py", "def forward(x):\n    return x, x\n", r"does not define backward\(\)"),
        ("relu.py", "forward = 3\n", r"does not define forward\(\)"),
        ("relu.py", "def forward(x)\n", r"relu\.py, line 1: expected ':'"),
        ("relu.py", "\0", r"relu\.py(, line| is not valid Python)"),
    ],
)
def test_files_that_hold_no_pair(write, name, content, message):
    with pytest.raises(UserError, match=message):
        load_pair(write(name, content))


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*my_relu\.py"):
        load_pair(tmp_path / "my_relu.py")


@pytest.mark.parametrize(
    ("line", "error"), [("1 / 0", ZeroDivisionError), ("int('x')", ValueError), ("exec('1 +')", SyntaxError)]
)
def test_what_the_file_itself_raises_keeps_its_traceback(write, line, error):
    with pytest.raises(error):
        load_pair(write("relu.py", line + "\n"))


def test_two_files_for_one_op(write):
    with pytest.raises(UserError, match="are both for relu"):
        load_pairs([write("relu.py"), write("my_relu.py")])


def test_an_installed_pair_runs(write):
    pair = load_pair(write("my_relu.py", PAIR + "def why_not(x):\n    return 'small' if x.size < 3 else None\n"))
    install([pair])
    chosen = registry.choose("relu", (np.ones(3),), {})
    assert chosen.name == "my_relu" and chosen.forward is pair.forward
    assert registry.choose("relu", (np.ones(2),), {}).name != "my_relu"


def test_a_resumed_run_needs_the_same_files(write):
    pair, other = load_pair(write("my_relu.py")), load_pair(write("my_gelu.py"))
    saved = [pair.record()]
    check_same_pairs(saved, [pair])
    with pytest.raises(UserError, match=r"started with my_relu\.py for relu: give it again, --with my_relu\.py"):
        check_same_pairs(saved, [])
    with pytest.raises(UserError, match=r"not started with .*my_gelu\.py for gelu"):
        check_same_pairs(saved, [pair, other])
    changed = load_pair(write("my_relu.py", PAIR + "# changed\n"))
    with pytest.raises(UserError, match=r"my_relu\.py has changed"):
        check_same_pairs(saved, [changed])
