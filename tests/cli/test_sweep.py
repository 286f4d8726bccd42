"""Sweeps: a run for each combination, and a table at the end."""

import json
import os
import shutil
import signal

import numpy as np
import pytest

from tests.cli.conftest import OPTIONS, SMALL
from tests.helpers import assert_one_line_error
from tests.train.runs import arrays_of, assert_same_arrays, held_elsewhere
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files import locks
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.sweep import combinations, parse

SWEEP = ["train", "text.txt", *SMALL, "--sample-tokens", "0"]


def table(said):
    """The first words of each line of the table, the head first."""
    lines = said.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("run  "))
    rows = []
    for line in lines[first:]:
        if line.startswith(("run  ", "lr-", "seed-", "block-")):
            rows.append(line.split())
    return rows


@pytest.mark.long
def test_a_run_for_each_combination_as_train_makes_it_alone(run, tmp_path):
    status, said, error = run(*SWEEP, "--sweep", "lr=1e-3,2e-2", "--sweep", "seed=1,2", "--out", "s")
    assert (status, error) == (0, "")
    names = ["lr-0.001-seed-1", "lr-0.001-seed-2", "lr-0.02-seed-1", "lr-0.02-seed-2"]
    assert said.startswith("sweep in s: 4 runs\nrun 1 of 4: lr 0.001, seed 1\n")
    head, *rows = table(said)
    assert head[:5] == ["run", "lr", "seed", "steps", "state"]
    assert sorted(row[0] for row in rows) == names
    losses = [float(row[8]) for row in rows]
    assert losses == sorted(losses)
    best = os.path.join("s", rows[0][0])
    assert said.endswith(f"lowest: {best}: try  tinygrad-gpt sample {best}\n")
    assert run(*SWEEP, "--lr", "0.02", "--seed", "2", "--out", "alone")[0] == 0
    alone, swept = RunFolder(tmp_path / "alone"), RunFolder(tmp_path / "s" / "lr-0.02-seed-2")
    assert_same_arrays(arrays_of(alone), arrays_of(swept))
    assert run("compare", "s")[1].startswith(said[said.index("run  ") : said.index("drawn in")])
    assert run("doctor", "s")[1].count("4 of 4 steps") == 4
    status, again, _ = run("train", "--resume", "s")
    assert status == 0 and table(again) == [head, *rows], "nothing is left to do"


@pytest.mark.long
def test_a_run_that_diverges_does_not_stop_the_others(run, tmp_path):
    status, said, _ = run(*SWEEP, "--sweep", "lr=1e30,1e-3", "--out", "s")
    assert status == 0 and "diverged: step " in said
    _, first, second = table(said)
    assert first[0] == "lr-0.001" and second[0] == "lr-1e+30" and "diverged" in second
    failure = json.loads((tmp_path / "s" / "lr-1e+30" / "failure.json").read_text(encoding="utf-8"))
    assert failure["why"].startswith(f"step {failure['step'] + 1}: the loss is ")
    status, said, _ = run("train", "--resume", "s")
    assert status == 0 and "diverged: step" not in said, "it would only diverge again"
    assert "diverged" in run("runs", "s")[1]
    said = run("doctor", "s")[1]
    assert f"diverged at step {failure['step'] + 1}: the loss is" in said and "4 of 4" in said


def test_a_run_that_cannot_be_made_does_not_stop_the_others(run):
    options = OPTIONS.replace("--block-size 8", "--steps 2 --sample-tokens 0").split()
    status, said, _ = run("train", "text.txt", *options, "--sweep", "block-size=8,5000", "--out", "s")
    assert status == 2 and table(said)[1][0] == "block-size-8"
    assert "\nnot trained: block-size-5000: the training text has 792 tokens" in said


@pytest.mark.long
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_all_and_says_how_to_go_on(run, monkeypatch, tmp_path, times):
    made = []

    def step(self, step, loss):
        made.append(step)
        if len(made) == 6:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Reporter, "step", step)
    monkeypatch.setattr("tinygrad_gpt.train.reporter.Pace.seconds_left", lambda self: None)
    options = [*SWEEP, "--checkpoint-interval", "1"]
    status, said, error = run(*options, "--sweep", "seed=1,2,3", "--out", "s")
    assert status == 130 and error == ""
    assert said.endswith("stopped and saved; continue with: tinygrad-gpt train --resume s\n")
    assert [row[0] for row in table(said)[1:]] == ["seed-1", "seed-2"]
    status, said, _ = run("train", "--resume", "s")
    assert status == 0 and "run 2 of 3: seed 2, from step " in said and "run 1 of 3" not in said
    assert [row[2] for row in table(said)[1:]] == ["4/4"] * 3
    assert run(*SWEEP, "--seed", "2", "--out", "alone", "--checkpoint-interval", "1")[0] == 0
    assert_same_arrays(arrays_of(RunFolder(tmp_path / "alone")), arrays_of(RunFolder(tmp_path / "s" / "seed-2")))


