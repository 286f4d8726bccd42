"""The command: what it prints, and its exit status."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.cli.conftest import SMALL
from tests.helpers import assert_one_line_error
from tinygrad_gpt import devices
from tinygrad_gpt.cli import UNREADABLE, bench
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.settings import option_name
from tinygrad_gpt.train.text_settings import SETTINGS


@pytest.fixture
def trained(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


# --- training --------------------------------------------------------------------------------------------------


def test_train_says_what_it_does_and_writes(run, tmp_path):
    status, said, _ = run("train", "text.txt", "--out", "run", *SMALL)
    assert status == 0
    lines = said.splitlines()
    assert re.match(
        r"training in run: preset tiny, on the CPU, [\d,]+ parameters, 792 tokens of text\.txt \(88 to validate\)",
        lines[0],
    )
    assert re.search(r"^step 4/4  train \d\.\d{3}  val \d\.\d{3}  ", said, re.MULTILINE)
    sample = (tmp_path / "run" / "sample.txt").read_text(encoding="utf-8")
    assert sample.strip() in said and len(sample) == 20
    losses = f"losses drawn in {Path('run/loss.png')}; " if (tmp_path / "run" / "loss.png").exists() else ""
    assert lines[-2:] == [f"run: {losses}checked by  tinygrad-gpt doctor run", "run: try  tinygrad-gpt sample run"]


def test_every_setting_is_an_option_and_reaches_the_run(run, tmp_path):
    given = dict(n_layer=2, n_head=2, n_embd=4, block_size=6, dropout=0.1, bias=False, norm="post", tied=False)
    given |= dict(activation="relu", tokenizer="char", vocab=300, steps=2, batch_size=3, lr=0.01, min_lr=0.002)
    given |= dict(warmup=1, schedule="linear", beta1=0.8, beta2=0.9, eps=1e-6, weight_decay=0.2, grad_clip=0.5, seed=7)
    given |= dict(dtype="float64", log_interval=1, eval_interval=0, eval_tokens=50, checkpoint_interval=1, prompt="fox")
    given |= dict(sample_tokens=3, n_inner=20, embd_pdrop=0.2, attn_pdrop=0.3, layer_norm_epsilon=1e-4)
    given |= dict(
        scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True, window=5, batches="epochs", positions="none"
    )
    given |= dict(accumulate=2, recompute=True, health=False, device="auto", average=2, average_interval=1, patience=3)
    assert {*given, "corpus", "from_"} == set(SETTINGS), "a setting is not tested"
    options = []
    for name, value in given.items():
        if isinstance(value, bool):
            options.append(option_name(name) if value else option_name(name).replace("--", "--no-"))
        else:
            options += [option_name(name), str(value)]
    assert run("train", "text.txt", "--preset", "tiny", "--out", "run", *options)[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    known = {"name": "next-token", "corpus": "text.txt", "from_": ""}
    assert config["model"] | config["task"] | config["train"] == given | known


@pytest.mark.parametrize("name", ["train", "finetune"])
def test_help_shows_about_a_dozen_options(run, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "160")
    status, said, _ = run(name, "--help")
    options = re.findall(r"^│ (--[\w-]+)", said, re.MULTILINE)
    assert status == 0 and 10 <= len(options) <= 17 and {"--resume", "--lr", "--help-all"} <= set(options)
    assert sum(line.strip().startswith("tinygrad-gpt ") for line in said.splitlines()) >= 3, "examples"
    assert "--help-all shows" in said


def test_help_all_groups_the_settings(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    first = run("train", "--help")
    status, said, _ = run("train", "--help-all")
    assert status == 0
    assert re.findall("─ (Model|Data|Optimiser|Run) ─", said) == ["Model", "Data", "Optimiser", "Run"]
    for name in SETTINGS:
        assert name == "corpus" or option_name(name) in said
    assert "--force" in said
    assert run("train", "--help") == first, "the other help stays short"


@pytest.mark.parametrize("name", ["train", "finetune", "sample", "eval", "runs", "bench", "lesson"])
def test_help_cuts_no_name(run, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    said = run(name, "--help-all" if name in ("train", "finetune") else "--help")[1]
    assert "…" not in said and "<bool>" not in said and "show this help, and exit" in said
    if name == "train":
        for setting in (name for name in SETTINGS if name != "corpus"):
            assert re.search(f"{option_name(setting)}(?![-\\w])", said), setting
        assert "--no-tied " in said and "gelu_tanh, " in said


def test_version(run):
    assert run("--version") == (0, f"tinygrad-gpt {version('tinygrad-gpt')}\n", "")


def test_the_bare_command_shows_its_help(run):
    status, said, error = run()
    assert status == 2 and "train" in said and "gradcheck" in said and error == ""


def test_presets(run):
    status, said, _ = run("presets")
    assert status == 0
    assert "1 layer, 2 heads" in said and "1 layers" not in said
    assert "quick (default)" in said and "nanogpt-char-cpu" in said and "124M parameters: 12 layers" in said


def test_ctrl_c_says_how_to_go_on(run, monkeypatch, tmp_path):
    import signal

    from tinygrad_gpt.train.reporter import Reporter

    monkeypatch.setattr(Reporter, "step", lambda self, step, loss: step == 3 and signal.raise_signal(signal.SIGINT))
    status, said, error = run("train", "text.txt", "--out", "run", *SMALL)
    assert status == 130 and error == ""
    assert said.endswith("stopped and saved at step 3; continue with: tinygrad-gpt train --resume run\n")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    status, said, _ = run("train", "--resume", "run", "--log-interval", "1")
    assert status == 0 and said.startswith("resuming run at step 3: ")


def test_ctrl_c_elsewhere(run, monkeypatch):
    def interrupted(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_gpt.train.text_run.open_corpus", interrupted)
    status, _, error = run("train", *SMALL)
    assert (status, error) == (130, "interrupted\n")


def test_ctrl_c_twice_says_how_to_go_on(run, monkeypatch):
    import signal

    from tinygrad_gpt.train.reporter import Reporter

    def step(self, step, loss):
        for _ in range(2 * (step == 3)):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Reporter, "step", step)
    status, said, error = run("train", "text.txt", "--out", "run", *SMALL, "--checkpoint-interval", "2")
    assert (status, error) == (130, "interrupted\n")
    assert said.endswith("stopped; step 2 is saved; continue with: tinygrad-gpt train --resume run\n")


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("train nope", ["no corpus, file or folder 'nope'", "python-docs, shakespeare"]),
        ("train --preset nope", ["no preset 'nope'", "quick, tiny, nanogpt-char-cpu"]),
        ("train --norm sideways", ["norm should be one of pre, post, not 'sideways'"]),
        ("train --schedule x", ["schedule should be one of cosine, linear, constant, inverse_sqrt, noam, not 'x'"]),
        ("train --dtype float16", ["dtype should be one of float32, tf32, bfloat16, float64"]),
        ("train --steps many", ["--steps"]),
        ("train --steps 0", ["steps should be at least 1, not 0"]),
        ("train --lr nan", ["lr should be a finite number"]),
        ("train --n-head 7", ["n_embd should be a multiple of n_head (7)"]),
        ("train --frobnicate", ["--frobnicate"]),
        ("train text.txt --preset tiny --block-size 5000", ["the training text has 792 tokens", "5001"]),
        ("train empty.txt", ["empty.txt", "empty"]),
        ("train --with none.py", ["cannot read none.py"]),
        ("train --resume none", ["there is no run folder none"]),
        ("train --resume none --out other", ["leave out --out"]),
        ("sample none", ["there is no folder none"]),
        ("sample . ", ["is not a run folder: it has no config.json"]),
        ("eval none", ["there is no folder none"]),
        ("gradcheck frob", ["there is no op 'frob'; the ops are add, add_layer_norm, attention"]),
        ("frobnicate", ["frobnicate"]),
    ],
)
def test_one_clear_line(run, tmp_path, arguments, parts):
    (tmp_path / "empty.txt").touch()
    before = set(tmp_path.iterdir())
    assert_one_line_error(run(*arguments.split()), *parts)
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "cache"}, "something was left behind"


def test_a_run_folder_that_exists(run, trained):
    assert_one_line_error(run("train", "text.txt", "--out", "run", *SMALL), "the run folder run exists", "--resume run")


def test_a_run_is_no_text(run, trained):
    """Whoever forgets --resume does not train on the run's own files."""
    assert_one_line_error(run("train", "run", *SMALL), "run is a run folder, not a text", "--resume run")


