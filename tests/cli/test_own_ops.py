"""`tinygrad-gpt op`, and `--with` for pairs that run, that don't, and that make a new op."""

import re

import pytest

import tinygrad_gpt as tg
from tests.helpers import assert_one_line_error
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.kernels import registry

TINY = ["--steps", "1", "--n-layer", "2", "--n-embd", "8", "--n-head", "2", "--block-size", "8", "--batch-size", "2"]
PAIR = "from tinygrad_gpt.ops.{} import backward, forward\n"


@pytest.fixture
def pair(tmp_path):
    """Write the reference's pair of an op to a file and return its name."""

    def write(name, op, more=""):
        (tmp_path / name).write_text(PAIR.format(op) + more, encoding="utf-8")
        return name

    return write


def test_the_list_of_ops(run):
    status, said, _ = run("op")
    lines = dict(re.split(r"\s+", line, maxsplit=1) for line in said.splitlines())
    assert status == 0 and list(lines) == list(registry.op_names())
    assert lines["softmax"] == "Softmax: positive numbers that sum to 1 along an axis, from any numbers"
    assert lines["relu"] == "Rectified linear unit: y = max(x, 0), for x a float array of any shape"
    assert lines["attention"].startswith("Scaled dot-product attention (Vaswani et al., ")
    assert all(len(says) >= 5 and not says.endswith(("(", ",", ".", ":")) for says in lines.values()), lines


def test_a_folder_that_is_not_there_is_not_looked_for_elsewhere(run, tmp_path):
    (tmp_path / "runs" / "text-1").mkdir(parents=True)
    assert run("sample", "runs/tex-1")[2] == "error: there is no folder runs/tex-1 (did you mean runs/text-1?)\n"
    for name in ("runs/zzz", "./zzz", "/zzz", "~/zzz-none"):
        assert run("sample", name)[2] == f"error: there is no folder {name}\n"
    with pytest.raises(UserError, match=r"^there is no folder runs/y$"):
        tg.load("runs/y")


@pytest.mark.parametrize("op", registry.op_names())
def test_an_op_is_shown(run, op):
    status, said, _ = run("op", op)
    module = registry.reference(op)
    assert status == 0 and "-> (y, saved)\n  backward(d" in said and module.__file__ in said
    assert module.__doc__.strip().splitlines()[0] in said
    assert re.search(r"versions, on float32 arrays on the CPU:\n(  \w+: .+\n)+", said)


def test_an_op_says_what_it_is_made_of_and_part_of(run):
    said = run("op", "linear")[1]
    assert "made of   matmul, add: where you choose a pair for one of them, they run instead" in said
    assert "part of   gelu_linear, linear_cross_entropy: where you choose a pair for linear, it runs inside too" in said
    said = run("op", "softmax")[1]
    assert "settings  axis=-1" in said and "part of   attention" in said and "made of" not in said


def test_unknown_names_are_told_the_nearest(run):
    for command in ("op", "gradcheck"):
        assert_one_line_error(
            run(command, "sofmax"), "no op 'sofmax' (did you mean softmax?); `tinygrad-gpt op` lists the ops"
        )
    assert_one_line_error(
        run("train", "--n-layers", "3"), "error: there is no option --n-layers (did you mean --n-layer?)"
    )
    assert_one_line_error(run("train", "text.txt", "--preset", "quik"), "no preset 'quik' (did you mean quick?)")
    assert_one_line_error(run("train", "shakespear"), "'shakespear' (did you mean shakespeare?)")
    assert_one_line_error(run("train", "text.txt", "--schedule", "cosin"), "not 'cosin' (did you mean cosine?)")
    assert_one_line_error(run("train", "text.txt", "--tokenizer", "chars"), "'chars' (did you mean char?)")
    assert_one_line_error(run("gradcheck", "exp", "--device", "cudaa"), "not 'cudaa' (did you mean cuda?)")


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "times"), [([], "2 times forward, 2 times"), (["--recompute"], "4 times forward, 2")]
)
def test_a_softmax_of_ones_own_runs_inside_attention(run, pair, options, times):
    status, said, _ = run(
        "train", "text.txt", "--out", "run", "--with", pair("my_softmax.py", "softmax"), *TINY, *options
    )
    assert status == 0 and f"my_softmax.py: softmax ran {times}" in said


