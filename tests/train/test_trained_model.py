"""Trained models by place, and runs that go on from them."""

import json
import shutil

import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, GPT2, GPTConfig
from tinygrad_gpt.models.hf.pretrained import save_pretrained
from tinygrad_gpt.nn import Block
from tinygrad_gpt.train.any_run import choose_settings, resume, start
from tinygrad_gpt.train.checkpoint import load_checkpoint
from tinygrad_gpt.train.saved_runs import TrainedRun
from tinygrad_gpt.train.trained_model import HuggingFaceModel, find_model, open_model


@pytest.fixture
def tokenizer(text):
    return CharTokenizer(text.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path, tokenizer):
    """A Hugging Face folder: 12 positions, and 3 tokens more than the tokenizer has."""
    random_stream.manual_seed(7)
    shape = GPTConfig(
        vocab_size=tokenizer.vocab_size + 3, block_size=12, n_layer=2, n_head=2, n_embd=8, n_inner=20, dropout=0.1
    )
    save_pretrained(GPT2(shape), tmp_path / "hf", tokenizer)
    return tmp_path / "hf"


@pytest.fixture
def chosen(text, folder):
    """Settings of a short run from that folder; `chosen(steps=3)` changes some."""

    def make(**given):
        small = {"corpus": str(text), "from_": str(folder), "steps": 4, "batch_size": 2, "sample_tokens": 5}
        return choose_settings(None, small | given)

    return make


def config_of(run):
    return json.loads(run.folder.config.read_text(encoding="utf-8"))


def test_what_kind_of_place_it_is(settings, folder, tmp_path):
    run = start(settings(), tmp_path / "run")
    assert isinstance(find_model(str(run.folder.path)), TrainedRun)
    assert isinstance(find_model(str(folder)), HuggingFaceModel)
    with pytest.raises(UserError, match=r"nowhere.*"):
        find_model(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"is not a run folder: it has no config\.json"):
        find_model(str(tmp_path / "empty"))


def test_a_run_begins_with_the_weights_of_the_folder(chosen, folder, tmp_path):
    run = start(chosen(), tmp_path / "run")
    theirs = GPT2.from_pretrained(folder)
    assert run.model.config == theirs.config
    for (name, p), (_, q) in zip(run.model.named_parameters(), theirs.named_parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data, err_msg=name)
    record = config_of(run)["from"]
    assert record["name"] == str(folder) and set(record["sha256"]) == {"config.json", "model.safetensors"}
    assert config_of(run)["vocab_size"] == theirs.config.vocab_size


