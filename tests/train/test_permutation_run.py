"""Pre-training of an XLNet: started, stopped, resumed and extended like any other run."""

import dataclasses

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.train.runs import StopsAt, arrays_of, assert_same_arrays, kill_at, rows_of
from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer, load_tokenizer
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT2, GPTConfig, NewWeightsWarning
from tinygrad_gpt.models.xlnet import XLNetConfig
from tinygrad_gpt.models.xlnet_heads import XLNetLMHeadModel, XLNetModel
from tinygrad_gpt.train.any_run import choose_settings, resume, start
from tinygrad_gpt.train.permutation_settings import PermutationSettings, XLNetShape
from tinygrad_gpt.train.trained_model import find_model

SMALL = dict(n_layer=1, n_head=2, n_embd=8, block_size=16, batch_size=4, vocab=100, warmup=2, eval_tokens=200)
TEXT = "".join(
    f"the {animal} sees the {colour} sea number {n}\n"
    for animal in ("fox", "dog", "cat", "owl", "hen", "bee", "cow", "pig")
    for n, colour in enumerate(["red", "blue", "grey"] * 4)
)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "animals.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def settings(corpus):
    def make(**given):
        few = {"corpus": str(corpus), "steps": 6, "log_interval": 2, "checkpoint_interval": 2, "dropout": 0.1}
        return choose_settings("xlnet-tiny", SMALL | few | given)

    return make


def test_a_run_is_an_xlnet_with_its_tokenizer(settings, tmp_path, reporter):
    run = start(settings(), tmp_path / "run")
    assert isinstance(run.model, XLNetLMHeadModel) and run.train(reporter)
    written = run.folder.read_config()
    assert written["task"]["name"] == "permutation-lm" and written["preset"] == "xlnet-tiny"
    config = XLNetConfig(vocab_size=written["vocab_size"], **written["model"])
    assert config == run.model.config and (config.d_model, config.d_inner, config.dropout) == (8, 32, 0.1)
    tokenizer = load_tokenizer(run.folder.tokenizer)
    assert isinstance(tokenizer, XLNetTokenizer) and tokenizer.fingerprint() == written["tokenizer"]
    assert written["corpus"]["path"].endswith("animals.txt")
    assert written["corpus"]["train_tokens"] == len(run.task.train.tokens)
    last = rows_of(run.folder)[-1]
    assert {"train_loss", "val_loss", "accuracy"} <= set(last)
    said = reporter.said.getvalue()
    for guess in run.task.guesses().values():
        assert f" (a guess: {guess:.3f})" in said
    opened = find_model(str(tmp_path / "run"))
    assert opened.kind == "xlnet" and opened.config == config and opened.parameters == run.model.num_parameters()
    assert_same_arrays(opened.load().state_dict(), run.model.state_dict())
    model, _ = tg.load(tmp_path / "run")
    assert run.task.evaluate(model, last=True)["val_loss"] == last["val_loss"]
    assert tg.load(tmp_path / "run").sample("the", 5, seed=1).startswith("the")


@pytest.mark.long
def test_it_learns(settings, tmp_path, reporter):
    """A text of few sentences, below what counting its tokens gives."""
    given = dict(steps=150, lr=1e-2, dropout=0.0, n_layer=2, n_embd=16, eval_interval=0, target_share=0.2)
    run = start(settings(**given), tmp_path / "run")
    run.train(reporter)
    last = rows_of(run.folder)[-1]
    guesses = run.task.guesses()
    assert last["val_loss"] < 0.7 * guesses["val_loss"] and last["accuracy"] > 2 * guesses["accuracy"], last


@pytest.mark.long
def test_a_stopped_run_ends_as_one_that_was_never_stopped(settings, tmp_path, reporter):
    whole = start(settings(), tmp_path / "whole")
    assert whole.train(reporter)
    stopped = start(settings(), tmp_path / "stopped")
    assert not stopped.train(StopsAt(3))
    again = resume(tmp_path / "stopped")
    assert again.trainer.step == 3 and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))
    assert rows_of(whole.folder) == rows_of(again.folder)


