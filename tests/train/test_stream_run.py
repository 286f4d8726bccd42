"""Training of a Transformer-XL: started, stopped, resumed and extended like any other run, its memory included."""

import dataclasses
import json

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.train.conftest import VERSE
from tests.train.runs import StopsAt, arrays_of, assert_same_arrays, kill_at, rows_of
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.transformer_xl import TransformerXL, TransformerXLConfig
from tinygrad_gpt.train.any_run import choose_settings, resume, start
from tinygrad_gpt.train.checkpoint import load_checkpoint, save_checkpoint
from tinygrad_gpt.train.stream_settings import StreamSettings, TransformerXLShape
from tinygrad_gpt.train.trained_model import find_model

SMALL = dict(n_layer=2, n_head=2, n_embd=8, window=8, memory=12, clamp=-1, warmup=2, eval_tokens=64, sample_tokens=5)
SMALL |= dict(batch_size=4, dropout=0.1)
EPOCH = 31  # steps: 1008 characters to train on


@pytest.fixture
def settings(text):
    def make(**given):
        few = dict(corpus=str(text), steps=6, log_interval=2, eval_interval=3, checkpoint_interval=2)
        return choose_settings("transformer-xl-char", SMALL | few | given)

    return make


@pytest.mark.long
def test_a_run_is_a_transformer_xl_with_its_tokenizer(settings, tmp_path, reporter):
    run = start(settings(steps=60, lr=0.02, eval_interval=20, dropout=0.0), tmp_path / "run")
    assert isinstance(run.model, TransformerXL) and run.train(reporter)
    written = run.folder.read_config()
    assert written["task"]["name"] == "stream" and written["preset"] == "transformer-xl-char"
    config = TransformerXLConfig(vocab_size=written["vocab_size"], **written["model"])
    assert config == run.model.config and (config.d_model, config.mem_len) == (8, 12)
    assert written["facts"]["evaluated"] == {"window": 8, "memory": 12, "clamp": -1}
    rows = rows_of(run.folder)
    assert rows[0]["train_loss"] > 2.9 and rows[-1]["val_loss"] < 2.5, rows
    assert rows[-1]["bits_per_character"] == pytest.approx(rows[-1]["val_loss"] / np.log(2))
    assert "bits_per_character" in reporter.said.getvalue()
    opened = find_model(str(tmp_path / "run"))
    assert opened.kind == "transformer-xl" and opened.config == config
    assert_same_arrays(opened.load().state_dict(), run.model.state_dict())
    model, tokenizer = tg.load(tmp_path / "run")
    assert run.task.evaluate(model, last=True)["val_loss"] == rows[-1]["val_loss"]
    assert len(tg.load(tmp_path / "run").sample("the", 60)) == 63 and tokenizer.vocab_size == config.vocab_size


# --- stopping and going on -------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("at", "given"),
    [
        (1, {}),
        (3, {"accumulate": 2, "batch_size": 2}),
        (5, {"average": 2, "average_interval": 2, "recompute": True}),
        (4, {"memory": 0}),
        (EPOCH - 1, {"steps": EPOCH + 3}),  # before the last segment of an epoch, ...
        (EPOCH, {"steps": EPOCH + 3}),  # ... and after it
    ],
    ids=str,
)
def test_a_stopped_run_ends_as_one_that_was_never_stopped(settings, tmp_path, reporter, at, given):
    whole = start(settings(**given), tmp_path / "whole")
    assert whole.train(reporter)
    stopped = start(settings(**given), tmp_path / "stopped")
    assert not stopped.train(StopsAt(at))
    kept = arrays_of(stopped.folder)["task.memory.1"]
    assert kept.shape == (4, min(8 * at, given.get("memory", 12)), 8)
    again = resume(tmp_path / "stopped")
    assert again.trainer.step == at and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))
    assert rows_of(whole.folder) == rows_of(again.folder)