def test_it_learns_and_is_self_contained(chosen, folder, reporter, tmp_path):
    run = start(chosen(steps=30, lr=1e-2), tmp_path / "run")
    first = run.trainer.evaluate()["val_loss"]
    run.train(reporter)
    shutil.rmtree(folder)
    source, own, model = open_model(str(tmp_path / "run"))
    assert run.trainer.evaluate()["val_loss"] < first - 0.3
    for p, q in zip(run.model.parameters(), model.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert source.settings.task == run.task.config and source.settings.train == run.trainer.config
    assert own.decode(own.encode("fox")) == "fox"
    resumed = resume(tmp_path / "run")
    assert resumed.trainer.step == 30 and resumed.model.config == run.model.config


def test_dropouts_are_those_that_were_chosen(chosen, tmp_path):
    run = start(chosen(dropout=0.4), tmp_path / "run")
    assert run.model.dropout.p == 0.4 and run.model.blocks[1].attention.dropout == 0.4
    assert run.model.blocks[0].dropout.p == 0.4


@pytest.mark.long
def test_a_run_goes_on_from_a_run(settings, reporter, tmp_path):
    first = start(settings(), tmp_path / "first")
    first.train(reporter)
    second = start(choose_settings(None, {"corpus": first.task.config.corpus, "from_": str(first.folder.path)}))
    for p, q in zip(first.model.parameters(), second.model.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert second.trainer.step == 0 and second.trainer.optimizer.steps["final_norm.weight"] == 0
    assert second.task.tokenizer.fingerprint() == first.task.tokenizer.fingerprint()


def test_in_float64(chosen, reporter, tmp_path):
    run = start(chosen(dtype="float64"), tmp_path / "run")
    assert {p.dtype for p in run.model.parameters()} == {np.dtype(float)}
    run.train(reporter)


def test_resuming_before_the_first_checkpoint_begins_with_the_same_weights(chosen, folder, tmp_path):
    run = start(chosen(), tmp_path / "run")
    again = resume(tmp_path / "run")
    for p, q in zip(run.model.parameters(), again.model.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    random_stream.manual_seed(8)
    save_pretrained(GPT2(run.model.config), folder)
    with pytest.raises(
        UserError, match=r"the model .*hf has changed since this run was started: put it back, or start a new run"
    ):
        resume(tmp_path / "run")


def test_a_resumed_run_needs_its_source_no_more(chosen, folder, reporter, tmp_path):
    whole = start(chosen(dropout=0.2), tmp_path / "whole")
    whole.train(reporter)
    stopped = start(chosen(dropout=0.2), tmp_path / "stopped")
    stopped.model.train()
    stopped.trainer.train_step()
    stopped.trainer.save()
    shutil.rmtree(folder)
    resume(tmp_path / "stopped").train(reporter)
    expected, arrays = (load_checkpoint(run.folder.checkpoint)[0] for run in (whole, stopped))
    for name in expected:
        np.testing.assert_array_equal(arrays[name], expected[name], err_msg=name)


def test_more_tokens_than_the_model_knows(chosen, tokenizer, tmp_path):
    CharTokenizer(tokenizer.characters + "0123").save(tmp_path / "more.json")
    with pytest.raises(UserError, match=rf"the tokenizer has {tokenizer.vocab_size + 4} tokens, but .*hf only"):
        start(chosen(tokenizer=str(tmp_path / "more.json")), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_tokenizer(chosen, folder, tmp_path):
    (folder / "tokenizer.json").rename(tmp_path / "elsewhere.json")
    with pytest.raises(UserError, match="hf has no tokenizer: give one with --tokenizer PATH"):
        start(chosen(), tmp_path / "run")
    run = start(chosen(tokenizer=str(tmp_path / "elsewhere.json")), tmp_path / "run")
    assert run.task.tokenizer.decode(run.task.tokenizer.encode("fox")) == "fox"


def test_a_checkpoint_that_lacks_a_tensor(chosen, folder, tmp_path):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"n_layer": 3}), encoding="utf-8")
    with pytest.raises(UserError, match=r"transformer\.h\.2\.ln_1") as caught:
        start(chosen(), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


# --- models without learned positions, and models of another kind ----------------------------------------------------


def test_a_run_made_before_there_was_a_choice_of_positions(settings, reporter, tmp_path):
    run = start(settings(), tmp_path / "run")
    run.train(reporter)
    written = config_of(run)
    assert written["model"].pop("positions") == "learned"
    run.folder.config.write_text(json.dumps(written), encoding="utf-8")
    for p, q in zip(run.model.parameters(), open_model(str(tmp_path / "run"))[2].parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_a_run_without_learned_positions(settings, reporter, tmp_path):
    run = start(settings(positions="none"), tmp_path / "run")
    run.train(reporter)
    _, tokenizer, model = open_model(str(tmp_path / "run"))
    assert model.position_embedding is None
    with pytest.raises(UserError, match="cannot be saved as gpt2, which has positions = 'learned', not 'none'"):
        save_pretrained(model, tmp_path / "hf", tokenizer)
    assert not (tmp_path / "hf").exists()


class Another(Block):
    """A block of the user's."""


class Scaled(GPT):
    def features(self, *inputs, **settings):
        return super().features(*inputs, **settings) * 2.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: model.blocks.__setitem__(0, Another(8, 2)), r"GPT2 .* a part of its own \(Another\)"),
        (lambda model: setattr(model.blocks[0], "attention", Another(8, 2)), r"a part of its own \(Another\)"),
        (lambda model: setattr(model, "final_norm", Scaled(model.config)), r"a part of its own \(Scaled\)"),
        (
            lambda model: setattr(model, "__class__", Scaled),
            "Scaled has no Hugging Face layout: it has features of its",
        ),
    ],
)
def test_what_transformers_would_compute_differently_is_not_written(change, said, tmp_path):
    model = GPT2(GPTConfig(11, 4, 1, 2, 8))
    change(model)
    with pytest.raises(UserError, match=said):
        save_pretrained(model, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
