"""Listing runs, and comparing them."""

import json
import os
import shutil
import time

import pytest

from tests.cli.conftest import SMALL
from tests.helpers import assert_one_line_error
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files import locks
from tinygrad_gpt.train import run_list
from tinygrad_gpt.train.metrics import MetricsLog
from tinygrad_gpt.train.saved_runs import TrainedRun


@pytest.fixture
def copies(small_run, tmp_path):
    """Copy a run of four steps to runs/NAME, and change its config.json: copies(name, lr=0.01)."""

    def copy(name, **train):
        folder = tmp_path / "runs" / name
        shutil.copytree(small_run, folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config["train"] |= train
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return folder

    return copy


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def write_rows(folder, rows):
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def listed(run, *arguments):
    status, said, _ = run("runs", *arguments, "--json")
    assert status == 0
    return {row["path"].replace(os.sep, "/"): row for row in json.loads(said)}


# --- listing ---------------------------------------------------------------------------------------------------------


def test_runs_newest_first(run, copies):
    old, new = copies("old"), copies("new")
    for file in old.iterdir():
        os.utime(file, (time.time() - 7300, time.time() - 7300))
    status, said, error = run("runs")
    assert (status, error) == (0, "")
    head, *lines = said.splitlines()
    assert " ".join(head.split()) == "run preset corpus params steps state best val last val time changed"
    assert [line.split()[0] for line in lines] == [os.path.join("runs", "new"), os.path.join("runs", "old")]
    assert lines[1].endswith("2 h ago") and "tiny" in lines[1] and "4/4" in lines[1] and "finished" in lines[1]
    last = rows_of(new)[-1]["val_loss"]
    assert f"{last:.3f} @ 4" in lines[0]
    row = listed(run)["runs/new"]
    assert row["best_val_loss"] == row["val_loss"] == last and row["best_step"] == 4 and row["parameters"] > 100
    assert row["corpus"].endswith("text.txt") and row["task"] == "next-token" and row["extensions"] == []
    assert listed(run, "runs/old").keys() == {"runs/old"}


def test_states(run, copies, monkeypatch):
    copies("done")
    stopped = copies("stopped", steps=9)
    begun = copies("begun")
    for name in ("metrics.jsonl", "checkpoint.safetensors"):
        (begun / name).unlink()
    state = {path: row["state"] for path, row in listed(run).items()}
    assert state == {"runs/done": "finished", "runs/stopped": "stopped", "runs/begun": "stopped"}
    assert listed(run)["runs/begun"]["step"] == 0 and listed(run)["runs/begun"]["val_loss"] is None
    log = MetricsLog(stopped / "metrics.jsonl", 4)
    expected = "running" if locks.fcntl else "running?"
    assert listed(run)["runs/stopped"]["state"] == expected
    log.close()
    monkeypatch.setattr(run_list, "is_held", lambda path: None)  # as on Windows
    assert listed(run)["runs/stopped"]["state"] == "running?"
    monkeypatch.setattr(run_list, "_RECENT", -1.0)
    assert listed(run)["runs/stopped"]["state"] == "stopped"


def test_a_run_without_its_last_checkpoint_has_not_finished(run, copies):
    folder = copies("full-disk", steps=6)
    write_rows(folder, [*rows_of(folder), {**rows_of(folder)[-1], "step": 6}])
    row = listed(run)["runs/full-disk"]
    assert row["state"] == "stopped" and row["step"] == 6


def test_a_loss_that_is_no_number_is_not_the_best(run, copies):
    folder = copies("a")
    first, *others, last = rows_of(folder)
    write_rows(folder, [{**first, "val_loss": float("nan")}, *others, {**last, "val_loss": 3.0}])
    assert listed(run)["runs/a"]["best_val_loss"] == 3.0
    write_rows(folder, [first, *others, {**last, "val_loss": float("nan"), "train_loss": float("inf")}])
    row = listed(run)["runs/a"]
    assert row["val_loss"] is None and row["train_loss"] is None
    assert "nan" in run("runs")[1], "people see it"


@pytest.mark.skipif(locks.fcntl is None, reason="the system does not say")
def test_two_processes_do_not_train_one_run(run, copies):
    log = MetricsLog(copies("a", steps=9) / "metrics.jsonl", 4)
    assert_one_line_error(run("train", "--resume", "runs/a"), "another process trains this run now")
    log.close()
    assert run("train", "--resume", "runs/a")[0] == 0


def test_a_damaged_run_is_a_row(run, copies, tmp_path):
    copies("good")
    (copies("config") / "config.json").write_text("{", encoding="utf-8")
    (copies("metrics") / "metrics.jsonl").write_text("{}\n{}\n", encoding="utf-8")
    (copies("checkpoint") / "checkpoint.safetensors").write_bytes(b"GIF89a" * 9)
    (copies("moved") / "config.json").unlink()
    copies("[red]x\x1b", steps="many")
    status, said, error = run("runs")
    assert status == 0 and said.count(" damaged ") == 5 and said.count(" finished ") == 1 and "\x1b" not in said
    assert error.count("damaged: ") >= 5 and error.count("\n") == 5 and "\x1b" not in error
    assert "it has no config.json" in error
    rows = listed(run)
    assert rows["runs/config"]["problem"] and rows["runs/config"]["steps"] is None and not rows["runs/good"]["problem"]


def test_a_run_whose_tokenizer_is_damaged_says_so_and_keeps_its_figures(run, copies):
    tokenizer = copies("a") / "tokenizer.json"
    assert listed(run)["runs/a"]["problem"] is None
    tokenizer.write_bytes(tokenizer.read_bytes() + b" ")
    row = listed(run)["runs/a"]
    assert row["state"] == "damaged" and row["val_loss"] > 0
    assert row["problem"].endswith(
        "tokenizer.json is not the tokenizer that this run was started with: put that one back"
    )


def test_folders_that_are_no_runs_are_left_out(run, copies, tmp_path):
    copies("a")
    shutil.copytree(tmp_path / "runs" / "a", tmp_path / "runs" / "group" / "b")
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "runs" / "hf").mkdir()
    (tmp_path / "runs" / "hf" / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    assert listed(run).keys() == {"runs/a", "runs/group/b"}
    assert listed(run, ".").keys() == {"runs/a", "runs/group/b"}


def test_no_runs(run, tmp_path):
    assert run("runs") == (0, "", "no runs in runs: tinygrad-gpt train makes one\n")
    assert run("runs", "--json") == (0, "[]\n", "")
    assert_one_line_error(run("runs", "none"), "there is no folder none")


# --- comparing -------------------------------------------------------------------------------------------------------


def test_the_lowest_last_loss_comes_first_with_the_settings_that_differ(run, copies, tmp_path):
    pytest.importorskip("matplotlib")
    for name, lr, loss in (("a", 0.001, 3.0), ("b", 0.01, 2.0), ("c", 0.1, 9.0)):
        folder = copies(name, lr=lr, log_interval=len(name) + int(lr))
        rows = rows_of(folder)
        rows[0]["val_loss"], rows[-1]["val_loss"] = 1.5, loss  # the best one, and the last
        write_rows(folder, rows)
    status, said, error = run("compare", "runs/a", "runs/b", "runs/c", os.path.join("runs", "a"))
    assert (status, error) == (0, "")
    head, *lines = said.split("\n\n")[0].splitlines()
    assert " ".join(head.split()) == "run lr steps state best val last val last train time"
    assert [line.split()[:3] for line in lines] == [["b", "0.01", "4/4"], ["a", "0.001", "4/4"], ["c", "0.1", "4/4"]]
    assert "1.5000 @ 2" in lines[0] and "2.0000" in lines[0]
    assert said.endswith("drawn in compare.png\n") and (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_pattern_a_folder_of_runs_and_another_picture(run, copies, tmp_path):
    for name in ("a", "b"):
        copies(name, lr=len(name) + 1.0)
    (tmp_path / "runs" / "notes.txt").write_text("x", encoding="utf-8")
    status, said, error = run("compare", "runs/*", "--out", "c.png")
    assert status == 2 and error == f"error: left out: there is no run folder {os.path.join('runs', 'notes.txt')}\n"
    assert run("compare", "runs", "--out", "c.png")[1] == said


def test_many_settings_have_a_table_of_their_own(run, copies):
    copies("a")
    copies("b", lr=0.5, beta1=0.8, beta2=0.8, eps=1e-6, weight_decay=0.3, grad_clip=2.0, warmup=3)
    said = run("compare", "runs")[1]
    assert "\nsetting       a" in said and "\nbeta1         0.9" in said


def test_what_does_not_compare_is_said(run, copies, tmp_path):
    copies("a")
    other = copies("b", steps=9)
    config = json.loads((other / "config.json").read_text(encoding="utf-8"))
    config["tokenizer"], config["corpus"]["val_tokens"] = "0" * 64, 44
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    said = run("compare", "runs")[1]
    assert "note: these runs read different tokens: compare bits per byte, not losses per token" in said
    assert "measured on a part of the validation text only" in said
    first, second = (line.split() for line in said.splitlines()[1:3])
    assert (first[0], second[0]) == ("b", "a"), "half as many tokens for the same bytes, each with the same loss"
    config["corpus"]["sha256"] = "0" * 64
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert "different texts: their validation losses do not compare" in run("compare", "runs")[1]


def test_runs_without_rows_and_damaged_ones(run, copies):
    (copies("a") / "metrics.jsonl").unlink()
    status, said, _ = run("compare", "runs/a")
    assert status == 0 and "4/4" in said
    (copies("b") / "config.json").write_text("{", encoding="utf-8")
    status, said, error = run("compare", "runs/a", "runs/b")
    assert status == 2 and error.startswith("error: left out: ") and "config.json is damaged" in error
    assert_one_line_error(run("compare", "runs/b"), "config.json is damaged")
    assert_one_line_error(run("compare", "none"), "there is no run folder none")
    assert_one_line_error(
        run("compare", "runs/a", "--out", "c.txt"), "--out should be a file name that ends in .png, .pdf, .svg"
    )


def test_without_matplotlib_there_is_still_the_table(run, copies, monkeypatch):
    copies("a")

    def missing(size):
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr("tinygrad_gpt.files.plots._figure", missing)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, said, error = run("compare", "runs")
    assert status == 2 and said.splitlines()[1].startswith("a ") and "no compare.png: plots need matplotlib" in error


@pytest.mark.long
def test_an_extended_run_says_so_everywhere(run):
    assert run("train", "text.txt", "--out", "runs/a", *SMALL)[0] == 0
    assert run("train", "text.txt", "--out", "runs/b", *SMALL)[0] == 0
    status, said, _ = run("train", "--resume", "runs/a", "--steps", "6")
    assert status == 0 and said.startswith("extended from 4 to 6 steps, at step 4: the learning rate was ")
    assert "\nresuming runs/a at step 4: " in said
    assert listed(run)["runs/a"]["extensions"][0]["to"] == 6
    assert "extended" in run("compare", "runs/a", "runs/b")[1].splitlines()[0]
    assert "\n  extended from 4 to 6 steps, at step 4\n" in run("doctor", "runs/a")[1]
    said = run("train", "--resume", "runs/a")[1]
    assert said.startswith("runs/a has made all its 6 steps; --steps with more extends it\n")


@pytest.mark.parametrize("op", ["../../evil", "/tmp/evil", "a.b", ""])
def test_a_config_that_names_files_elsewhere_is_damaged(copies, op):
    folder = copies("a")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["own_pairs"] = [{"op": op, "file": "x.py", "sha256": "0", "new": True}]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match="expected the name of an op in own_pairs"):
        TrainedRun(folder).files()