@pytest.mark.long
def test_killed_before_and_after_its_first_checkpoint(settings, tmp_path, reporter):
    whole = start(settings(steps=7), tmp_path / "whole")
    assert whole.train(reporter)
    start(settings(steps=7), tmp_path / "killed").close()  # at step 0
    for step in (1, 5):
        kill_at(step, tmp_path / "killed")
    again = resume(tmp_path / "killed")
    assert again.trainer.step == 4 and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))
    assert rows_of(whole.folder) == rows_of(again.folder)


@pytest.mark.long
def test_the_memory_is_part_of_what_goes_on(settings, tmp_path, reporter):
    """The tests above can fail: without it, a run ends elsewhere."""
    whole = start(settings(), tmp_path / "whole")
    assert whole.train(reporter)
    assert not start(settings(), tmp_path / "stopped").train(StopsAt(3))
    again = resume(tmp_path / "stopped")
    again.task.load_state({}, again.model, 0)
    assert again.train(reporter)
    assert not np.array_equal(arrays_of(whole.folder)["task.memory.1"], arrays_of(again.folder)["task.memory.1"])


@pytest.mark.long
def test_looking_at_the_validation_text_changes_nothing(settings, reporter, tmp_path):
    """X-8."""
    often = start(settings(eval_interval=1, log_interval=1, steps=55), tmp_path / "often")  # with a health check
    often.train(reporter)
    never = settings(eval_interval=0, log_interval=55, checkpoint_interval=0, health=False, steps=55)
    never = start(never, tmp_path / "never")
    never.train(reporter)
    assert_same_arrays(arrays_of(often.folder), arrays_of(never.folder))


