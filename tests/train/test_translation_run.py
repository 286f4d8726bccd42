"""Training of a translator: started, stopped, resumed and extended like any other run."""

import dataclasses
import json
import os

import numpy as np
import pytest

from tests.small_translation import write_corpus
from tests.train.runs import StopsAt, arrays_of, assert_same_arrays, kill_at, rows_of
from tinygrad_gpt.cli import main
from tinygrad_gpt.data import load_tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.marian import MarianMTModel
from tinygrad_gpt.models.transformer import Transformer, TransformerConfig
from tinygrad_gpt.train.any_run import choose_settings, resume, start
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.trained_model import find_model
from tinygrad_gpt.train.translation_settings import TransformerShape, TranslationSettings

SMALL = dict(n_layer=1, n_head=2, n_embd=8, n_inner=16, block_size=30, batch_tokens=60, vocab=280, warmup=2)


@pytest.fixture
def corpus(tmp_path):
    return write_corpus(tmp_path)


@pytest.fixture
def settings(corpus):
    def make(**given):
        few = dict(corpus=corpus, source="en", target="xx", steps=6, log_interval=2, checkpoint_interval=2, dropout=0.1)
        return choose_settings("transformer-toy", SMALL | few | {"eval_interval": 3} | given)

    return make


def test_a_run_is_a_translator_with_its_tokenizer(settings, tmp_path, reporter):
    run = start(settings(bleu_pairs=2), tmp_path / "run")
    assert isinstance(run.model, Transformer) and run.train(reporter)
    written = run.folder.read_config()
    assert written["task"]["name"] == "translation" and written["preset"] == "transformer-toy"
    config = TransformerConfig(vocab_size=written["vocab_size"], **written["model"])
    assert config == run.model.config and (config.d_model, config.encoder_ffn_dim, config.dropout) == (8, 16, 0.1)
    tokenizer = load_tokenizer(run.folder.tokenizer)
    assert tokenizer.fingerprint() == written["tokenizer"]
    assert (config.pad_token_id, config.eos_token_id) == (tokenizer.pad_id, tokenizer.end_id)
    assert config.decoder_start_token_id == tokenizer.pad_id
    assert [written["corpus"][name] for name in ("source", "target", "train_pairs", "held_out_pairs")] == [
        "en", "xx", 36, 4
    ]  # fmt: skip
    assert written["corpus"]["val_bytes"] == len("".join(f"{line}\n" for line in run.task.corpus.valid.target))
    measured = rows_of(run.folder)
    assert [set(row) & {"val_loss", "bleu"} for row in measured if "val_loss" in row] == [{"val_loss", "bleu"}] * 2
    assert all("train_accuracy" in row for row in measured)
    said = reporter.said.getvalue()
    assert "token_accuracy" in said and " (a guess: " in said and "bleu" in said
    opened = find_model(str(tmp_path / "run"), ("transformer",))
    assert_same_arrays(opened.load().state_dict(), run.model.state_dict())


def test_the_vocabulary_is_learned_from_the_training_part_alone(settings, tmp_path):
    """T-11: what is held out holds words that nothing else has."""
    for ending in ("en", "xx"):
        path = tmp_path / f"corpus.{ending}"
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([*lines[:-4], *["QQQQ QQQQ"] * 4]) + "\n", encoding="utf-8")
    run = start(settings(vocab=400, tokenizer="bpe"), tmp_path / "run")
    run.close()
    tokens = [run.task.tokenizer.token_bytes(token) for token in range(run.task.tokenizer.vocab_size)]
    assert b" sand" in tokens or b"sand" in tokens
    assert not [token for token in tokens if b"QQ" in token]


@pytest.mark.long
@pytest.mark.parametrize("given", [{}, {"average": 2, "average_interval": 2, "accumulate": 2}])
def test_a_stopped_run_ends_as_one_that_was_never_stopped(settings, tmp_path, reporter, given):
    whole = start(settings(**given), tmp_path / "whole")
    assert whole.train(reporter)
    stopped = start(settings(**given), tmp_path / "stopped")
    assert not stopped.train(StopsAt(3))
    again = resume(tmp_path / "stopped")
    assert again.trainer.step == 3 and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))


@pytest.mark.long
def test_killed_before_and_after_its_first_checkpoint(settings, tmp_path, reporter):
    whole = start(settings(average=2, average_interval=1), tmp_path / "whole")
    assert whole.train(reporter)
    start(settings(average=2, average_interval=1), tmp_path / "killed").close()  # at step 0
    for step in (1, 5):
        kill_at(step, tmp_path / "killed")
    again = resume(tmp_path / "killed")
    assert again.trainer.step == 4 and again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))


