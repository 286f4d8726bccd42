"""Pre-training of a BERT: started, stopped, resumed and extended like any other run."""

import dataclasses
import json
import os

import numpy as np
import pytest

from tests.train.runs import StopsAt, arrays_of, assert_same_arrays, kill_at
from tinygrad_gpt import random_stream
from tinygrad_gpt.data import WordPieceTokenizer, load_tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import NewWeightsWarning
from tinygrad_gpt.models.bert import BertConfig, BertForPreTraining, BertModel
from tinygrad_gpt.train.any_run import choose_settings, resume, start
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.pretraining import Pretraining
from tinygrad_gpt.train.pretraining_settings import BertShape, PretrainingSettings

SMALL = dict(n_layer=1, n_head=2, n_embd=8, block_size=24, batch_size=4, vocab=150, warmup=2, eval_tokens=200)
TEXT = "\n\n".join(
    "\n".join(f"the {animal} sees the {colour} sea number {n}" for n, colour in enumerate(["red", "blue", "grey"] * 2))
    for animal in ("fox", "dog", "cat", "owl", "hen", "bee", "cow", "pig")
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
        return choose_settings("bert-tiny", SMALL | few | given)

    return make


def test_a_run_is_a_bert_with_its_tokenizer(settings, tmp_path, reporter):
    run = start(settings(), tmp_path / "run")
    assert isinstance(run.model, BertForPreTraining) and run.train(reporter)
    written = run.folder.read_config()
    assert written["task"]["name"] == "masked-lm" and written["preset"] == "bert-tiny"
    config = BertConfig(vocab_size=written["vocab_size"], **written["model"])
    assert (config.hidden_size, config.intermediate_size, config.hidden_dropout_prob) == (8, 32, 0.1)
    assert config.attention_probs_dropout_prob == 0.1
    tokenizer = load_tokenizer(run.folder.tokenizer)
    assert isinstance(tokenizer, WordPieceTokenizer) and tokenizer.fingerprint() == written["tokenizer"]
    assert written["corpus"]["path"].endswith("animals.txt")
    assert [written["corpus"][f"{part}_documents"] for part in ("train", "held_out")] == [6, 2]
    last = read_metrics(run.folder.metrics)[-1]
    names = {"val_loss", "val_masked_loss", "val_next_sentence_loss", "masked_accuracy", "next_sentence_accuracy"}
    assert names | {"masked_loss", "next_sentence_loss"} <= set(last)
    said = reporter.said.getvalue()
    for name, guess in run.task.guesses().items():
        assert name in said and f" (a guess: {guess:.3f})" in said


@pytest.mark.long
def test_a_stopped_run_ends_as_one_that_was_never_stopped(settings, tmp_path, reporter):
    whole = start(settings(), tmp_path / "whole")
    assert whole.train(reporter)
    stopped = start(settings(), tmp_path / "stopped")
    assert not stopped.train(StopsAt(3))
    again = resume(tmp_path / "stopped")
    assert again.trainer.step == 3 and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))


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
        return arrays_of(run.folder)["model.bert.blocks.0.attention.qkv.weight"]

    whole = weights("whole")
    np.testing.assert_allclose(weights("parts", batch_size=1, accumulate=4), whole, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(weights("again", recompute=True), whole)


@pytest.mark.long
def test_more_steps_extend_a_run(settings, tmp_path, reporter):
    start(settings(), tmp_path / "run").train(reporter)
    run = resume(tmp_path / "run", given={"steps": 9}, say=reporter.note)
    assert "extended from 6 to 9 steps, at step 6" in reporter.said.getvalue()
    assert run.trainer.step == 6 and run.train(reporter) and run.trainer.step == 9
    with pytest.raises(UserError, match="a run can be extended, not shortened"):
        resume(tmp_path / "run", given={"steps": 8})


def test_more_steps_for_a_run_without_a_checkpoint(settings, tmp_path, reporter):
    start(settings(), tmp_path / "run").train(reporter)
    resume(tmp_path / "run", given={"steps": 8}).close()
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    run = resume(tmp_path / "run", given={"steps": 9}, say=reporter.note)
    said = "extended from 8 to 9 steps, at step 0: the same as a run of 9 steps from the start"
    assert said in reporter.said.getvalue() and run.trainer.step == 0
    assert [entry["at"] for entry in run.folder.read_config()["extensions"]] == [0]
    assert run.train(reporter)


def test_what_a_resumed_run_keeps(settings, tmp_path, corpus):
    start(settings(), tmp_path / "run").close()
    with pytest.raises(UserError, match="--n-layer is 1, not 2; leave it out"):
        resume(tmp_path / "run", given={"n_layer": 2})
    with pytest.raises(UserError, match=r"--mask-share is 0\.15, not 0\.3"):
        resume(tmp_path / "run", given={"mask_share": 0.3})
    with pytest.raises(UserError, match="--positions is not a setting of a BERT"):
        resume(tmp_path / "run", given={"positions": "none"})
    run = resume(tmp_path / "run", given={"log_interval": 1, "recompute": True})
    assert run.model.recompute
    run.close()
    corpus.write_text(TEXT.replace("grey", "gray"), encoding="utf-8")
    with pytest.raises(UserError, match=r"the corpus .* has changed since this run was started"):
        resume(tmp_path / "run")


def test_a_damaged_config_is_one_line(settings, tmp_path):
    run = start(settings(), tmp_path / "run")
    run.close()
    written = run.folder.read_config()
    for part, name, value, says in (
        ("model", "hidden_size", 9, "is damaged: hidden_size should be a multiple of num_attention_heads"),
        ("model", "rotary", True, "was made by another version of tinygrad-gpt"),
        ("task", "mask_share", 2.0, "is damaged: mask_share should be less than 1"),
    ):
        run.folder.config.write_text(json.dumps(written | {part: written[part] | {name: value}}), encoding="utf-8")
        with pytest.raises(UserError, match=says):
            resume(tmp_path / "run")


def test_settings_have_the_names_of_a_gpts():
    chosen = choose_settings("bert-tiny", {"n_embd": 64, "n_head": 4, "dropout": 0.2, "block_size": 48})
    assert isinstance(chosen, PretrainingSettings)
    assert chosen.model["hidden_size"] == 64 and chosen.model["intermediate_size"] == 256
    assert chosen.model["hidden_dropout_prob"] == chosen.model["attention_probs_dropout_prob"] == 0.2
    assert chosen.window == 48
    apart = choose_settings("bert-tiny", {"attn_pdrop": 0.3, "dropout": 0.2, "n_inner": 7})
    assert [apart.values()[name] for name in ("attn_pdrop", "dropout", "n_inner")] == [0.3, 0.2, 7]


def test_every_setting_of_the_shape_reaches_the_model_and_comes_back():
    given = dict(n_layer=3, n_head=2, n_embd=16, n_inner=20, block_size=31, activation="gelu_tanh", dropout=0.2)
    given |= dict(attn_pdrop=0.3, layer_norm_epsilon=1e-6, tied=False, initializer_range=0.07)
    assert {*given} == {field.name for field in dataclasses.fields(BertShape)}
    chosen = choose_settings("bert-tiny", given)
    assert given.items() <= chosen.values().items()
    assert chosen.model_config(11).hidden_act == "gelu_pytorch_tanh"
    assert chosen.model_config(11).initializer_range == 0.07


# --- from a trained model ---------------------------------------------------------------------------------------------


def test_from_a_run_with_its_weights_its_shape_and_its_tokenizer(settings, tmp_path, reporter):
    first = start(settings(), tmp_path / "first")
    first.train(reporter)
    given = {"from_": str(tmp_path / "first"), "corpus": settings().task.corpus, "steps": 3, "dropout": 0.2}
    chosen = choose_settings("bert-tiny", given)
    assert chosen.window == 24 and chosen.task.tokenizer == "own"
    whole = start(chosen, tmp_path / "whole")
    assert (whole.model.config.hidden_size, whole.model.config.attention_probs_dropout_prob) == (8, 0.2)
    for p, q in zip(whole.model.parameters(), first.model.parameters(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    written = whole.folder.read_config()
    assert written["from"]["name"] == str(tmp_path / "first")
    assert written["tokenizer"] == first.folder.read_config()["tokenizer"]
    assert whole.train(reporter)
    start(chosen, tmp_path / "killed").close()  # before its first checkpoint: the weights are found again
    again = resume(tmp_path / "killed", given={"block_size": 24})
    assert again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))


def test_from_an_encoder_of_transformers_with_new_heads(settings, tmp_path, corpus):
    tokenizer = WordPieceTokenizer.train([TEXT], 60)
    shape = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12)
    encoder = BertModel(BertConfig(70, max_position_embeddings=48, **shape))
    encoder.save_pretrained(tmp_path / "hf", tokenizer)
    chosen = choose_settings("bert-tiny", {"from_": str(tmp_path / "hf"), "corpus": str(corpus)})
    assert chosen.window == 32, "no more than the preset's"
    with pytest.warns(NewWeightsWarning, match="has no cls.predictions, cls.seq_relationship"):
        run = start(chosen, tmp_path / "run")
    assert run.folder.read_config()["vocab_size"] == 70 and run.model.masked_lm.decoder.weight.shape == (70, 8)
    np.testing.assert_array_equal(run.model.bert.pooler.weight.data, encoder.pooler.weight.data)
    run.trainer.train_step()  # all of it has a gradient
    run.close()
    for given, says in (
        ({"n_layer": 2}, "--n-layer cannot be given with --from: the model that it names has n_layer 1"),
        ({"initializer_range": 0.1}, "--initializer-range cannot be given with --from"),
        ({"block_size": 49}, "a window of 49 tokens is more than the 48 positions of the model"),
    ):
        with pytest.raises(UserError, match=says):
            choose_settings("bert-tiny", {"from_": str(tmp_path / "hf")} | given)
    with pytest.raises(UserError, match="holds a BERT: name a preset that trains one, such as --preset bert-small"):
        choose_settings(None, {"from_": str(tmp_path / "hf")})
    with pytest.raises(UserError, match="a BERT, which cannot write text"):
        choose_settings("tiny", {"from_": str(tmp_path / "hf")})
    BertModel(BertConfig(70, max_position_embeddings=48, type_vocab_size=1, **shape)).save_pretrained(tmp_path / "one")
    with pytest.raises(UserError, match="knows one segment, and pre-training reads pairs"):
        choose_settings("bert-tiny", {"from_": str(tmp_path / "one")})