@pytest.mark.long
def test_killed_before_and_after_its_first_checkpoint(settings, tmp_path, reporter):
    whole = start(settings(), tmp_path / "whole")
    assert whole.train(reporter)
    start(settings(), tmp_path / "killed").close()  # at step 0
    for step in (1, 5):
        kill_at(step, tmp_path / "killed")
    again = resume(tmp_path / "killed")
    assert again.trainer.step == 4 and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))


@pytest.mark.long
def test_parts_of_a_step_and_recomputation_change_only_rounding(settings, tmp_path, reporter):
    def weights(name, **given):
        run = start(settings(dropout=0.0, **given), tmp_path / name)
        run.train(reporter)
        return arrays_of(run.folder)["model.transformer.layers.0.attention.kv.weight"]

    whole = weights("whole")
    np.testing.assert_allclose(weights("parts", batch_size=1, accumulate=4), whole, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(weights("again", recompute=True), whole)


def test_more_steps_extend_a_run(settings, tmp_path, reporter):
    start(settings(), tmp_path / "run").train(reporter)
    run = resume(tmp_path / "run", given={"steps": 9}, say=reporter.note)
    assert "extended from 6 to 9 steps, at step 6" in reporter.said.getvalue()
    assert run.trainer.step == 6 and run.train(reporter) and run.trainer.step == 9


def test_what_a_resumed_run_keeps(settings, tmp_path, corpus):
    start(settings(), tmp_path / "run").close()
    with pytest.raises(UserError, match="--n-layer is 1, not 2; leave it out"):
        resume(tmp_path / "run", given={"n_layer": 2})
    with pytest.raises(UserError, match=r"--target-share is 0\.166, not 0\.3"):
        resume(tmp_path / "run", given={"target_share": 0.3})
    with pytest.raises(UserError, match="--positions is not a setting of an XLNet"):
        resume(tmp_path / "run", given={"positions": "none"})
    run = resume(tmp_path / "run", given={"log_interval": 1, "recompute": True})
    assert run.model.recompute
    run.close()
    corpus.write_text(TEXT.replace("grey", "gray"), encoding="utf-8")
    with pytest.raises(UserError, match=r"the corpus .* has changed since this run was started"):
        resume(tmp_path / "run")


def test_every_setting_of_the_shape_reaches_the_model_and_comes_back():
    given = dict(n_layer=3, n_head=2, n_embd=16, n_inner=20, activation="gelu_tanh", dropout=0.2)
    given |= dict(layer_norm_epsilon=1e-6, initializer_range=0.07)
    assert {*given} == {field.name for field in dataclasses.fields(XLNetShape)}
    chosen = choose_settings("xlnet-tiny", given | {"block_size": 31})
    assert isinstance(chosen, PermutationSettings) and chosen.window == 31
    assert given.items() <= chosen.values().items()
    config = chosen.model_config(11)
    assert config.ff_activation == "gelu_new" and config.initializer_range == 0.07 and config.d_inner == 20
    assert XLNetLMHeadModel(config).num_parameters() == PermutationSettings.count(config)


# --- from a trained model ---------------------------------------------------------------------------------------------


@pytest.mark.long
def test_from_a_run_with_its_weights_its_shape_and_its_tokenizer(settings, tmp_path, reporter):
    first = start(settings(), tmp_path / "first")
    first.train(reporter)
    given = {"from_": str(tmp_path / "first"), "corpus": settings().task.corpus, "steps": 3, "dropout": 0.2}
    chosen = choose_settings("xlnet-tiny", given | {"block_size": 20})
    assert chosen.window == 20 and chosen.task.tokenizer == "own"
    whole = start(chosen, tmp_path / "whole")
    assert (whole.model.config.d_model, whole.model.config.dropout) == (8, 0.2)
    for p, q in zip(whole.model.parameters(), first.model.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    assert whole.folder.read_config()["from"]["name"] == str(tmp_path / "first")
    assert whole.train(reporter)
    start(chosen, tmp_path / "killed").close()  # before its first checkpoint: the weights are found again
    again = resume(tmp_path / "killed")
    assert again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))
    with pytest.raises(UserError, match="holds an XLNet: name a preset that trains one, such as --preset xlnet-small"):
        choose_settings(None, {"from_": str(tmp_path / "first")})
    with pytest.raises(UserError, match="--n-layer cannot be given with --from: the model that it names has n_layer 1"):
        choose_settings("xlnet-tiny", given | {"n_layer": 2})