@pytest.mark.long
def test_a_pair_that_the_model_has_no_op_for(run, pair, tmp_path):
    name = pair("my_tanh.py", "tanh")
    result = run("train", "text.txt", "--out", "run", "--with", name, *TINY)
    assert_one_line_error(result, "my_tanh.py: tanh did not run in the first step: this model has no tanh; it has ")
    assert "; a GPT has it with --activation tanh. Leave out --with my_tanh.py, or go on with --force" in result[2]
    assert not (tmp_path / "run").exists(), "so that the same command works once it is corrected"
    assert "training in run" not in result[1]
    run("train", "text.txt", "--with", name, *TINY)
    assert not (tmp_path / "runs").exists()
    status, said, _ = run("train", "text.txt", "--with", name, "--activation", "tanh", *TINY)
    assert status == 0 and said.index("training in runs") < said.index("my_tanh.py: tanh ran 2 times")
    status, said, _ = run("train", "text.txt", "--out", "run", "--with", name, "--force", *TINY)
    assert status == 0 and "tanh did not run in the first step" in said


@pytest.mark.long
def test_a_resumed_run_is_looked_at_too_and_its_folder_is_kept(run, pair, tmp_path):
    name = pair("my_tanh.py", "tanh")
    run("train", "text.txt", "--out", "run", "--with", name, "--force", *TINY)
    (tmp_path / "run" / "checkpoint.safetensors").unlink()  # killed before its first checkpoint
    assert_one_line_error(run("train", "--resume", "run", "--with", name), "tanh did not run in the first step")
    assert (tmp_path / "run" / "config.json").exists()
    status, said, _ = run("train", "--resume", "run", "--with", name, "--force")
    assert status == 0 and "tanh did not run" in said


def test_a_new_op_is_checked_and_made(run, pair):
    shapes = "SHAPES = [(3, 5), (7,)]\n"
    status, said, _ = run("gradcheck", "my_ramp", "--with", pair("my_ramp.py", "relu", shapes))
    assert status == 0 and re.search(r"│ my_ramp +│ my_ramp.py │ 2 ", said)
    result = run("train", "text.txt", "--out", "run", "--with", "my_ramp.py", *TINY)
    assert_one_line_error(
        result, "ramp did not run in the first step: nothing in the model calls it; a model of your own"
    )
    assert "my_ramp.py is a new op my_ramp: 2 cases" in result[1] and "my_ramp" in registry.all_ops()
    assert_one_line_error(
        run("gradcheck", "--with", pair("my_other.py", "relu")), "for a new op, add what to check it on"
    )


def test_a_pair_without_a_setting_is_told_the_contract(run, tmp_path):
    (tmp_path / "my_softmax.py").write_text(
        "from tinygrad_gpt.ops.softmax import backward, forward as right\ndef forward(x):\n    return right(x)\n"
    )
    status, said, _ = run("gradcheck", "--with", "my_softmax.py")
    assert status == 1 and "the signature: forward lacks the setting axis=-1" in said
    (tmp_path / "exp.py").write_text("forward = lambda: 0\nbackward = lambda: 0\n")
    assert re.search(r"│ exp +│ exp.py +│ - +│ - +│ WRONG", run("gradcheck", "--with", "exp.py")[1])
    assert "forward(x, *, axis=-1) -> (y, saved); backward(dy, saved) -> dx" in said
    assert "softmax.py, or run `tinygrad-gpt op softmax`" in said and "case.py" not in said


MODEL = """
import tinygrad_gpt as tg
from tinygrad_gpt.nn import Embedding, Linear, Module

ramp = tg.op("my_ramp")

class Model(Module):
    def __init__(self, config):
        self.embedding = Embedding(config.vocab_size, config.n_embd)
        self.head = Linear(config.n_embd, config.vocab_size)

    def forward(self, ids):
        return self.head(ramp(self.embedding(ids)))
"""


