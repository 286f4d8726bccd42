"""Fine-tuning: a run folder for each λ and seed, what is left of them, and going on after kill -9."""

import json
import math
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.tasks.conftest import LETTERS, body, data, tokenizer  # noqa: F401 - fixtures
from tests.train.runs import StopsAt, arrays_of, assert_same_arrays, rows_of
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT2, GPTConfig
from tinygrad_gpt.tasks.fine_tuning import scores_of
from tinygrad_gpt.train.checkpoint import load_checkpoint
from tinygrad_gpt.train.fine_tuning import finetune
from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned
from tinygrad_gpt.train.fine_tuning.finetune import open_run, train
from tinygrad_gpt.train.fine_tuning.folder import best_run, means, runs_of, summary
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.trained_model import find_model

QUICK = dict(epochs=2, batch_size=8, lr=1e-3)


@pytest.fixture
def source(body, tokenizer, tmp_path):  # noqa: F811
    """A Hugging Face folder with a small model and its tokenizer."""
    config = GPTConfig(len(LETTERS), block_size=16, n_layer=1, n_head=2, n_embd=16, dropout=0.1)
    GPT2(config).save_pretrained(tmp_path / "pre", tokenizer=tokenizer)
    return find_model(str(tmp_path / "pre"))


@pytest.fixture
def begin(data, source, tokenizer, tmp_path):  # noqa: F811
    """The folder of a new fine-tuning; `begin(lm_weights=[0.0])` changes some of it."""

    def begin(lm_weights=(0.0, 0.5), seeds=(1, 2), out=None, **settings):
        return finetune.start(data, source, tokenizer, QUICK | settings, list(lm_weights), list(seeds), out)

    return begin


def assert_same(one, other):
    """The same runs, the same weights in each, the same rows."""
    pairs = list(zip(runs_of(one), runs_of(other), strict=True))
    for a, b in pairs:
        assert a.path.name == b.path.name and rows_of(a) == rows_of(b)
        assert_same_arrays(arrays_of(a), arrays_of(b))


@pytest.mark.long
def test_it_learns(begin, reporter):
    path = begin([0.5], [1], epochs=15, lr=1e-2)
    assert train(path, reporter)
    (rows,) = map(rows_of, runs_of(path))
    assert rows[-1]["matthews"] > 0.9 and rows[-1]["task_loss"] < 0.2
    assert rows[-1]["lm_loss"] < rows[0]["lm_loss"] and rows[-1]["step"] == 15 * 12


