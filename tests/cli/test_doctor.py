"""`tinygrad-gpt doctor`: what it says of a healthy run, a sick one, and one of which little is known."""

import json
import shutil
import sys
from types import MappingProxyType

import pytest

from tests.cli.conftest import trained_in

OPTIONS = "--preset tiny --n-layer 1 --n-embd 8 --block-size 8 --batch-size 2 --eval-tokens 64"
SMALL = f"{OPTIONS} --sample-tokens 0".split()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The folder of a run of 200 steps, at a learning rate that learns."""
    return trained_in(tmp_path_factory.mktemp("original"), "--steps", "200", "--lr", "0.01", *SMALL)


@pytest.fixture
def trained(original, tmp_path):
    """A copy of it, to change."""
    return shutil.copytree(original, tmp_path / "run")


def change(folder, change_row, change_config=lambda config: None):
    """Rewrite a run's metrics and config."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        change_row(row)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    change_config(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def test_a_healthy_run(run, trained):
    status, said, error = run("doctor", "run")
    assert status == 0 and error == ""
    assert said.startswith("run: 200 of 200 steps\n  loss ")
    for sign in (
        "guessing blindly log 28 = 3.332, by counting answers",
        "gradient by block",
        "of the data",
        "validation",
    ):
        assert sign in said
    assert "\nhealthy: no problems found\n" in said and "not checked" not in said
    assert said.endswith("drawn in run/doctor.png\n") or said.endswith("drawn in run\\doctor.png\n")
    assert (trained / "doctor.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_sick_run(run, trained):
    """As it would look if its predictions had been all the same, its loss standing still at the unigram entropy."""

    def stuck(row):
        row["train_loss"] = 2.9 + 0.001 * (row["step"] % 3)
        if "predicted" in row["health"]:
            row["health"] |= {"predicted": 3, "prediction_share": 1.0}

    def entropy(config):
        config["facts"]["unigram_entropy"] = 2.9

    change(trained, stuck, entropy)
    status, said, error = run("doctor", "run")
    assert status == 0 and error == ""
    assert "\nunigram, found at step 200\nThe loss has stood at 2.901 for 150 steps" in said
    for part in ("100% of them are the same token", "Likely cause: ", "What to do: --lr ", "Read: lessons/04_stuck"):
        assert part in said
    assert "healthy" not in said


@pytest.mark.long
def test_a_run_of_an_older_version(run, trained):
    """No snapshots, no facts about the text, settings that are unknown today: it says what it can."""

    def older(config):
        del config["facts"], config["train"]["health"]
        config["train"]["forgotten"] = 1

    change(trained, lambda row: row.pop("health"), older)
    status, said, _ = run("doctor", "run")
    assert status == 0
    assert "healthy: no problems found in what was recorded" in said
    assert "rows have no snapshots" in said and "config.json has no unigram entropy" in said


@pytest.mark.long
def test_old_runs_are_judged_by_their_losses(run, trained):
    def older(row):
        row.pop("health")
        row["train_loss"] = 3.33

    change(trained, older, lambda config: config["facts"].pop("unigram_entropy"))
    assert "untrained, found at step " in run("doctor", "run")[1]


@pytest.mark.long
def test_a_run_that_was_killed(run, trained):
    lines = (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (trained / "metrics.jsonl").write_text("".join(lines[:5]) + lines[5][:20], encoding="utf-8")
    (trained / "checkpoint.safetensors").unlink()
    status, said, _ = run("doctor", "run")
    assert status == 0 and said.startswith("run: 50 of 200 steps\n")
    assert "not checked: whether the loss is stuck: this needs 150 steps after the warm-up, 120 more than made" in said


@pytest.mark.long
def test_without_matplotlib(run, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    status, said, _ = run("doctor", "run")
    assert status == 0 and "no doctor.png: plots need matplotlib" in said and not (trained / "doctor.png").exists()


def damage(folder, name, content):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content, encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("config.json", None, "is not a run folder"),
        ("config.json", "{", "is damaged"),
        ("config.json", '{"model_type": "gpt2"}', "is a Hugging Face folder, not a run folder"),
        ("metrics.jsonl", None, "has no rows yet"),
        ("metrics.jsonl", "", "has no rows yet"),
        ("metrics.jsonl", "nothing\n{}\n", "line 1: this is not a row of metrics"),
    ],
)
def test_folders_that_cannot_be_read(run, trained, name, content, part):
    damage(trained, name, content)
    status, said, error = run("doctor", "run")
    assert status == 2 and said == ""
    assert error.startswith("error: ") and error.count("\n") == 1 and part in error


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "part"),
    [
        (
            "checkpoint.safetensors",
            "the checkpoint run/checkpoint.safetensors cannot be read: it is damaged or cut short",
        ),
        ("tokenizer.json", "run/tokenizer.json is not the tokenizer that this run was started with"),
    ],
)
def test_files_of_the_model_that_are_damaged_are_named(run, trained, name, part):
    whole = (trained / name).read_bytes()
    (trained / name).write_bytes(whole[:-9])
    status, said, _ = run("doctor", "run")
    assert status == 0 and "validation " in said and "healthy" not in said
    assert f"\ndamaged: {part}" in said.replace("\\", "/")
    (trained / name).unlink()
    status, said, _ = run("doctor", "run")
    assert status == 0 and ("damaged: cannot read " in said) == (name == "tokenizer.json")
    (trained / name).write_bytes(whole)
    assert "damaged" not in run("doctor", "run")[1]


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.health.plot.save_figure", lambda *arguments: True)


