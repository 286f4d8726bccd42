"""The loop: it learns, it stops where it should, and goes on as if it had not."""

import json
import math
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from tests.train.runs import TIMES, StopsAt, arrays_of, assert_same_arrays, rows_of
from tinygrad_gpt.data import GPT1Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.generate.text import encode_prompt
from tinygrad_gpt.kernels import compiling
from tinygrad_gpt.train import trainer as trainer_module
from tinygrad_gpt.train.any_run import resume, start
from tinygrad_gpt.train.checkpoint import load_checkpoint
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trained_model import open_model
from tinygrad_gpt.train.user_ops import install, load_pair


def test_it_learns(settings, reporter, tmp_path):
    run = start(settings(steps=60, lr=0.02, min_lr=0.002), tmp_path / "run")
    assert run.train(reporter)
    rows = read_metrics(run.folder.metrics)
    assert rows[0]["train_loss"] > 3 and rows[-1]["val_loss"] < 2.7, rows


def test_the_run_folder(settings, reporter, tmp_path):
    run = start(settings(steps=6, log_interval=2, eval_interval=4), tmp_path / "run")
    run.train(reporter)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "config.json",
        "tokenizer.json",
        "metrics.jsonl",
        "loss.png",
        "checkpoint.safetensors",
    }
    rows = read_metrics(run.folder.metrics)
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert [row["step"] for row in rows if "val_loss" in row] == [4, 6]
    for row in rows:
        assert set(row) - {"val_loss", "health"} == {"step", "train_loss", "lr", "grad_norm", *TIMES}
        assert all(math.isfinite(value) for name, value in row.items() if name != "health")
    config = json.loads(run.folder.config.read_text(encoding="utf-8"))
    assert config["train"]["steps"] == 6 and config["model"]["n_embd"] == 8
    assert config["parameters"] == run.model.num_parameters()


def test_rows_hold_the_mean_loss_since_the_row_before(settings, reporter, tmp_path):
    losses = []
    reporter.step = lambda step, loss: losses.append(loss)
    run = start(settings(steps=5, log_interval=2, eval_interval=0), tmp_path / "run")
    run.train(reporter)
    rows = read_metrics(run.folder.metrics)
    expected = [np.mean(losses[0:2]), np.mean(losses[2:4]), losses[4]]
    np.testing.assert_allclose([row["train_loss"] for row in rows], expected)


def test_each_step_has_its_own_learning_rate(settings, reporter, tmp_path):
    run = start(settings(log_interval=1), tmp_path / "run")
    run.train(reporter)
    expected = [trainer_module.learning_rate(step, run.trainer.config) for step in range(6)]
    assert [row["lr"] for row in read_metrics(run.folder.metrics)] == expected and len(set(expected)) == 6


def test_the_last_evaluation_reads_the_whole_validation_text(settings, reporter, tmp_path):
    run = start(settings(eval_tokens=16), tmp_path / "run")
    run.train(reporter)
    total, count = 0.0, 0
    tokens, block = run.task.tokens.val.astype(int), 8
    for first in range(0, len(tokens) - block, block):
        total += run.model.loss(tokens[None, first : first + block], tokens[None, first + 1 : first + 1 + block]).item()
        count += 1
    assert read_metrics(run.folder.metrics)[-1]["val_loss"] == pytest.approx(total / count, rel=1e-6)


def test_looking_at_the_validation_text_changes_nothing(settings, reporter, tmp_path):
    often = start(settings(dropout=0.3, eval_interval=1), tmp_path / "often")
    often.train(reporter)
    never = start(settings(dropout=0.3, eval_interval=0, log_interval=5, checkpoint_interval=0), tmp_path / "never")
    never.train(reporter)
    assert_same_arrays(arrays_of(often.folder), arrays_of(never.folder))


def test_another_seed_is_another_run(settings, reporter, tmp_path):
    weights = []
    for seed in (1, 2):
        run = start(settings(seed=seed), tmp_path / f"run{seed}")
        run.train(reporter)
        weights.append(arrays_of(run.folder)["model.token_embedding.weight"])
    assert not np.array_equal(*weights)


def test_float64_throughout(settings, reporter, tmp_path):
    run = start(settings(dtype="float64"), tmp_path / "run")
    run.train(reporter)
    assert {a.dtype for name, a in arrays_of(run.folder).items() if ".steps." not in name} == {np.dtype(float)}


# --- stopping and going on -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [1, 2, 5])
def test_ctrl_c_saves_and_the_rest_comes_out_the_same(settings, reporter, tmp_path, at):
    chosen = settings(steps=6, log_interval=2, eval_interval=3, dropout=0.2)
    whole = start(chosen, tmp_path / "whole")
    whole.train(reporter)
    stopped = start(chosen, tmp_path / "stopped")
    assert stopped.train(StopsAt(at, reporter.said)) is False
    assert load_checkpoint(stopped.folder.checkpoint)[1]["step"] == at
    assert "finishing this step" in reporter.said.getvalue()
    resumed = resume(tmp_path / "stopped")
    assert resumed.trainer.step == at
    assert resumed.train(reporter) is True
    assert_same_arrays(arrays_of(whole.folder), arrays_of(stopped.folder))
    assert rows_of(whole.folder) == rows_of(stopped.folder)