@pytest.mark.long
def test_recomputation_and_parts_change_nothing(settings, tmp_path, reporter):
    found = []
    for given in ({}, {"recompute": True}, {"batch_size": 2, "accumulate": 2, "dropout": 0.0}, {"dropout": 0.0}):
        run = start(settings(**given), tmp_path / str(len(found)))
        assert run.model.recompute is given.get("recompute", False) and run.train(reporter)
        found.append(arrays_of(run.folder))
    assert_same_arrays(*found[:2])
    for name, a in found[2].items():
        np.testing.assert_allclose(a, found[3][name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_float64_throughout(settings, reporter, tmp_path):
    run = start(settings(dtype="float64"), tmp_path / "run")
    run.train(reporter)
    assert {a.dtype for name, a in arrays_of(run.folder).items() if ".steps." not in name} == {np.dtype(float)}


def test_weights_of_the_end_leave_the_memory_as_it_was(settings, reporter, tmp_path):
    """An extended run goes on from the weights as trained, and from what these have read."""
    start(settings(average=2, average_interval=1), tmp_path / "run").train(reporter)
    arrays = arrays_of(resume(tmp_path / "run").folder)
    plain = start(settings(), tmp_path / "plain")
    plain.train(reporter)
    for i in range(2):
        np.testing.assert_array_equal(arrays[f"task.memory.{i}"], arrays_of(plain.folder)[f"task.memory.{i}"])
    assert not np.array_equal(arrays["model.head.bias"], arrays["trained.head.bias"])


@pytest.mark.long
def test_more_steps_extend_a_run(settings, tmp_path, reporter):
    start(settings(schedule="constant"), tmp_path / "run").train(reporter)
    run = resume(tmp_path / "run", given={"steps": 9}, say=reporter.note)
    assert "extended from 6 to 9 steps, at step 6: the same as a run of 9 steps" in reporter.said.getvalue()
    assert run.train(reporter)
    whole = start(settings(schedule="constant", steps=9), tmp_path / "whole")
    whole.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(run.folder))


def test_a_memory_of_another_run(settings, tmp_path, reporter):
    run = start(settings(), tmp_path / "run")
    run.train(StopsAt(3))
    arrays, state = load_checkpoint(run.folder.checkpoint)
    memory = arrays["task.memory.0"]
    without = {name: a for name, a in arrays.items() if not name.startswith("task.")}
    right = r"does not fit this run \(expected float32 of shape \(4, 12, 8\) as memory.0 \(B, M, C\) after step 3, got "
    for wrong, says in (
        (arrays | {"task.memory.0": memory[:2]}, right + r"float32 of shape \(2, 12, 8\)\)"),
        (arrays | {"task.memory.0": memory[..., :4]}, right + r"float32 of shape \(4, 12, 4\)\)"),
        (arrays | {"task.memory.0": memory.astype(float)}, right + "float64"),
        (arrays | {"task.memory.2": memory}, r"\(expected nothing as memory.2 "),
        (without, right + "nothing"),
    ):
        save_checkpoint(run.folder.checkpoint, wrong, state)
        with pytest.raises(UserError, match=says):
            resume(tmp_path / "run")


def test_a_memory_that_the_task_does_not_keep(text, tmp_path, reporter):
    run = start(
        choose_settings("tiny", {"corpus": str(text), "steps": 4, "n_embd": 8, "block_size": 8}), tmp_path / "run"
    )
    run.train(StopsAt(2))
    arrays, state = load_checkpoint(run.folder.checkpoint)
    save_checkpoint(run.folder.checkpoint, arrays | {"task.memory.0": np.zeros((1, 1, 1))}, state)
    with pytest.raises(
        UserError, match=r"does not fit this run \(the task next-token keeps nothing, but it holds memory"
    ):
        resume(tmp_path / "run")


def test_a_loss_that_is_not_finite_is_found_with_the_memory_that_the_step_had(settings, tmp_path, reporter):
    run = start(settings(checkpoint_interval=2, grad_clip=0.0), tmp_path / "run")
    run.train(StopsAt(2))
    run = resume(tmp_path / "run")
    run.task.load_state({name: np.full_like(a, np.inf) for name, a in run.task.state().items()}, run.model, 2)
    with pytest.raises(UserError, match=r"step 3: the loss is nan .* the checkpoint of step 2 is kept"):
        run.train(reporter)


# --- settings --------------------------------------------------------------------------------------------------------


def test_what_a_resumed_run_keeps(settings, tmp_path, text):
    start(settings(), tmp_path / "run").close()
    for given, says in (
        ({"memory": 20}, "--memory is 12, not 20; leave it out"),
        ({"window": 9}, "--window is 8, not 9"),
        ({"block_size": 9}, "--block-size is not a setting of a Transformer-XL"),
    ):
        with pytest.raises(UserError, match=says):
            resume(tmp_path / "run", given=given)
    start(settings(same_length=True), tmp_path / "same").close()
    with pytest.raises(UserError, match="eval_memory should be at least 1 with same_length"):
        resume(tmp_path / "same", given={"eval_memory": 0})
    run = resume(tmp_path / "run", given={"eval_memory": 30, "eval_window": 4, "eval_tokens": 20, "recompute": True})
    assert run.model.recompute and run.task.config.eval_memory == 30
    run.close()
    text.write_text(VERSE * 21, encoding="utf-8")
    with pytest.raises(UserError, match="has changed since this run was started"):
        resume(tmp_path / "run")


def test_a_damaged_config_is_one_line(settings, tmp_path):
    run = start(settings(), tmp_path / "run")
    run.close()
    written = run.folder.read_config()
    for part, name, value, says in (
        ("model", "d_model", 9, r"is damaged: d_model should be a multiple of n_head \(2\), not 9"),
        ("model", "rotary", True, "was made by another version of tinygrad-gpt"),
        ("model", "mem_len", 12.5, "is damaged: mem_len should be int, not 12.5"),
        ("task", "window", 0, "is damaged: window should be at least 1"),
    ):
        run.folder.config.write_text(json.dumps(written | {part: written[part] | {name: value}}), encoding="utf-8")
        with pytest.raises(UserError, match=says):
            resume(tmp_path / "run")


def test_every_setting_of_the_shape_reaches_the_model_and_comes_back():
    given = dict(n_layer=3, n_head=2, n_embd=16, n_inner=20, memory=9, clamp=15, same_length=True, norm="pre")
    given |= dict(dropout=0.2, attn_pdrop=0.3, layer_norm_epsilon=1e-6, initializer_range=0.07)
    assert {*given} == {field.name for field in dataclasses.fields(TransformerXLShape)}
    chosen = choose_settings("transformer-xl-char", given)
    assert isinstance(chosen, StreamSettings) and given.items() <= chosen.values().items()
    expected = TransformerXLConfig(
        11,
        n_layer=3,
        n_head=2,
        d_model=16,
        d_inner=20,
        mem_len=9,
        clamp_len=15,
        same_length=True,
        pre_lnorm=True,
        dropout=0.2,
        dropatt=0.3,
        layer_norm_epsilon=1e-6,
        init_std=0.07,
    )
    assert chosen.model_config(11) == expected


@pytest.mark.long
def test_from_a_run_with_its_weights_and_another_memory(settings, tmp_path, reporter, text):
    first = start(settings(), tmp_path / "first")
    first.train(reporter)
    given = {"from_": str(tmp_path / "first"), "corpus": str(text), "steps": 3, "dropout": 0.2, "memory": 20}
    chosen = choose_settings("transformer-xl-char", given | {"window": 8, "batch_size": 4, "clamp": 19, "warmup": 1})
    assert chosen.task.tokenizer == "own"
    whole = start(chosen, tmp_path / "whole")
    assert whole.model.config == dataclasses.replace(first.model.config, dropout=0.2, mem_len=20, clamp_len=19)
    assert_same_arrays(whole.model.state_dict(), first.model.state_dict())
    assert whole.train(reporter)
    start(chosen, tmp_path / "killed").close()
    again = resume(tmp_path / "killed")
    assert again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))
    with pytest.raises(UserError, match=r"--block-size is not a setting of a Transformer-XL, .*: give --window"):
        choose_settings("transformer-xl-char", given | {"block_size": 8})
    with pytest.raises(UserError, match="--n-layer cannot be given with --from: the model that it names has n_layer 2"):
        choose_settings("transformer-xl-char", given | {"n_layer": 2})
    with pytest.raises(
        UserError, match="a Transformer-XL: name a preset that trains one, such as --preset transformer-xl"
    ):
        choose_settings(None, given)


