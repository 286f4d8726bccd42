"""Pairs from the user's files."""

import inspect
import io

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.user_ops import FirstStep, NeverRanError, check_same_pairs, install, load_pair, load_pairs

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
        ("my_ramp.py", PAIR + "SHAPES = [(3,)]\n", "my_ramp"),
        ("ramp.py", PAIR + "SHAPES = [(3,)]\n", "ramp"),
        ("anything.py", PAIR + "OP = 'relu'\n", "relu"),
        ("my_gelu.py", PAIR + "OP = 'relu'\n", "relu"),
    ],
)
def test_which_op_a_file_is_for(write, name, content, op):
    assert load_pair(write(name, content)).op == op


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("mine.py", PAIR, "for the op 'mine', which doesn't exist: name the file OP.py or my_OP.py, or set OP in it"),
        ("my_adamw.py", PAIR, "is for the op 'my_adamw', which doesn't exist"),
        ("relu.py", "def forward(x):\n    return x, x\n", r"does not define backward\(\)"),
        ("relu.py", "forward = 3\n", r"does not define forward\(\)"),
        ("relu.py", "def forward(x)\n", r"relu\.py, line 1: expected ':'"),
        ("my_sofmax.py", PAIR, r"op 'my_sofmax', which doesn't exist \(did you mean softmax\?\): name the file"),
        ("mine.py", PAIR, r"for a new op, add what to check it on: SHAPES = \[\(\(3, 5\), \(5,\)\)\], or CASES"),
        ("adamw.py", PAIR + "SHAPES = [(3,)]\n", "is for the op 'adamw', which doesn't exist"),
        ("two words.py", PAIR + "SHAPES = [(3,)]\n", "is for the op 'two words', which doesn't exist"),
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
    assert chosen.name == "my_relu" and inspect.unwrap(chosen.forward) is pair.forward
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


# --- a new op ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cases", ["SHAPES = [(3, 5)]", "CASES = [([[1.0, -2.0]],), ((3,),)]"])
def test_a_file_of_a_new_op(write, cases):
    pair = load_pair(write("my_ramp.py", PAIR + cases + "\n"))
    assert pair.op == "my_ramp" and pair.is_new and pair.record()["op"] == "my_ramp"
    install([pair])
    assert pair.is_new and tg.op("my_ramp")(np.float32([-1, 2])).data.tolist() == [0, 2]
    assert pair.runs.forward == 1


def test_a_file_for_an_op_that_a_model_has_made_is_another_version_of_it(write):
    tg.op("ramp", lambda x: (x, None), lambda dy, saved: dy, cases=[(3, 5)])
    pair = load_pair(write("my_ramp.py"))  # the op has cases already
    install([pair])
    assert [v.name for v in registry.versions("ramp")] == ["my_ramp", "reference"]


def test_a_pair_that_its_op_cannot_call_is_refused_even_by_force(write):
    source = "def forward(x):\n    return x, None\n\ndef backward(dy, saved):\n    return dy\n"
    pair = load_pair(write("my_softmax.py", source))
    with pytest.raises(UserError, match=r"my_softmax.py cannot run: forward lacks the setting axis"):
        install([pair])
    (version,) = install([load_pair(write("my_softmax.py", source + "def why_not(x, axis):\n    return 'never'\n"))])
    assert registry.choose("softmax", (np.ones(3),), {"axis": -1}) is not version


# --- how often a pair runs ---------------------------------------------------------------------------------------


def first_step(pairs, force=False, ops=()):
    """What is printed about a step in which the functions `ops` run on numbers, forward and backward."""
    stream = io.StringIO()
    reporter = FirstStep(Reporter(stream), pairs, force)
    reporter.begin(3, 0)
    for op in ops:
        op(Tensor(np.ones((2, 3), np.float32), requires_grad=True)).sum().backward()
    try:
        reporter.step(1, 1.0)
        reporter.step(2, 1.0)
    finally:
        reporter.end()
    assert registry._counted is None
    return stream.getvalue()


def test_the_first_step_says_how_often_a_pair_ran(write):
    pair = load_pair(write("my_relu.py"))
    install([pair])
    F.relu(np.ones(3))  # not in a step
    assert (
        first_step([pair], ops=[F.relu, F.relu])
        == "my_relu.py: relu ran 2 times forward, 2 times backward in the first step\n"
    )
    assert first_step([], ops=[F.exp]) == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (PAIR, "this model has no relu; it has add, exp, linear, matmul, sum. "),
        (PAIR + "def why_not(x):\n    return f'{x.ndim} axes'\n", r"its why_not declined each call \(2 axes\). "),
    ],
)
def test_a_pair_that_never_runs_is_an_error_with_a_reason(write, content, reason):
    pair = load_pair(write("my_relu.py", content))
    install([pair])
    ops = [F.exp, lambda x: F.linear(x, np.ones((4, 3), np.float32))]
    ops += [F.relu] if "why_not" in content else []
    with pytest.raises(NeverRanError, match=f"my_relu.py: relu did not run in the first step: {reason}") as error:
        first_step([pair], ops=ops)
    assert "Leave out --with " in str(error.value) and str(error.value).endswith("or go on with --force")
    assert "relu did not run" in first_step([pair], force=True, ops=ops)


def test_a_pair_inside_another_pair_is_told_apart(write):
    own = "from tinygrad_gpt.ops.{} import backward, forward\n"
    pairs = [load_pair(write(f"my_{op}.py", own.format(op))) for op in ("gelu_linear", "gelu")]
    install(pairs)
    run = lambda x: F.gelu_linear(x, np.ones((4, 3), np.float32), approximate="tanh")  # noqa: E731
    with pytest.raises(NeverRanError, match=r"gelu did not run .*: gelu_linear does its work, and there is another"):
        first_step(pairs, ops=[run])


def test_a_new_op_that_no_model_calls(write):
    pair = load_pair(write("my_ramp.py", PAIR + "SHAPES = [(3, 5)]\n"))
    install([pair])
    with pytest.raises(NeverRanError, match=r"nothing in the model calls it; a model of your own has it as tinygrad"):
        first_step([pair], ops=[F.exp])
    assert "ramp ran 1 time forward, 1 time backward" in first_step([pair], ops=[tg.op("my_ramp")])