def test_ctrl_c_twice_stops_at_once_and_loses_nothing(settings, tmp_path):
    run = start(settings(steps=6, checkpoint_interval=2), tmp_path / "run")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.train(StopsAt(5, times=2))
    assert signal.getsignal(signal.SIGINT) is before
    assert load_checkpoint(run.folder.checkpoint)[1]["step"] == 4


def test_time_goes_on_where_it_was(settings, reporter, tmp_path):
    run = start(settings(log_interval=1), tmp_path / "run")
    run.train(StopsAt(3))
    elapsed = [row["elapsed_s"] for row in read_metrics(run.folder.metrics)]
    resume(tmp_path / "run").train(reporter)
    elapsed = [row["elapsed_s"] for row in read_metrics(run.folder.metrics)]
    assert elapsed == sorted(elapsed) and len(elapsed) == 6


def test_resuming_a_finished_run_changes_nothing(settings, reporter, tmp_path):
    run = start(settings(), tmp_path / "run")
    run.train(reporter)
    arrays, rows = arrays_of(run.folder), read_metrics(run.folder.metrics)
    assert resume(tmp_path / "run").train(reporter) is True
    assert_same_arrays(arrays, arrays_of(run.folder))
    assert read_metrics(run.folder.metrics) == rows


def test_resuming_before_the_first_checkpoint_begins_anew(settings, reporter, tmp_path):
    run = start(settings(), tmp_path / "run")
    again = resume(tmp_path / "run")
    assert again.trainer.step == 0
    assert_same_arrays(run.model.state_dict(), again.model.state_dict())