@pytest.mark.long
def test_recomputation_changes_no_bit(settings, tmp_path, reporter):
    found = []
    for on in (False, True):
        run = start(settings(recompute=on), tmp_path / str(on))
        assert run.model.recompute is on and run.train(reporter)
        found.append(arrays_of(run.folder))
    assert_same_arrays(*found)


@pytest.mark.long
def test_more_steps_extend_a_run_whose_rates_do_not_depend_on_them(settings, tmp_path, reporter):
    start(settings(), tmp_path / "run").train(reporter)
    run = resume(tmp_path / "run", given={"steps": 9}, say=reporter.note)
    said = "extended from 6 to 9 steps, at step 6: the same as a run of 9 steps from the start"
    assert said in reporter.said.getvalue()
    assert run.train(reporter) and run.trainer.step == 9
    whole = start(settings(steps=9), tmp_path / "whole")
    whole.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(run.folder))


def test_bleu_may_decide_when_it_ends(settings, tmp_path, reporter, monkeypatch):
    scores = iter([5.0, 9.0, 8.0, 7.0, 9.0])
    monkeypatch.setattr("tinygrad_gpt.tasks.translation.Translation.written", lambda *given: {"bleu": next(scores)})
    run = start(settings(decides="bleu", bleu_pairs=2, patience=2, eval_interval=1), tmp_path / "run")
    assert run.train(reporter) and run.trainer.step == 4
    assert "ended early: 2 evaluations without a better bleu than 9" in reporter.said.getvalue()
    assert run.folder.read_config()["facts"]["metrics"][0] == "bleu"


def test_what_a_resumed_run_keeps(settings, tmp_path):
    start(settings(), tmp_path / "run").close()
    for given, says in (
        ({"n_layer": 2}, "--n-layer is 1, not 2; leave it out"),
        ({"label_smoothing": 0.3}, r"--label-smoothing is 0\.1, not 0\.3"),
        ({"batch_size": 3}, "counted in tokens: give --batch-tokens, not --batch-size"),
        ({"mask_share": 0.3}, "--mask-share is not a setting of a Transformer"),
    ):
        with pytest.raises(UserError, match=says):
            resume(tmp_path / "run", given=given)
    run = resume(tmp_path / "run", given={"bleu_pairs": 3, "eval_pairs": 2, "recompute": True})
    assert run.model.recompute and run.task.config.bleu_pairs == 3
    run.close()
    path = tmp_path / "corpus.xx"
    path.write_text(path.read_text(encoding="utf-8").replace("SEA", "SEE"), encoding="utf-8")
    with pytest.raises(UserError, match=r"the corpus .* has changed since this run was started"):
        resume(tmp_path / "run")
    os.remove(path)
    os.remove(tmp_path / "corpus.en")
    with pytest.raises(UserError, match=r"is not at .*corpus any more: put it back, or start a new run"):
        resume(tmp_path / "run")