@pytest.mark.long
def test_a_run_leaves_every_result(begin, reporter, data):  # noqa: F811
    path = begin()
    assert train(path, reporter)
    results = json.loads((path / "results.json").read_text(encoding="utf-8"))
    assert [(r["lm_weight"], r["seed"]) for r in results["runs"]] == [(0.0, 1), (0.0, 2), (0.5, 1), (0.5, 2)]
    assert all(result["finished"] and result["epoch"] == 2 for result in results["runs"])
    assert results["deciding"] == "matthews" and results["guess"] == "most frequent class"
    assert results["baseline"] == {"accuracy": np.mean(data.dev.labels == data.majority), "matthews": 0.0}
    for result in results["runs"]:
        rows = read_metrics(path / result["run"] / "metrics.jsonl")
        assert all(("lm_loss" in row) == (result["lm_weight"] > 0) for row in rows)
        assert [row["step"] for row in rows if "matthews" in row] == [12, 24]
        assert rows[-1]["matthews"] == result["matthews"] and "block_gradients" in rows[-1]["health"]
    assert "λ 0.5, seed 2: " in reporter.said.getvalue()
    assert (path / "matthews.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_runs_do_not_depend_on_their_neighbours(begin, reporter):
    alone, beside = begin([0.5], [2], out=None), begin()
    for path in (alone, beside):
        train(path, reporter)
    a, b = arrays_of(runs_of(alone)[0]), arrays_of(runs_of(beside)[3])
    assert_same_arrays(a, b)
    other = arrays_of(runs_of(beside)[2])
    assert (a["model.score.weight"] != other["model.score.weight"]).any()


def test_the_learning_rate_rises_and_falls_to_nothing(begin):
    from tinygrad_gpt.train.trainer import learning_rate

    path = begin([0.0], [1], epochs=3, lr=1.0, warmup_share=0.25)
    config = open_run(runs_of(path)[0]).trainer.config
    rates = [learning_rate(step, config) for step in range(config.steps)]
    np.testing.assert_allclose(rates[:9], np.arange(1, 10) / 10)
    np.testing.assert_allclose(rates[9:], 1 - np.arange(27) / 27)


def test_a_step_with_accumulated_parts_reads_as_many_texts_as_one_large_batch(begin):
    sizes = {"batch_size": 4, "accumulate": 3}, {"batch_size": 12}
    parts, whole = (open_run(runs_of(begin([0.0], [1], **size))[0]).task for size in sizes)
    for a, b in zip(parts.batch(5), whole.batch(5), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_loss_that_is_not_finite_stops_before_the_update(begin, reporter):
    path = begin([0.5], [1])
    run = open_run(runs_of(path)[0])
    run.model.score.weight.data[0, 0] = math.nan
    before = run.model.body.token_embedding.weight.data.copy()
    with pytest.raises(UserError, match=r"step 1: the loss is nan.*score\.weight were not finite.*--lr") as error:
        run.train(reporter)
    assert "\n" not in str(error.value)
    np.testing.assert_array_equal(run.model.body.token_embedding.weight.data, before)


@pytest.mark.parametrize("settings", [dict(epochs=0), dict(lr=0.0), dict(warmup_share=1.0), dict(head_dropout=-0.1)])
def test_settings_that_cannot_be(begin, settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        begin(**settings)


def test_a_run_that_cannot_be_leaves_no_folder(begin, data, source, tmp_path):  # noqa: F811
    with pytest.raises(UserError, match="lm_weight should be at least 0, not -1"):
        begin([0.0, -1.0])
    with pytest.raises(UserError, match="not empty"):
        begin(out=tmp_path)
    with pytest.raises(UserError, match="character"):
        finetune.start(data, source, CharTokenizer("abc"), {}, [0.0], [1], tmp_path / "out")
    assert not (tmp_path / "runs").exists() and not (tmp_path / "out").exists()


# --- stopping and going on ---------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("beyond", [-7, 0, 5], ids=["first run", "its last step", "second run"])
@pytest.mark.parametrize("settings", [{}, {"accumulate": 2, "recompute": True}], ids=["plain", "accumulate"])
def test_ctrl_c_saves_and_the_rest_comes_out_the_same(begin, reporter, beyond, settings):
    at = 24 // settings.get("accumulate", 1) + beyond
    whole, stopped = begin([0.0, 0.5], [1], **settings), begin([0.0, 0.5], [1], **settings)
    train(whole, reporter)
    assert not train(stopped, StopsAt(at, reporter.said))
    assert train(stopped, reporter)
    assert_same(whole, stopped)
    one, other = (summary(path) for path in (whole, stopped))
    assert one["means"] == other["means"] and all(result["finished"] for result in other["runs"])


SITTING = textwrap.dedent("""
    import os, sys
    from tinygrad_gpt.cli import main
    from tinygrad_gpt.train import trainer

    at, real, calls = int(sys.argv[1]), trainer.Trainer.train_step, []

    def step(self):
        calls.append(0)
        if len(calls) == at:
            os.kill(os.getpid(), 9) if os.name == "posix" else os._exit(9)
        return real(self)

    trainer.Trainer.train_step = step
    sys.exit(main(["finetune", *sys.argv[2:]]))
""")


@pytest.mark.long
def test_killed_and_resumed_by_the_command(data, source, begin, reporter, capsys):  # noqa: F811
    """kill -9 in the first epoch of the first run, and in the second run; the doctor reads what came of it."""
    from tinygrad_gpt.cli import main

    def sitting(at, *arguments):
        return subprocess.run([sys.executable, "-c", SITTING, str(at), *arguments], capture_output=True, text=True)

    options = ["--epochs", "2", "--batch-size", "8", "--lr", "1e-3", "--checkpoint-interval", "4"]
    killed = sitting(7, "own.tsv", "--from", "pre", "--out", "fine", *options)
    assert (
        killed.returncode != 0
        and not killed.stderr
        and load_checkpoint(Path("fine/lm-0-seed-1/checkpoint.safetensors"))[1]["step"] == 4
    )
    killed = sitting(24, "--resume", "fine")  # 20 to the end of the first run, and 3 of the second
    assert killed.returncode != 0 and not os.path.exists("fine/lm-0.5-seed-1/checkpoint.safetensors")
    done = sitting(0, "own.tsv", "--resume", "fine")
    assert done.returncode == 0, done.stderr
    whole = begin([0.0, 0.5], [1], checkpoint_interval=4)
    train(whole, reporter)
    assert_same(whole, whole.parent.parent / "fine")
    assert main(["doctor", "fine"]) == 0
    first, second = capsys.readouterr().out.replace("\\", "/").split("fine/lm-0.5-seed-1: ")
    assert "guessing blindly log 2 = 0.693" in first
    assert "of which" not in first
    assert re.search(r"of which task 0\.\d+; guessing blindly log 2 = 0\.693", second), "not the sum of two losses"
    assert main(["doctor", "fine/lm-0.5-seed-1"]) == 0


@pytest.mark.parametrize("change", ["texts", "model", "settings"])
def test_resuming_what_has_changed(begin, reporter, tmp_path, change):
    path = begin([0.0], [1])
    given = {}
    if change == "texts":
        with open(tmp_path / "own.tsv", "a", encoding="utf-8") as file:
            file.write("abc\tyes\n")
    elif change == "model":
        (tmp_path / "pre" / "config.json").write_text(
            (tmp_path / "pre" / "config.json").read_text(encoding="utf-8") + " ", encoding="utf-8"
        )
    else:
        given = {"lr": 0.5}
    said = {
        "texts": "own.tsv has changed since",
        "model": "pre has changed since",
        "settings": "--lr is 0.001, not 0.5",
    }
    with pytest.raises(UserError, match=said[change]) as error:
        train(path, reporter, given)
    assert "\n" not in str(error.value)


@pytest.mark.long
def test_what_cannot_change_the_weights_may_change(begin, reporter):
    whole, stopped = begin([0.5], [1]), begin([0.5], [1])
    train(whole, reporter)
    train(stopped, StopsAt(5, reporter.said))
    train(stopped, reporter, {"recompute": True, "checkpoint_interval": 3})
    assert_same_arrays(*(arrays_of(runs_of(path)[0]) for path in (whole, stopped)))


# --- what is left to use -----------------------------------------------------------------------------------------


def test_a_classifier_computes_what_was_trained(begin, reporter, data):  # noqa: F811
    path = begin([0.0], [1])
    run = open_run(runs_of(path)[0])
    run.train(reporter)
    classifier = FineTuned(run.folder.path)
    assert classifier.classes == ("no", "yes")
    probabilities = classifier.probabilities(data.dev.texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    scores = np.array(scores_of(run.task.family, run.model, run.task.dev_sequences), dtype=np.float64)
    np.testing.assert_allclose(
        np.log(probabilities[:, 1] / probabilities[:, 0]), scores[:, 1] - scores[:, 0], atol=1e-6
    )


@pytest.mark.long
def test_the_best_run_is_the_one_to_use(begin, reporter):
    path = begin()
    train(path, reporter)
    metrics = path / "lm-0.5-seed-1" / "metrics.jsonl"
    *rows, last = metrics.read_text(encoding="utf-8").splitlines()
    last = json.dumps(json.loads(last) | {"matthews": 0.99})
    metrics.write_text("\n".join([*rows, last, ""]), encoding="utf-8")
    assert best_run(path).path == path / "lm-0.5-seed-1"


def test_a_fine_tuning_that_is_not_whole(begin, reporter):
    """As when it was killed while its folders were being made."""
    path = begin()
    (path / "lm-0.5-seed-2" / "config.json").unlink()
    with pytest.raises(UserError, match=r"has no run lm-0\.5-seed-2: it was stopped while it was being made"):
        train(path, reporter)


def test_means_are_over_the_seeds_that_ended():
    def result(lm_weight, matthews, finished=True):
        return {"lm_weight": lm_weight, "seed": 1, "accuracy": 0.5, "matthews": matthews, "finished": finished}

    rows = means(
        [result(0, 0.1), result(0, 0.3), result(0, 0.9, finished=False), result(0.5, 0.4), result(1, 1.0, False)],
        ["matthews", "accuracy"],
    )
    assert [(row["lm_weight"], row["seeds"]) for row in rows] == [(0, 2), (0.5, 1)]
    assert rows[0]["matthews"] == pytest.approx(0.2) and rows[0]["matthews_sd"] == pytest.approx(0.1 * math.sqrt(2))
    assert rows[1]["matthews_sd"] is None and rows[0]["accuracy_sd"] == 0


@pytest.mark.long
def test_a_folder_of_an_older_version_goes_on_and_is_used(begin, reporter):
    """config.json knew one kind of task and of model then, and named its baseline otherwise."""
    whole, older = begin([0.0], [1]), begin([0.0], [1])
    train(whole, reporter)
    train(older, StopsAt(15, reporter.said))
    config = runs_of(older)[0].config
    written = json.loads(config.read_text(encoding="utf-8"))
    del written["family"], written["task"]["kind"], written["task"]["max_length"]
    corpus = written["corpus"]
    corpus["majority_accuracy"], corpus["example"] = corpus.pop("baseline")["accuracy"], corpus["example"][0]
    del corpus["guess"]
    config.write_text(json.dumps(written), encoding="utf-8")
    assert train(older, reporter)
    assert_same(whole, older)
    assert summary(older)["baseline"] == summary(whole)["baseline"]
    texts = ["abc", "bcd"]
    np.testing.assert_array_equal(*(FineTuned(path).probabilities(texts) for path in (whole, older)))


@pytest.mark.parametrize("damage", ["missing", "no checkpoint", "weights", "tokenizer", "config"])
def test_a_folder_that_is_damaged(begin, reporter, tmp_path, damage):
    path = begin([0.0], [1])
    if damage != "no checkpoint":
        train(path, reporter)
    folder, run = path, path / "lm-0-seed-1"
    if damage == "missing":
        folder = tmp_path
    elif damage == "weights":
        (run / "checkpoint.safetensors").write_bytes((run / "checkpoint.safetensors").read_bytes()[:-9])
    elif damage == "tokenizer":
        CharTokenizer(LETTERS.upper()).save(run / "tokenizer.json")
    elif damage == "config":
        (run / "config.json").write_text("{}", encoding="utf-8")
    said = {
        "missing": "is not a run folder",
        "no checkpoint": "has no trained run yet: continue it with tinygrad-gpt finetune --resume",
        "weights": "damaged",
        "tokenizer": "is not the tokenizer that this run was started with",
        "config": "config.json is damaged",
    }
    with pytest.raises(UserError, match=said[damage]) as error:
        FineTuned(folder)
    assert "\n" not in str(error.value)