def test_resuming_clears_away_what_was_half_written(settings, reporter, tmp_path):
    run = start(settings(), tmp_path / "run")
    run.train(reporter)
    (tmp_path / "run" / "checkpoint.safetensors.abcd.tmp").write_bytes(b"half")
    resume(tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.tmp"))


def test_resuming_on_a_text_that_has_changed(settings, text, tmp_path):
    start(settings(), tmp_path / "run")
    text.write_text(text.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    with pytest.raises(UserError, match="has changed since this run was started"):
        resume(tmp_path / "run")


# --- what goes wrong -----------------------------------------------------------------------------------------------


def test_a_gradient_that_is_not_finite(settings, reporter, tmp_path):
    (tmp_path / "my_gelu.py").write_text(
        "import numpy as np\n"
        "from tinygrad_gpt.ops.gelu import forward\n"
        "from tinygrad_gpt.ops import gelu\n"
        "calls = 0\n"
        "def backward(dy, saved):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    return (np.full_like(dy, np.nan),) if calls > 3 else gelu.backward(dy, saved)\n",
        encoding="utf-8",
    )
    install([load_pair(tmp_path / "my_gelu.py")])
    run = start(settings(checkpoint_interval=2), tmp_path / "run")
    with pytest.raises(UserError) as caught:
        run.train(reporter)
    message = str(caught.value)
    assert message.startswith("step 4: the loss is ")
    assert "norm nan" in message
    assert "the first gradient that is not finite is that of blocks.0.feed_forward.up." in message
    assert "comes from gelu[my_gelu] in blocks." in message
    assert "the checkpoint of step 2 is kept" in message and "\n" not in message
    arrays, state = load_checkpoint(run.folder.checkpoint)
    assert state["step"] == 2 and all(np.isfinite(a).all() for a in arrays.values())
    assert all(np.isfinite(p.data).all() for p in run.model.parameters()), "the update was made"


def test_a_loss_that_is_not_finite(settings, reporter, tmp_path):
    run = start(settings(), tmp_path / "run")
    run.model.final_norm.weight.data[0] = np.inf
    with pytest.raises(UserError, match=r"step 1: .* the weights final_norm\.weight were not finite before the step"):
        run.train(reporter)
    assert not run.folder.checkpoint.exists()


def test_a_diverging_run_stops_without_a_checkpoint_that_is_not_finite(settings, reporter, tmp_path):
    run = start(settings(lr=1e38, steps=50, checkpoint_interval=1, grad_clip=0.0), tmp_path / "run")
    with pytest.raises(UserError, match="not finite"):
        run.train(reporter)
    if run.folder.checkpoint.exists():
        assert all(np.isfinite(a).all() for a in arrays_of(run.folder).values())


def test_a_full_disk_while_training(settings, reporter, tmp_path, monkeypatch):
    real_save, calls = trainer_module.save_checkpoint, []

    def save(*arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise UserError("cannot write it: No space left on device")
        real_save(*arguments)

    monkeypatch.setattr(trainer_module, "save_checkpoint", save)
    run = start(settings(steps=6, checkpoint_interval=1), tmp_path / "run")
    with pytest.raises(UserError, match="No space left on device; the checkpoint of step 2 is kept"):
        run.train(reporter)
    assert load_checkpoint(run.folder.checkpoint)[1]["step"] == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty"),
        ("x", "too short"),
        ("abc" * 10, r"the validation text has \d+ tokens, but block_size 8 needs at least 9"),
        ("abc" * 3, r"the training text has \d+ tokens"),
    ],
)
def test_a_text_that_is_too_short(settings, text, tmp_path, content, message):
    text.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        start(settings(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_prompt_that_the_model_cannot_read(settings, tmp_path):
    with pytest.raises(UserError, match="'Z'"):
        start(settings(prompt="Z"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_exists(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    start(settings(), tmp_path / "empty")
    with pytest.raises(UserError, match=r"the run folder .*empty exists: continue it with --resume"):
        start(settings(), tmp_path / "empty")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(UserError, match="other exists and is not empty: choose another --out"):
        start(settings(), tmp_path / "other")


def test_runs_are_numbered(settings, text):
    folders = [start(settings()).folder.path for _ in range(2)]
    assert [folder.as_posix() for folder in folders] == ["runs/text-1", "runs/text-2"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"preset": "tiny"}'])
def test_a_damaged_config(settings, tmp_path, content):
    start(settings(), tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        RunFolder(tmp_path / "run").read_config()


# --- what is left to use -------------------------------------------------------------------------------------------


def test_a_trained_run_opens_with_its_weights(settings, reporter, tmp_path):
    run = start(settings(), tmp_path / "run")
    run.train(reporter)
    _, tokenizer, model = open_model(tmp_path / "run")
    assert_same_arrays(run.model.state_dict(), model.state_dict())
    assert not model.training
    assert tokenizer.decode(tokenizer.encode("fox")) == "fox"


def test_the_sample_is_the_same_each_time_and_leaves_the_model_in_training(settings, reporter, tmp_path):
    run = start(settings(sample_tokens=30, prompt="the"), tmp_path / "run")
    run.train(reporter)
    texts = ["".join(run.task.sample(run.model)) for _ in range(2)]
    assert texts[0] == texts[1] and texts[0].startswith("the") and len(texts[0]) == 33
    assert run.model.training


def test_a_text_without_line_ends_has_a_sample_too(settings, text, reporter, tmp_path):
    text.write_text("abcdefg " * 60, encoding="utf-8")
    run = start(settings(), tmp_path / "run")
    assert len("".join(run.task.sample(run.model))) == 5


def test_a_bpe_run(settings, reporter, tmp_path):
    pytest.importorskip("tokenizers")
    run = start(settings(tokenizer="bpe", vocab=270), tmp_path / "run")
    run.train(reporter)
    assert run.model.config.vocab_size == 270
    again = start(settings(tokenizer=str(run.folder.tokenizer)), tmp_path / "again")
    assert again.task.tokenizer.fingerprint() == run.task.tokenizer.fingerprint()
    with pytest.raises(UserError, match="there is no tokenizer 'frob': expected char, bpe, gpt1, own, or the path"):
        start(settings(tokenizer="frob"), tmp_path / "third")


def test_a_gpt1_run(settings, reporter, tmp_path):
    """GPT-1's tokenizer has no line end to begin a sample with."""
    pytest.importorskip("tokenizers")
    run = start(settings(tokenizer="gpt1", vocab=256, norm="post"), tmp_path / "run")
    run.train(reporter)
    assert isinstance(run.task.tokenizer, GPT1Tokenizer)
    assert run.model.config.vocab_size == run.task.tokenizer.vocab_size <= 256
    assert "".join(run.task.sample(run.model))
    with pytest.raises(UserError, match="this model has no token for the prompt ' '"):
        encode_prompt(run.task.tokenizer, " ")


def test_the_speed_leaves_out_steps_that_compile(settings, reporter, tmp_path, monkeypatch):
    now, real = 0.0, trainer_module.Trainer.train_step

    def step(trainer):
        nonlocal now
        now += 0.5
        if trainer.step == 1:
            now += 60.0
            compiling.tell()
        return real(trainer)

    monkeypatch.setattr(trainer_module.Trainer, "train_step", step)
    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(perf_counter=lambda: now))
    run = start(settings(steps=6, log_interval=3), tmp_path / "run")
    run.train(reporter)
    speeds = [row["tokens_per_s"] for row in read_metrics(run.folder.metrics)]
    assert speeds == [2 * 8 / 0.5] * 2
    run = start(settings(steps=2, log_interval=1), tmp_path / "alone")
    run.train(reporter)
    speeds = [row["tokens_per_s"] for row in read_metrics(run.folder.metrics)]
    assert speeds == [32.0, round(16 / 60.5, 1)], "there is no other step to go by"