def test_files_that_moved_with_the_run_are_found_again(settings, tmp_path, reporter, monkeypatch):
    (tmp_path / "one").mkdir()
    write_corpus(tmp_path / "one")
    monkeypatch.chdir(tmp_path / "one")
    start(settings(corpus="corpus"), tmp_path / "one" / "runs" / "run").close()
    (tmp_path / "one").rename(tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    assert resume(tmp_path / "other" / "runs" / "run").train(reporter)


def test_a_damaged_config_is_one_line(settings, tmp_path):
    run = start(settings(), tmp_path / "run")
    run.close()
    written = run.folder.read_config()
    for part, name, value, says in (
        ("model", "d_model", 9, "is damaged: d_model should be a multiple of encoder_attention_heads"),
        ("model", "rotary", True, "was made by another version of tinygrad-gpt"),
        ("model", "pad_token_id", 999, r"is damaged: pad_token_id should be below vocab_size"),
        ("task", "label_smoothing", 2.0, "is damaged: label_smoothing should be less than 1"),
    ):
        run.folder.config.write_text(json.dumps(written | {part: written[part] | {name: value}}), encoding="utf-8")
        with pytest.raises(UserError, match=says):
            resume(tmp_path / "run")


def test_every_setting_of_the_shape_reaches_the_model_and_comes_back():
    given = dict(n_layer=3, decoder_layers=2, n_head=2, n_embd=16, n_inner=20, block_size=31, activation="gelu")
    given |= dict(norm="pre", dropout=0.2, attn_pdrop=0.3)
    assert {*given} == {field.name for field in dataclasses.fields(TransformerShape)}
    chosen = choose_settings("transformer-toy", given)
    assert isinstance(chosen, TranslationSettings) and given.items() <= chosen.values().items()
    config = chosen.model_config(11)
    assert (config.encoder_layers, config.decoder_layers, config.decoder_ffn_dim) == (3, 2, 20)
    assert (config.norm, config.attention_dropout) == ("pre", 0.3)


def test_the_published_recipe():
    """The values that the presets share with the papers."""
    tiny = choose_settings("transformer-tiny", {}).values()
    shape = dict(n_layer=4, decoder_layers=4, n_head=4, n_embd=128, n_inner=256, label_smoothing=0.1)
    recipe = dict(beta1=0.9, beta2=0.98, batch_tokens=4096, average=10)
    assert (shape | recipe).items() <= tiny.items()
    assert "after the published recipe" in PRESETS["transformer-tiny"].purpose
    assert (tiny["lr"], tiny["dropout"]) == (2e-3, 0.2), "which differ from it: presets.py says why"
    base = choose_settings("transformer-base", {}).values()
    shape = dict(n_layer=6, decoder_layers=6, n_head=8, n_embd=512, n_inner=2048, dropout=0.1, attn_pdrop=0.0)
    assert (shape | dict(label_smoothing=0.1, beta2=0.98, eps=1e-9, warmup=4000)).items() <= base.items()
    assert base["lr"] == pytest.approx((512 * 4000) ** -0.5, rel=0.01)


# --- from a trained model ---------------------------------------------------------------------------------------------


@pytest.mark.long
def test_from_a_run_with_its_weights_its_shape_and_its_tokenizer(settings, tmp_path, reporter, corpus):
    first = start(settings(), tmp_path / "first")
    first.train(reporter)
    given = dict(from_=str(tmp_path / "first"), corpus=corpus, source="en", target="xx", steps=3, dropout=0.2)
    chosen = choose_settings("transformer-toy", given | {"batch_tokens": 60})
    assert chosen.task.tokenizer == "own"
    whole = start(chosen, tmp_path / "whole")
    assert whole.model.config == dataclasses.replace(first.model.config, dropout=0.2)
    assert_same_arrays(whole.model.state_dict(), first.model.state_dict())
    written = whole.folder.read_config()
    assert written["from"]["name"] == str(tmp_path / "first")
    assert written["tokenizer"] == first.folder.read_config()["tokenizer"]
    assert whole.train(reporter)
    start(chosen, tmp_path / "killed").close()  # before its first checkpoint: the weights are found again
    again = resume(tmp_path / "killed")
    assert again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))
    for wrong, says in (
        ({"n_layer": 2}, "--n-layer cannot be given with --from: the model that it names has n_layer 1"),
        ({"norm": "pre"}, "--norm cannot be given with --from"),
    ):
        with pytest.raises(UserError, match=says):
            choose_settings("transformer-toy", given | wrong)
    with pytest.raises(UserError, match="holds a Transformer: name a preset that trains one, such as --preset transf"):
        choose_settings(None, given)
    with pytest.raises(UserError, match="holds a translator: try `tinygrad-gpt translate "):
        choose_settings("tiny", {"from_": given["from_"]})


@pytest.mark.parametrize(
    ("preset", "given", "says"),
    [
        (
            "transformer-toy",
            {"prompt": "a"},
            "--prompt is not a setting of a Transformer, as the preset transformer-toy",
        ),
        ("transformer-toy", {"n_embd": 30, "n_head": 4}, r"n_embd should be a multiple of n_head \(4\), not 30"),
        ("transformer-toy", {"tokenizer": "own"}, "--tokenizer own is the tokenizer of the model that --from names"),
        ("transformer-toy", {"activation": "swish"}, "activation should be one of "),
        ("transformer-toy", {"batch_size": 8}, "counted in tokens: give --batch-tokens, not --batch-size"),
        ("transformer-toy", {"label_smoothing": 1.0}, "label_smoothing should be less than 1, not 1.0"),
        ("transformer-toy", {"decides": "bleu"}, "bleu_pairs should be greater than 0 where BLEU decides"),
        ("tiny", {"label_smoothing": 0.2}, r"--label-smoothing is a setting of a Transformer: leave it out, or give"),
        ("bert-tiny", {"batch_tokens": 9}, "--batch-tokens is not a setting of a BERT"),
    ],
)
def test_settings_that_cannot_be(preset, given, says):
    with pytest.raises(UserError, match=says):
        choose_settings(preset, given)