@pytest.mark.long
def test_it_goes_on_from_another_folder_after_a_kill_while_a_run_was_being_made(run, tmp_path, monkeypatch):
    assert run(*SWEEP, "--sweep", "seed=1,2", "--out", "s")[0] == 0
    second = tmp_path / "s" / "seed-2"
    for file in second.iterdir():
        if file.name != "tokenizer.json":
            file.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, said, _ = run("train", "--resume", os.path.join("..", "s"))
    assert status == 0
    head, *rows = table(said)
    assert head[:3] == ["run", "seed", "steps"], "it is the same text"
    assert [row[2] for row in rows] == ["4/4", "4/4"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--sweep", "lrr=1,2"], "there is no setting 'lrr' (did you mean lr?)"),
        (["--sweep", "frob=1"], "there is no setting 'frob'; the settings are"),
        (["--sweep", "lr"], "--sweep should be a setting and its values, such as lr=1e-3,3e-3, not 'lr'"),
        (["--sweep", "lr="], "should be a setting and its values"),
        (["--sweep", "lr=1,x"], "lr should be float, not 'x'"),
        (["--sweep", "steps=1.5"], "steps should be int, not '1.5'"),
        (["--sweep", "bias=maybe"], "bias should be bool, not 'maybe'"),
        (["--sweep", "lr=1", "--sweep", "lr=2"], "names lr twice"),
        (["--sweep", "corpus=a,b"], "all runs of a sweep have the same corpus"),
        (["--sweep", "from=a,b"], "all runs of a sweep have the same from"),
        (["--sweep", "lr=0.1,-1"], "--sweep, lr -1.0: lr should be greater than 0"),
        (["--sweep", "n-head=1,3"], "--sweep, n-head 3: n_embd should be a multiple of n_head"),
        (["--sweep", "steps=1,2"], "--steps is given, and a setting of --sweep"),
        (["--sweep", "seed=1", "--resume", "x"], "leave out --sweep"),
        (["--sweep", "seed=1", "--out", "text.txt"], "text.txt exists and is not empty"),
    ],
)
def test_wrong_sweeps_are_refused_before_any_work(run, tmp_path, arguments, part):
    before = set(tmp_path.rglob("*"))
    assert_one_line_error(run("train", "text.txt", *OPTIONS.split(), "--steps", "2", *arguments), part)
    assert set(tmp_path.rglob("*")) == before


def test_a_sweep_keeps_its_settings(run, tmp_path):
    assert run(*SWEEP, "--sweep", "seed=1", "--out", "s")[0] == 0
    assert_one_line_error(run("train", "--resume", "s", "--steps", "9"), "leave out --steps")
    assert_one_line_error(run(*SWEEP, "--sweep", "seed=1", "--out", "s"), "the sweep s exists", "--resume s")
    (tmp_path / "s" / "sweep.json").write_text("{}", encoding="utf-8")
    assert_one_line_error(run("train", "--resume", "s"), "sweep.json is damaged")
    assert_one_line_error(run("train", "nope", "--sweep", "seed=1"), "no corpus, file or folder 'nope'")
    assert not (tmp_path / "runs").exists()


def test_how_values_are_read_and_folders_named():
    values = parse(["--min-lr=1e-4, 0", "bias=yes,no", "window=none,8", "norm=pre", "tokenizer=a/b,a:b"])
    assert values == {
        "min_lr": [1e-4, 0.0],
        "bias": [True, False],
        "window": [None, 8],
        "norm": ["pre"],
        "tokenizer": ["a/b", "a:b"],
    }
    names = list(combinations(values))
    assert len(set(names)) == 16
    assert names[:2] == [f"min-lr-0.0001-bias-yes-window-none-norm-pre-tokenizer-a-b{end}" for end in ("", "--2")]
    assert parse(["seed=1,1,2"]) == {"seed": [1, 2]}
    with pytest.raises(UserError, match="no setting"):
        parse(["n_embd_=3"])
    assert np.prod([len(v) for v in values.values()]) == len(names)


RIGHT = """
import numpy as np


def forward(x):
    return np.maximum(x, 0), (x > 0,)


def backward(dy, saved):
    (positive,) = saved
    return (dy * positive,)
"""