@pytest.mark.long
def test_a_model_of_ones_own_with_an_op_of_ones_own(run, pair, tmp_path):
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    name = pair("my_ramp.py", "relu", "SHAPES = [(3, 5), (7,)]\n")
    status, said, _ = run("train", "text.txt", "--out", "run", "--model", "model.py", "--with", name, *TINY)
    assert status == 0 and "my_ramp.py: my_ramp ran 1 time forward, 1 time backward in the first step" in said
    registry.undefine("my_ramp")  # a new process, in another folder
    for file in ("model.py", name):
        (tmp_path / file).rename(tmp_path / f"moved-{file}")
    status, said, _ = run("sample", "run", "--tokens", "5", "--temperature", "0")
    assert status == 0 and "my_ramp" in registry.all_ops()
    assert run("sample", "run", "--tokens", "5", "--temperature", "0")[1] == said
    registry.undefine("my_ramp")
    assert run("train", "--resume", "run", "--steps", "2")[0] == 0
    registry.undefine("my_ramp")
    registry.define("my_ramp", lambda x: (x, None), lambda dy, saved: dy)
    assert_one_line_error(
        run("sample", "run"), "error: run has an op my_ramp of its own, from my_ramp.py", "open it in a process of its"
    )
    registry.undefine("my_ramp")
    (tmp_path / "run" / "own_op_my_ramp.py").write_text("1 / 0", encoding="utf-8")
    assert_one_line_error(run("sample", "run"), "own_op_my_ramp.py is not the file that this run was started with")


def test_a_sweep_with_a_pair_that_never_runs_trains_nothing(run, pair, tmp_path):
    name = pair("my_tanh.py", "tanh")
    result = run("train", "text.txt", "--out", "many", "--with", name, "--sweep", "seed=1,2", *TINY)
    assert_one_line_error(result, "tanh did not run in the first step")
    assert not (tmp_path / "many").exists()


# --- what a file of the user's raises -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            "return self.head(ramp",
            "return self.haed(ramp",
            "line 13, `return self.haed(ramp(self.embedding(ids)))`: AttributeError: ",
        ),
        ("config.n_embd)\n        self.head", "config.n_emb)\n        self.head", "line 9, `self.embedding = Embed"),
        ("(self, config)", "(self)", "model.py: Model(config) cannot be called, Model takes () ("),
        ("(self, ids)", "(self)", "model.py: forward(ids) cannot be called, forward takes () ("),
        ("(self, ids)", "(self, ids, mask)", "forward takes (ids, mask) (missing a required argument: 'mask')"),
        ("ramp = tg", "import beside\nramp = tg", "model.py, line 5: imports beside, which lies beside it"),
        ("ramp = tg", "import nowhere\nramp = tg", "model.py, line 5: imports nowhere, which is not installed"),
        ("ramp(self", "(1 / 0)(self", "`return self.head((1 / 0)(self.embedding(ids)))`: ZeroDivisionError: division"),
        ("ramp(self", "ramp(self", "ValueError: there is no op 'my_ramp' of your own: make it with op('my_ramp', for"),
    ],
)
def test_an_error_in_a_model_is_a_line_that_names_it(run, tmp_path, before, after, said):
    assert before in MODEL
    (tmp_path / "model.py").write_text(MODEL.replace(before, after), encoding="utf-8")
    (tmp_path / "beside.py").write_text("", encoding="utf-8")
    assert_one_line_error(run("train", "text.txt", "--model", "model.py", *TINY), "model.py", said)
    assert not (tmp_path / "runs").exists()


def test_the_whole_traceback_is_there_for_the_asking(run, tmp_path, monkeypatch):
    (tmp_path / "relu.py").write_text("1 / 0\n", encoding="utf-8")
    said = "relu.py, line 1, `1 / 0`: ZeroDivisionError: division by zero (TINYGRAD_GPT_TRACEBACK=1 shows the whole"
    assert_one_line_error(run("gradcheck", "--with", "relu.py"), said)
    monkeypatch.setenv("TINYGRAD_GPT_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        run("gradcheck", "--with", "relu.py")


@pytest.mark.parametrize(
    ("forward", "backward", "said"),
    [
        (
            "y.astype('float64'), s",
            "right.backward(dy, s)",
            "my_softmax.py: forward of softmax returned float64",
        ),
        (
            "y, s",
            "tuple([g.astype(float) for g in right.backward(dy, s)])",
            "my_softmax.py: ValueError: softmax[my_softmax]: grad",
        ),
    ],
)
def test_a_pair_that_is_forced_and_cannot_run_is_named(run, tmp_path, forward, backward, said):
    (tmp_path / "my_softmax.py").write_text(
        "import tinygrad_gpt.ops.softmax as right\n"
        "def forward(x, *, axis=-1):\n    y, s = right.forward(x, axis=axis)\n"
        f"    return {forward}\ndef backward(dy, s):\n    return {backward}\n"
    )
    assert_one_line_error(run("train", "text.txt", "--with", "my_softmax.py", "--force", *TINY), said)
    assert not (tmp_path / "runs").exists()