def test_a_long_text_is_said_to_take_a_while(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.train.pretraining.LONG_TEXT", 100)
    said = []
    start(settings(), tmp_path / "run", say=said.append).close()
    assert len(said) == 1 and said[0].startswith("learning a wordpiece tokenizer from ")


@pytest.mark.parametrize(
    ("preset", "given", "says"),
    [
        ("bert-tiny", {"prompt": "a"}, "--prompt is not a setting of a BERT, as the preset bert-tiny makes one"),
        ("bert-tiny", {"n_embd": 30, "n_head": 4}, r"n_embd should be a multiple of n_head \(4\), not 30"),
        ("bert-tiny", {"tokenizer": "own"}, "--tokenizer own is the tokenizer of the model that --from names"),
        ("bert-tiny", {"activation": "swish"}, "activation should be one of gelu"),
        ("bert-tiny", {"window": 33}, "a window of 33 tokens is more than the 32 positions"),
        ("bert-tiny", {"block_size": 4}, "block_size should be at least 5"),
        ("bert-tiny", {"mask_share": 0.0}, "mask_share should be greater than 0, not 0.0"),
        ("tiny", {"mask_share": 0.2}, r"--mask-share is a setting of a BERT: leave it out, or give --preset \(bert-"),
        (None, {"held_out": False}, "--held-out is a setting of a BERT"),
    ],
)
def test_settings_that_cannot_be(preset, given, says):
    with pytest.raises(UserError, match=says):
        choose_settings(preset, given)


def test_tokenizers_that_cannot_be(settings, tmp_path, corpus):
    with pytest.raises(UserError, match=r"there is no tokenizer 'wordpeice' \(did you mean wordpiece\?\)"):
        start(settings(tokenizer="wordpeice"))
    (tmp_path / "tokenizer.json").write_text('{"type": "char", "characters": "abc"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"a BERT reads WordPiece, and .* holds a CharTokenizer"):
        start(settings(tokenizer=str(tmp_path / "tokenizer.json")))
    assert not (tmp_path / "runs").exists()


def test_a_saved_tokenizer_is_used(settings, tmp_path):
    WordPieceTokenizer.train([TEXT], 60).save(tmp_path / "tokenizer.json")
    run = start(settings(tokenizer=str(tmp_path / "tokenizer.json")), tmp_path / "run")
    assert run.model.config.vocab_size <= 60
    run.close()
    os.remove(tmp_path / "tokenizer.json")
    resume(tmp_path / "run").close()


def test_positions_may_start_as_sinusoids():
    """Neighbours are alike at first then, which drawn vectors are not; the rest of the model is drawn as ever."""
    models = {}
    for first in ("drawn", "sinusoids"):
        settings = choose_settings("bert-tiny", {"first_positions": first})
        random_stream.manual_seed(3)
        models[first] = Pretraining().make_model(settings, settings.model_config(50))
    drawn, sinusoids = (dict(models[first].named_parameters()) for first in ("drawn", "sinusoids"))
    differing = [name for name in drawn if not np.array_equal(drawn[name].data, sinusoids[name].data)]
    assert differing == ["bert.position_embedding.weight"]
    positions = sinusoids["bert.position_embedding.weight"].data
    std = models["drawn"].config.initializer_range
    assert np.sqrt((positions**2).mean()) == pytest.approx(2 * std, rel=1e-3)
    products = positions @ positions.T
    assert (products[5, 5] > products[5, 6] > products[5, 7]) and products[5, 6] == pytest.approx(products[9, 8])