def test_resume_with_other_settings(run, trained):
    assert_one_line_error(run("train", "--resume", "run", "--steps", "3"), "extended, not shortened: it has 4 steps")
    assert_one_line_error(run("train", "--resume", "run", "--lr", "9"), "--lr is 0.001, not 9")
    assert_one_line_error(run("train", "--resume", "run", "--preset", "quick"), "--preset tiny, not quick")
    assert_one_line_error(run("train", "python-docs", "--resume", "run"), "--corpus is text.txt, not python-docs")


@pytest.mark.parametrize("command", [["sample", "run"], ["eval", "run"], ["train", "--resume", "run"]])
@pytest.mark.parametrize("damage", ["cut", "bit", "foreign"])
def test_a_damaged_checkpoint(run, trained, command, damage):
    checkpoint = trained / "checkpoint.safetensors"
    whole = checkpoint.read_bytes()
    damaged = {"cut": whole[:-9], "bit": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "foreign": b"GIF89a" * 9}
    checkpoint.write_bytes(damaged[damage])
    assert_one_line_error(run(*command), "checkpoint.safetensors", "damaged")


def test_a_checkpoint_of_another_run(run, trained, tmp_path):
    assert run("train", "text.txt", "--out", "other", *SMALL, "--n-embd", "16")[0] == 0
    (tmp_path / "other" / "checkpoint.safetensors").replace(trained / "checkpoint.safetensors")
    for command in (["sample", "run"], ["eval", "run"], ["train", "--resume", "run"]):
        assert_one_line_error(run(*command), "checkpoint.safetensors does not fit this run", "token_embedding.weight")