def test_from_a_bare_model_of_transformers_with_a_new_head(tmp_path, corpus):
    random_stream.manual_seed(1)
    tokenizer = XLNetTokenizer.train([TEXT], 70)
    bare = XLNetModel(XLNetConfig(80, d_model=8, n_layer=1, n_head=2, d_inner=12))
    bare.save_pretrained(tmp_path / "hf", tokenizer)
    chosen = choose_settings("xlnet-tiny", {"from_": str(tmp_path / "hf"), "corpus": str(corpus)})
    with pytest.warns(NewWeightsWarning, match="has no lm_loss"):
        run = start(chosen, tmp_path / "run")
    np.testing.assert_array_equal(run.model.transformer.token_embedding.weight.data, bare.token_embedding.weight.data)
    assert run.folder.read_config()["vocab_size"] == 80
    run.trainer.train_step()
    run.close()


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "given", "says"),
    [
        ("xlnet-tiny", {"prompt": "a"}, "--prompt is not a setting of an XLNet, as the preset xlnet-tiny makes one"),
        ("xlnet-tiny", {"n_embd": 30, "n_head": 4}, r"n_embd should be a multiple of n_head \(4\), not 30"),
        ("xlnet-tiny", {"n_embd": 9, "n_head": 3}, "n_embd should be even, not 9"),
        ("xlnet-tiny", {"tokenizer": "own"}, "--tokenizer own is the tokenizer of the model that --from names"),
        ("xlnet-tiny", {"block_size": 9}, "block_size should be at least 10, not 9"),
        ("xlnet-tiny", {"target_share": 0.5}, r"target_share should be less than 0\.5"),
        (
            "tiny",
            {"target_share": 0.2},
            r"--target-share is a setting of an XLNet: leave it out, or give --preset \(xl",
        ),
    ],
)
def test_settings_that_cannot_be(preset, given, says):
    with pytest.raises(UserError, match=says):
        choose_settings(preset, given)


def test_tokenizers_that_cannot_be(settings, tmp_path):
    with pytest.raises(UserError, match=r"there is no tokenizer 'unigrem' \(did you mean unigram\?\)"):
        start(settings(tokenizer="unigrem"))
    CharTokenizer("abc").save(tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match=r"a tokenizer of its own kind, and .* holds a CharTokenizer"):
        start(settings(tokenizer=str(tmp_path / "tokenizer.json")))
    assert not (tmp_path / "runs").exists()
    start(settings(), tmp_path / "run").close()
    with pytest.raises(
        UserError, match="holds an XLNet, which reads with an XLNetTokenizer, and the tokenizer is a Ch"
    ):
        find_model(str(tmp_path / "run")).tokenizer_at(str(tmp_path / "tokenizer.json"))


def test_another_kind_of_model_is_refused(settings, tmp_path):
    GPT2(GPTConfig(100, block_size=16, n_layer=1, n_head=2, n_embd=8)).save_pretrained(tmp_path / "gpt")
    with pytest.raises(UserError, match="holds a GPT, which reads a text from left to right: this needs an XLNet"):
        choose_settings("xlnet-tiny", {"from_": str(tmp_path / "gpt")})


def test_a_long_text_is_said_to_take_a_while(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.train.permutation_run.LONG_TEXT", 100)
    said = []
    start(settings(), tmp_path / "run", say=said.append).close()
    assert len(said) == 1 and said[0].startswith("learning a unigram tokenizer from ")