def test_tokenizers_that_cannot_be(settings, tmp_path):
    with pytest.raises(UserError, match=r"there is no tokenizer 'unigramm' \(did you mean unigram\?\)"):
        start(settings(tokenizer="unigramm"))
    (tmp_path / "tokenizer.json").write_text('{"type": "char", "characters": "abc"}', encoding="utf-8")
    with pytest.raises(UserError, match="expected a vocabulary of sentences"):
        start(settings(tokenizer=str(tmp_path / "tokenizer.json")))
    assert not (tmp_path / "runs").exists()


def test_a_tokenizer_that_is_not_the_trained_models(settings, tmp_path, reporter, corpus):
    """T-2: the model goes on with the ids of padding and end that it learned, and reads no others."""
    start(settings(), tmp_path / "first").train(reporter)
    given = dict(from_=str(tmp_path / "first"), corpus=corpus, source="en", target="xx", vocab=270)
    for tokenizer in ("unigram", "bpe"):
        chosen = choose_settings("transformer-toy", given | {"tokenizer": tokenizer})
        with pytest.raises(UserError, match="the tokenizer is not the model's: expected the ids of padding and end"):
            start(chosen, tmp_path / "second")
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("tokenizer", ["unigram", "wordpiece"])
def test_other_vocabularies_translate_too(settings, tmp_path, reporter, tokenizer):
    run = start(settings(tokenizer=tokenizer, steps=2), tmp_path / "run")
    assert run.train(reporter) and "reference: " in "".join(run.task.sample(run.model))


@pytest.fixture
def marian(tmp_path, settings, reporter):
    """A Marian's folder, with a bias on the logits, as published ones have, and a run's tokenizer."""
    run = start(settings(), tmp_path / "first")
    run.train(reporter)
    config = dataclasses.replace(run.model.config, positions="halves")
    model = MarianMTModel(config)
    model.final_logits_bias.data[:] = np.linspace(-1, 1, config.vocab_size)
    model.save_pretrained(tmp_path / "marian", run.task.tokenizer)
    return tmp_path / "marian"


@pytest.mark.long
def test_from_a_marian_which_stays_one(settings, tmp_path, reporter, corpus, marian):
    given = dict(from_=str(marian), corpus=corpus, source="en", target="xx", steps=4, checkpoint_interval=2)
    chosen = choose_settings("transformer-toy", given)
    whole = start(chosen, tmp_path / "whole")
    theirs = MarianMTModel.from_pretrained(marian)
    assert_same_arrays(whole.model.state_dict(), theirs.state_dict())
    before = whole.trainer.evaluate()["val_loss"]
    assert whole.train(reporter)
    bias = theirs.final_logits_bias.data
    np.testing.assert_array_equal(whole.model.final_logits_bias.data, bias)
    opened = find_model(str(tmp_path / "whole"), ("transformer",)).load()
    assert isinstance(opened, MarianMTModel) and whole.task.evaluate(opened)["val_loss"] < before
    stopped = start(chosen, tmp_path / "stopped")
    assert not stopped.train(StopsAt(2))
    again = resume(tmp_path / "stopped")
    assert again.train(reporter)
    assert_same_arrays(arrays_of(whole.folder), arrays_of(again.folder))
    assert main(["export", str(tmp_path / "whole"), str(tmp_path / "out")]) == 0
    exported = MarianMTModel.from_pretrained(tmp_path / "out")
    assert_same_arrays(exported.state_dict(), opened.state_dict())


def test_a_decoder_that_starts_with_another_token_is_not_trained(settings, tmp_path, corpus, marian):
    """T-4: it would learn to write after padding, and be asked to write after another token."""
    written = json.loads((marian / "config.json").read_text(encoding="utf-8"))
    written["decoder_start_token_id"] = 5
    (marian / "config.json").write_text(json.dumps(written), encoding="utf-8")
    chosen = choose_settings("transformer-toy", dict(from_=str(marian), corpus=corpus, source="en", target="xx"))
    with pytest.raises(UserError, match=r"starts its decoder with token 5, .* with padding, \d+"):
        start(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_exported_as_a_marian(settings, tmp_path, reporter, capsys):
    run = start(settings(dropout=0.0), tmp_path / "run")
    run.train(reporter)
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out")]) == 0
    assert "transformers.MarianMTModel.from_pretrained" in capsys.readouterr().out
    source = find_model(str(tmp_path / "out"), ("transformer",))
    assert source.kind == "transformer" and source.tokenizer().fingerprint() == run.task.tokenizer.fingerprint()
    expected, got = run.task.evaluate(run.model, last=True), run.task.evaluate(source.load(), last=True)
    assert got == pytest.approx(expected, rel=1e-5)
    assert run.task.translate(source.load(), run.task.held_out) == run.task.translate(run.model, run.task.held_out)