@pytest.mark.long
def test_own_pairs_are_given_to_all_runs_and_a_pair_that_none_of_them_runs_is_an_error(run, tmp_path):
    (tmp_path / "my_relu.py").write_text(RIGHT, encoding="utf-8")
    with_ = ["--with", "my_relu.py"]
    result = run(*SWEEP, *with_, "--sweep", "seed=1,2", "--out", "s")
    assert_one_line_error(result, "relu did not run in the first step")
    assert not (tmp_path / "s").exists()
    status, said, _ = run(*SWEEP, *with_, "--activation", "relu", "--sweep", "seed=1,2", "--out", "s")
    assert status == 0 and len(table(said)) == 3 and "my_relu.py is right for relu" in said
    config = json.loads((tmp_path / "s" / "seed-2" / "config.json").read_text(encoding="utf-8"))
    assert [pair["op"] for pair in config["own_pairs"]] == ["relu"]
    assert run("train", "--resume", "s", *with_)[0] == 0
    (tmp_path / "my_relu.py").unlink()
    shutil.rmtree(tmp_path / "s" / "seed-2")
    status, said, _ = run("train", "--resume", "s")
    assert status == 0 and "my_relu.py is right for relu" in said and "my_relu.py: relu ran" in said
    for copy in (tmp_path / "s").glob("*/own_op_relu.py"):
        copy.unlink()
    assert_one_line_error(run("train", "--resume", "s"), "was started with", "my_relu.py for relu: give it again")


@pytest.mark.parametrize("activations", ["relu,gelu_tanh", "gelu_tanh,relu"])
def test_a_pair_that_one_run_does_not_have_fails_that_run_only(run, tmp_path, activations):
    (tmp_path / "my_relu.py").write_text(RIGHT, encoding="utf-8")
    options = [*SWEEP, "--with", "my_relu.py", "--sweep", f"activation={activations}", "--out", "s"]
    status, said, _ = run(*options)
    assert status == 2 and "my_relu.py: relu ran " in said
    states = {line.split()[0]: line for line in said.splitlines() if line.startswith("activation-")}
    assert "finished" in states["activation-relu"] and "failed" in states["activation-gelu_tanh"]
    assert "not trained: activation-gelu_tanh: my_relu.py: relu did not run in the first step" in said


@pytest.mark.long
@pytest.mark.skipif(locks.fcntl is None, reason="the system does not say")
def test_a_run_that_another_process_trains_is_left_to_it(run, tmp_path):
    assert run(*SWEEP, "--sweep", "seed=1,2", "--out", "s")[0] == 0
    for name in ("seed-1", "seed-2"):
        shutil.rmtree(tmp_path / "s" / name)
    (tmp_path / "s" / "seed-1").mkdir()
    with held_elsewhere(tmp_path / "s" / "seed-1" / "metrics.jsonl"):
        status, said, _ = run("train", "--resume", "s")
    assert status == 0 and "run 1 of 2: seed 1: left out: another process trains this run now" in said
    assert [row[:3] for row in table(said)[1:]] == [["seed-2", "4/4", "finished"]]
    assert not (tmp_path / "s" / "seed-1" / "config.json").exists()


MODEL = """
from tinygrad_gpt.nn import Embedding, Linear, Module


class Model(Module):
    def __init__(self, config):
        self.embedding = Embedding(config.vocab_size, config.n_embd)
        self.head = Linear(config.n_embd, config.vocab_size)

    def forward(self, ids):
        return self.head(self.embedding(ids))
"""


@pytest.mark.long
def test_a_sweep_of_a_model_of_ones_own_keeps_a_copy(run, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(MODEL, encoding="utf-8")
    status, said, _ = run(*SWEEP, "--model", "mine.py", "--sweep", "seed=1,2", "--out", "s")
    assert status == 0 and len(table(said)) == 3
    shutil.rmtree(tmp_path / "s" / "seed-2")
    file.write_text(MODEL + "\n", encoding="utf-8")
    assert_one_line_error(run("train", "--resume", "s", "--model", "mine.py"), "mine.py has changed")
    file.unlink()
    status, said, _ = run("train", "--resume", "s")
    assert status == 0 and "run 2 of 2" in said and len(table(said)) == 3
    config = json.loads((tmp_path / "s" / "seed-2" / "config.json").read_text(encoding="utf-8"))
    assert config["own_model"]["file"] == "mine.py"


def test_a_sweep_is_no_run_but_names_one(run):
    assert run(*SWEEP, "--sweep", "seed=1,2", "--out", "s")[0] == 0
    assert_one_line_error(run("sample", "s"), f"name one of those in it, such as {os.path.join('s', 'seed-1')}")