@pytest.mark.parametrize(
    ("preset", "given", "says"),
    [
        ("transformer-xl-char", {"memory": -1}, "memory should be at least 0, not -1"),
        ("transformer-xl-char", {"clamp": -2}, "clamp should be at least -1, not -2"),
        ("transformer-xl-char", {"clamp": 0}, "clamp should be -1, or at least 1, not 0"),
        (
            "transformer-xl-char",
            {"same_length": True, "eval_memory": 0},
            "eval_memory should be at least 1 with same_length",
        ),
        ("transformer-xl-char", {"eval_memory": -1}, "eval_memory should be at least 0, not -1"),
        ("transformer-xl-char", {"window": 0}, "window should be at least 1, not 0"),
        ("transformer-xl-char", {"same_length": True, "memory": 0}, "memory should be at least 1 with same_length"),
        ("transformer-xl-char", {"n_embd": 30, "n_head": 4}, r"n_embd should be a multiple of n_head \(4\), not 30"),
        ("transformer-xl-char", {"n_embd": 9, "n_head": 3}, "n_embd should be even, not 9: a sine and a cosine of"),
        ("transformer-xl-char", {"block_size": 8}, "--block-size is not a setting of a Transformer-XL, as the preset"),
        (
            "transformer-xl-char",
            {"tokenizer": "own"},
            "--tokenizer own is the tokenizer of the model that --from names",
        ),
        ("tiny", {"memory": 8}, r"--memory is a setting of a Transformer-XL: leave it out, or give --preset \(transf"),
        ("transformer-toy", {"eval_memory": 8}, "--eval-memory is not a setting of a Transformer,"),
    ],
)
def test_settings_that_cannot_be(preset, given, says):
    with pytest.raises(UserError, match=says):
        choose_settings(preset, given)


def test_a_window_longer_than_a_stream(settings, tmp_path):
    with pytest.raises(UserError, match="has 1008 tokens: too few for 4 streams of it with a window of 300 each"):
        start(settings(window=300), tmp_path / "run")
    assert not (tmp_path / "run").exists()