@pytest.mark.parametrize("change", [{"step": 5}, {"step": None}, {"optimizer": None}])
def test_a_checkpoint_whose_state_cannot_be(run, trained, change):
    from tinygrad_gpt.train.checkpoint import load_checkpoint, save_checkpoint

    arrays, state = load_checkpoint(trained / "checkpoint.safetensors")
    save_checkpoint(trained / "checkpoint.safetensors", arrays, state | change)
    assert_one_line_error(run("train", "--resume", "run"), "checkpoint.safetensors does not fit this run")


@pytest.mark.parametrize("change", [{"model": [1]}, {"train": None}, {"corpus": "text.txt"}, {"own_pairs": 3}])
def test_a_damaged_config(run, trained, change):
    config = json.loads((trained / "config.json").read_text(encoding="utf-8")) | change
    (trained / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for command in (["sample", "run"], ["train", "--resume", "run"]):
        assert_one_line_error(run(*command), "config.json is damaged", *change)


def test_a_run_without_a_checkpoint(run, trained):
    (trained / "checkpoint.safetensors").unlink()
    assert_one_line_error(run("sample", "run"), "there is no checkpoint")


def test_a_damaged_tokenizer(run, trained):
    (trained / "tokenizer.json").write_text("{", encoding="utf-8")
    assert_one_line_error(run("sample", "run"), "tokenizer.json")


def test_another_runs_tokenizer(run, trained):
    tokenizer = json.loads((trained / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["characters"] = tokenizer["characters"][::-1]  # as many ids, which mean other characters
    (trained / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    assert_one_line_error(run("sample", "run"), "is not the tokenizer")
    assert_one_line_error(run("train", "--resume", "run"), "is not the tokenizer")


def test_a_full_disk(run, monkeypatch, tmp_path):
    import errno
    import os

    from tinygrad_gpt.train import checkpoint

    real_write, calls = checkpoint.write_arrays, []

    def write(file, *arguments):
        calls.append(file)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real_write(file, *arguments)

    monkeypatch.setattr(checkpoint, "write_arrays", write)
    result = run("train", "text.txt", "--out", "run", *SMALL, "--checkpoint-interval", "1")
    assert_one_line_error(
        result, "step 3: cannot write", "No space left on device", "the checkpoint of step 2 is kept in run"
    )
    assert checkpoint.load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")[1]["step"] == 2
    assert not list((tmp_path / "run").glob("*.tmp"))


def test_too_large_for_this_machine(run):
    assert_one_line_error(run("train", "text.txt", *SMALL, "--n-embd", str(10**12)), "not enough memory")


def test_bugs_keep_their_traceback(run, monkeypatch):
    def broken(*arguments, **settings):
        raise ZeroDivisionError

    monkeypatch.setattr("tinygrad_gpt.train.text_run.prepare_tokens", broken)
    with pytest.raises(ZeroDivisionError):
        run("train", "text.txt", *SMALL)


# --- your own pairs -----------------------------------------------------------------------------------------------

RIGHT = "from tinygrad_gpt.ops.layer_norm import backward, forward\n"
WRONG = """
from tinygrad_gpt.ops import layer_norm
forward = layer_norm.forward
def backward(dy, saved):
    dx, dweight, dbias = layer_norm.backward(dy, saved)
    return 2 * dx, dweight, dbias
"""
NOT_FINITE = """
import numpy as np
from tinygrad_gpt.ops import layer_norm
forward, OP = layer_norm.forward, "layer_norm"
def backward(dy, saved):
    dx, dweight, dbias = layer_norm.backward(dy, saved)
    return np.full_like(dx, np.inf), dweight, dbias
"""


def test_a_right_pair_trains(run, tmp_path):
    (tmp_path / "my_layer_norm.py").write_text(RIGHT, encoding="utf-8")
    status, said, _ = run("train", "text.txt", "--out", "run", "--with", "my_layer_norm.py", *SMALL)
    assert status == 0
    first = said.splitlines()[0]
    assert re.fullmatch(r"my_layer_norm\.py is right for layer_norm: \d+ cases, worst error \d\.\de-\d+", first), first
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert [pair["op"] for pair in config["own_pairs"]] == ["layer_norm"]
    (tmp_path / "my_layer_norm.py").unlink()
    status, said, _ = run("train", "--resume", "run", "--steps", "5")
    assert status == 0 and "my_layer_norm.py is right for layer_norm" in said, "with the copy that the run keeps"
    copy = tmp_path / "run" / "own_op_layer_norm.py"
    copy.write_text(RIGHT + "# changed\n", encoding="utf-8")
    assert_one_line_error(run("train", "--resume", "run"), "own_op_layer_norm.py is not the file that this run was st")
    copy.unlink()
    assert_one_line_error(run("train", "--resume", "run"), "started with my_layer_norm.py for layer_norm", "--with")


def test_a_wrong_pair_is_refused(run, tmp_path):
    (tmp_path / "my_layer_norm.py").write_text(WRONG, encoding="utf-8")
    result = run("train", "text.txt", "--out", "run", "--with", "my_layer_norm.py", *SMALL)
    assert_one_line_error(result, "my_layer_norm.py is wrong for layer_norm", "--force")
    assert "WRONG" in result[1] and "gradient" in result[1]
    assert not (tmp_path / "run").exists()


def test_a_wrong_pair_trains_by_force(run, tmp_path):
    (tmp_path / "my_layer_norm.py").write_text(WRONG, encoding="utf-8")
    status, said, _ = run("train", "text.txt", "--out", "run", "--with", "my_layer_norm.py", "--force", *SMALL)
    assert status == 0 and "WRONG" in said and "as --force says" in said


def test_a_run_whose_gradient_is_not_finite(run, tmp_path):
    (tmp_path / "mine.py").write_text(NOT_FINITE, encoding="utf-8")
    result = run("train", "text.txt", "--out", "run", "--with", "mine.py", "--force", *SMALL)
    assert_one_line_error(
        result, "step 1: ", "is that of blocks.0.", "layer_norm[mine]", "no checkpoint has been saved yet"
    )


# --- using a trained model ------------------------------------------------------------------------------------------


def test_sample(run, trained):
    status, said, _ = run("sample", "run", "--prompt", "the ", "--tokens", "12", "--seed", "3")
    assert status == 0 and said.startswith("the ") and len(said) == 4 + 12 + 1
    assert run("sample", "run", "--prompt", "the ", "--tokens", "12", "--seed", "3")[1] == said
    assert run("sample", "run", "--prompt", "the ", "--tokens", "12", "--seed", "4")[1] != said


def test_sample_stops_at_a_token(run, trained):
    long = run("sample", "run", "--tokens", "200", "--seed", "1")[1]
    short = run("sample", "run", "--tokens", "200", "--seed", "1", "--stop", "e")[1]
    assert short == long[: long.index("e")] + "\n"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("--prompt Z", "'Z'"),
        ("--stop the", "'the' is 3 tokens"),
        ("--top-p 0", "--top-p should be greater than 0"),
        ("--top-k 0", "--top-k"),
        ("--temperature -1", "--temperature"),
        ("--temperature nan", "--temperature"),
        ("--tokens 0", "--tokens"),
    ],
)
def test_sample_with_options_that_cannot_be(run, trained, options, part):
    assert_one_line_error(run("sample", "run", *options.split()), part)


def test_eval(run, trained):
    status, said, _ = run("eval", "run")
    assert status == 0
    loss = float(re.search(r"^loss +(\S+) nats per token$", said, re.MULTILINE)[1])
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert loss == pytest.approx(rows[-1]["val_loss"], abs=1e-4)
    assert float(re.search(r"^perplexity +(\S+)$", said, re.MULTILINE)[1]) == pytest.approx(np.exp(loss), rel=1e-3)
    bits = float(re.search(r"^bits per byte +(\S+)$", said, re.MULTILINE)[1])
    assert bits == pytest.approx(loss / np.log(2), abs=1e-3)  # one byte per character


def test_eval_on_another_text(run, trained, tmp_path):
    (tmp_path / "other.txt").write_text("dog over fox\n" * 40, encoding="utf-8")
    status, said, _ = run("eval", "run", "other.txt")
    assert status == 0 and said.startswith("other.txt, validation part: 48 of 52 tokens")
    (tmp_path / "strange.txt").write_text("DOG OVER FOX\n" * 40, encoding="utf-8")
    assert_one_line_error(run("eval", "run", "strange.txt"), "'D'")


# --- inspecting -----------------------------------------------------------------------------------------------------


def test_gradcheck(run):
    status, said, _ = run("gradcheck", "mul", "relu")
    assert status == 0 and "right" in said and "WRONG" not in said
    assert all(re.search(rf"│ {op} +│ reference +│", said) for op in ("mul", "relu"))


def test_gradcheck_of_a_wrong_pair(run, tmp_path):
    (tmp_path / "my_layer_norm.py").write_text(WRONG, encoding="utf-8")
    status, said, _ = run("gradcheck", "--with", "my_layer_norm.py")
    assert status == 1 and "WRONG" in said and "my_layer_norm.py" in said and "2" in said


def test_info(run):
    status, said, _ = run("info")
    assert status == 0
    assert "numpy" in said and "cores" in said and "TINYGRAD_GPT_DATA" in said
    for op in registry.op_names():
        assert re.search(rf"│ {op} +│ \w+ +│", said), op


def test_info_says_what_to_install_for_a_gpu(run, monkeypatch):
    monkeypatch.setattr(devices, "why_no_gpu", lambda: 'pip install "tinygrad-gpt[cuda12]"')
    status, said, _ = run("info")
    assert status == 0 and "tinygrad-gpt[cuda12]" in said


def test_bench(run, monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    status, said, _ = run("bench", "--preset", "tiny")
    assert status == 0
    assert "numpy" in said and "cores" in said and "reference: " in said
    assert re.search(r"training step .*│ 29k parameters, 8 x 32 tokens +│ +[\d,.]+ +│ [\d,]+ tokens/s", said), said
    for what in ("matrix product", "attention and its gradient"):
        assert re.search(rf"│ {what} +│ .* │ +[\d,.]+ +│ [\d,]+ GFLOP/s", said), said


def test_bench_of_a_preset_that_is_none(run):
    assert_one_line_error(run("bench", "--preset", "nope"), "nope", "quick")


def test_bench_times_the_median_call_after_warming_up(monkeypatch):
    """By a clock that nothing but the calls moves."""
    now, takes = 0.0, [9.0, 9.0, 0.004, 0.001, 0.002]  # seconds: two to warm up, then as many as 6 ms begin

    def function():
        nonlocal now
        now += takes.pop(0)

    monkeypatch.setattr(bench, "time", SimpleNamespace(perf_counter=lambda: now))
    assert bench.median_ms(function, seconds=0.006) == pytest.approx(2)
    assert takes == []


# --- as a process ---------------------------------------------------------------------------------------------------


def process(*arguments, **how):
    return subprocess.run([sys.executable, "-m", "tinygrad_gpt", *arguments], capture_output=True, text=True, **how)


def test_as_a_module():
    done = process("presets")
    assert done.returncode == 0 and "quick" in done.stdout and done.stderr == ""
    failed = process("train", "nope")
    assert failed.returncode == 2 and failed.stdout == "" and failed.stderr.count("\n") == 1


@pytest.mark.long
def test_a_reader_that_goes_away(trained):
    writer = subprocess.Popen(
        [sys.executable, "-m", "tinygrad_gpt", "sample", "run", "--tokens", "2000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert len(writer.stdout.read(5)) == 5
    writer.stdout.close()
    assert writer.stderr.read() == b""
    assert writer.wait(60) == UNREADABLE


@pytest.mark.long
def test_characters_that_the_output_cannot_show(tmp_path):
    (tmp_path / "text.txt").write_text("\N{SNOWMAN}\N{GREEK SMALL LETTER LAMDA}\n" * 400, encoding="utf-8")
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = process("train", "text.txt", "--out", "run", *SMALL, env=plain)
    assert done.returncode == 0 and done.stderr == "" and "?" in done.stdout
    done = process("sample", "run", "--prompt", "\N{SNOWMAN}", "--tokens", "5", env=plain)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("?")


@pytest.mark.long
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_output_to_a_full_disk():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tinygrad_gpt", "presets"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2 and done.stderr == "error: cannot write the output: No space left on device\n"


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="closes standard output as a POSIX shell does")
def test_without_any_output():
    closed = ["sh", "-c", 'exec "$0" -m tinygrad_gpt presets >&-', sys.executable]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.long
def test_help_does_not_load_what_it_does_not_need():
    code = (
        "import sys; from tinygrad_gpt.cli import main; main(['--help']); "
        "heavy = {'numba', 'matplotlib', 'tokenizers', 'safetensors'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="no pseudo-terminals")
@pytest.mark.parametrize("no_color", ["", "1"])
def test_errors_are_red_on_a_terminal_unless_no_color_is_set(no_color):
    import pty

    ours, theirs = pty.openpty()
    environment = os.environ | {"NO_COLOR": no_color, "TERM": "xterm"}
    subprocess.run([sys.executable, "-m", "tinygrad_gpt", "sample", "none"], stderr=theirs, env=environment, timeout=60)
    os.close(theirs)
    said = os.read(ours, 1000).decode()
    os.close(ours)
    assert said.startswith("error: there is" if no_color else "\x1b[31merror:\x1b[0m there is")