def made_by_hand(tmp_path, rows, vocab_size=28, corpus=MappingProxyType({})):
    """A run's folder with these rows of metrics, and no more than the doctor reads."""
    model = {"norm": "pre", "activation": "relu", "dropout": 0.0}
    train = {"steps": 8, "lr": 1e-3, "warmup": 1, "grad_clip": 1.0}
    config = {
        "preset": "tiny",
        "model": model,
        "train": train,
        "vocab_size": vocab_size,
        "tokenizer": "",
        "own_pairs": [],
    }
    (tmp_path / "run").mkdir(exist_ok=True)
    config["corpus"] = {"unigram_entropy": 2.9, "commonest_share": 0.2} | corpus
    (tmp_path / "run" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")


SNAPSHOT = {"prediction_share": 0.5, "predicted": 1, "accuracy": 0.5, "double_softmax": False}
SNAPSHOT |= {name: [0.5] for name in ("block_gradients", "flat_units", "saturated_attention")}


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"step": "1"}, "step should be an integer, not '1'"),
        ({"step": 1.5}, "step should be an integer"),
        ({"step": None}, "step should be an integer"),
        ({"step": 10**30}, "step should be an integer of 64 bits"),
        ({"train_loss": [1]}, "train_loss should be a number, not [1]"),
        ({"train_loss": "x" * 1_000_000}, "train_loss should be a number"),
        ({"val_loss": None}, "val_loss should be a number"),
        ({"grad_norm": True}, "grad_norm should be a number"),
        ({"lr": {}}, "lr should be a number"),
        ({"health": 3}, "health should be an object"),
        ({"health": [1]}, "health should be an object"),
        ({"health": {"loss_max": "1"}}, "health.loss_max should be a number"),
        ({"health": {"block_gradients": [0.5]}}, "lacks "),
        ({"health": SNAPSHOT | {"predicted": [1]}}, "predicted should be an integer"),
        ({"health": SNAPSHOT | {"block_gradients": 3}}, "block_gradients should be a list"),
        ({"health": SNAPSHOT | {"block_gradients": []}}, "a number for each of"),
        ({"health": SNAPSHOT | {"flat_units": [0.5, 0.5]}}, "a number for each of 1 blocks"),
        ({"health": SNAPSHOT | {"flat_units": [[0.5]]}}, "flat_units[0] should be a number"),
        ({"health": SNAPSHOT | {"accuracy": "high"}}, "accuracy should be a number"),
    ],
    ids=lambda x: str(x)[:50],
)
def test_rows_made_by_hand(run, tmp_path, undrawn, row, part):
    """Any value may have another type; each is named, in a line."""
    made_by_hand(tmp_path, rows := [{"step": step, "train_loss": 3.0} for step in range(1, 9)])
    assert run("doctor", "run")[0] == 0
    made_by_hand(tmp_path, [*rows[:4], rows[4] | row, *rows[5:]])
    status, said, error = run("doctor", "run")
    assert status == 2 and said == "" and error.count("\n") == 1 and len(error) < 500
    assert "metrics.jsonl, line 5: this is not a row of metrics" in error and part in error


@pytest.mark.parametrize("steps", [[3, 1, 2, 2, 1, 9, 4, 400], [0] * 8, [-5, 10**18, 3, 4, 5, 6, 7, 8]], ids=str)
@pytest.mark.parametrize("loss", [0.0, -1.0, 1e308, 1e-320, float("nan"), float("inf")])
def test_rows_in_any_order_and_of_any_size(run, tmp_path, undrawn, steps, loss):
    """What the doctor makes of them is of little use; but it ends."""
    numbers = dict.fromkeys(("train_loss", "val_loss", "lr", "grad_norm"), loss)
    made_by_hand(tmp_path, [{"step": step, "health": SNAPSHOT} | numbers for step in steps] * 30)
    status, _, error = run("doctor", "run")
    assert status == 0 and error == ""


@pytest.mark.parametrize("loss", [1e308, float("nan")])
def test_losses_that_cannot_be_drawn(run, tmp_path, loss):
    made_by_hand(tmp_path, [{"step": step, "train_loss": loss} for step in range(9)])
    status, said, error = run("doctor", "run")
    assert status == 0 and error == "" and ("\ndrawn in run" in said or "\nno doctor.png: " in said)


def test_a_text_of_one_character(run, tmp_path, undrawn):
    """Its entropy is 0, and so is the loss."""
    rows = [{"step": step, "train_loss": 0.0} for step in range(1, 300)]
    made_by_hand(tmp_path, rows, vocab_size=1, corpus={"unigram_entropy": 0.0, "commonest_share": 1.0})
    assert run("doctor", "run")[0] == 0


def test_no_folder(run):
    status, _, error = run("doctor", "nowhere")
    assert status == 2 and error == "error: there is no run folder nowhere\n"


@pytest.mark.long
def test_a_config_without_what_is_needed(run, trained):
    change(trained, lambda row: None, lambda config: config["train"].pop("warmup"))
    status, _, error = run("doctor", "run")
    assert status == 2 and "config.json has no usable warmup" in error and error.count("\n") == 1
