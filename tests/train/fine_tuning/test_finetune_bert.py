"""Fine-tuning a BERT on each kind of task: its runs and results, going on after kill -9, and the model in use."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.tasks.conftest import encoder, examples, wordpiece  # noqa: F401 - fixtures
from tests.train.fine_tuning.test_finetune import SITTING, assert_same
from tests.train.runs import StopsAt, rows_of
from tests.train.test_pretraining import corpus, settings  # noqa: F401 - fixtures
from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT2, BertForSequenceClassification, BertForTokenClassification, GPTConfig
from tinygrad_gpt.models.hf.pretrained import NewWeightsWarning
from tinygrad_gpt.tasks.fine_tuning import scores_of
from tinygrad_gpt.train.checkpoint import load_checkpoint
from tinygrad_gpt.train.fine_tuning import finetune
from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned
from tinygrad_gpt.train.fine_tuning.finetune import find_source, open_run, train
from tinygrad_gpt.train.fine_tuning.folder import read_fine_tuned, runs_of, summary
from tinygrad_gpt.train.run_folder import RunFolder

KINDS = ("classes", "pair-classes", "similarity", "tokens", "spans")
QUICK = dict(epochs=2, batch_size=6, lr=1e-2)


@pytest.fixture
def source(encoder, wordpiece, tmp_path):  # noqa: F811
    """A Hugging Face folder with a tiny BERT and its tokenizer."""
    encoder.save_pretrained(tmp_path / "pre", tokenizer=wordpiece)
    return find_source("pre")


@pytest.fixture
def begin(examples, source):  # noqa: F811
    """The folder of a new fine-tuning on a kind of examples."""

    def begin(kind, seeds=(1,), out=None, **given):
        data = finetune.open_task(kind) if os.path.exists(kind) else examples(kind)
        return finetune.start(data, source, source.tokenizer(), QUICK | given, [], list(seeds), out)

    return begin


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_leaves_its_results_and_a_model_to_use(begin, reporter, kind):
    path = begin(kind, epochs=4)
    assert train(path, reporter)
    assert [folder.path.name for folder in runs_of(path)] == ["seed-1"]
    results = json.loads((path / "results.json").read_text(encoding="utf-8"))
    deciding = {"similarity": "spearman", "tokens": "f1", "spans": "f1"}.get(kind, "matthews")
    assert results["deciding"] == deciding == next(iter(results["baseline"]))
    guess = {"similarity": "mean of the training examples", "tokens": "all O", "spans": "the whole text"}
    assert results["guess"] == guess.get(kind, "most frequent class")
    assert (path / f"{deciding}.png").read_bytes().startswith(b"\x89PNG")
    (result,) = results["runs"]
    assert result["finished"] and result["epoch"] == 4 and "lm_weight" not in result
    rows = rows_of(runs_of(path)[0])
    assert rows[-1][deciding] == result[deciding] and rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert "lm_loss" not in rows[-1] and rows[-1]["step"] == 8

    model = FineTuned(path)
    a, b = "she saw anna", "anna was there"
    if kind == "classes":
        first, second = model.predict([a, b])
        assert first["text"] == a and first["class"] in model.classes and 0.5 <= second["probability"] <= 1
    elif kind == "pair-classes":
        (found,) = model.predict([a, b])
        assert found["texts"] == (a, b) and found["class"] in model.classes
    elif kind == "similarity":
        (found,) = model.predict([a, b])
        assert found == {"texts": (a, b), "number": model.numbers([(a, b)])[0]}
    elif kind == "tokens":
        (found,) = model.predict([a])
        assert [row["word"] for row in found["words"]] == a.split() and found["text"] == a
        assert all(row["label"] in model.classes and 0 < row["probability"] <= 1 for row in found["words"])
    else:
        first, second = model.predict(["who ?", "in the park ?"], "she saw anna in rome")
        assert first["question"] == "who ?" and "she saw anna in rome"[first["begin"] : first["end"]] == first["answer"]
        assert 0 < second["probability"] <= 1


def test_config_says_what_ran(begin):
    """The dropout that the head has, and the scores in their order."""
    for given, dropout in (({}, 0.1), ({"head_dropout": 0.4}, 0.4)):
        (folder,) = runs_of(begin("tokens", **given))
        written = read_fine_tuned(folder)
        assert written["task"]["head_dropout"] == dropout == open_run(folder).model.dropout.p
        assert written["facts"]["metrics"] == ["f1", "precision", "recall", "accuracy", "val_loss"]


def test_the_papers_settings_are_the_defaults(examples, source):  # noqa: F811
    path = finetune.start(examples("classes"), source, source.tokenizer(), {"epochs": 30}, [], [1])
    written = read_fine_tuned(runs_of(path)[0])
    assert (
        written["task"]["warmup_share"] == 0.1 and written["train"]["warmup"] == 3 and written["train"]["steps"] == 30
    )
    known = dict(lr=5e-5, batch_size=32, schedule="linear", min_lr=0.0, weight_decay=0.01, grad_clip=1.0, beta2=0.999)
    assert {name: written["train"][name] for name in known} == known
    assert written["family"] == "bert" and written["model"]["hidden_size"] == 16
    assert written["model"]["classifier_dropout"] is None, "the encoder's own"


def test_dropout_of_the_head_and_length_reach_the_model(begin, reporter):
    path = begin("classes", head_dropout=0.4, max_length=6)
    run = open_run(runs_of(path)[0])
    assert run.model.dropout.p == 0.4 and run.task.batch(0)[0].shape[1] == 6
    run.train(reporter)
    again = open_run(runs_of(path)[0])
    assert again.model.dropout.p == 0.4 and again.task.family.longest == 6
    assert FineTuned(path).family.longest == 6


def test_a_pooler_that_the_files_lack_follows_from_the_seed(begin, encoder, source):  # noqa: F811
    """Weights that are drawn before the run begins are its own: whatever was drawn earlier in the process."""
    from safetensors.numpy import load_file, save_file

    weights = load_file("pre/model.safetensors")
    save_file(
        {name: a for name, a in weights.items() if "pooler" not in name}, "pre/model.safetensors", {"format": "pt"}
    )
    (folder,) = runs_of(begin("classes"))
    models = []
    for state in (1, 2):
        random_stream.manual_seed(state)
        with pytest.warns(NewWeightsWarning):
            models.append(open_run(folder).model)
    for name, a in models[0].state_dict().items():
        np.testing.assert_array_equal(a, models[1].state_dict()[name], err_msg=name)


def test_random_weights_for_comparison(begin):
    trained, new = (open_run(runs_of(begin("classes", pretrained=p))[0]).model for p in (True, False))
    before = find_source("pre").encoder().token_embedding.weight.data
    assert (trained.bert.token_embedding.weight.data == before).all()
    assert (new.bert.token_embedding.weight.data != before).any()


@pytest.mark.long
def test_a_bert_that_we_pre_trained_is_fine_tuned_with_its_own_tokenizer(settings, examples, reporter, tmp_path):  # noqa: F811
    from tinygrad_gpt.train.any_run import start

    run = start(settings(block_size=48), tmp_path / "own")
    run.train(reporter)
    source = find_source("own")
    path = finetune.start(examples("tokens"), source, source.tokenizer(), QUICK, [], [1], tmp_path / "fine")
    before = open_run(runs_of(path)[0]).model
    np.testing.assert_array_equal(before.bert.token_embedding.weight.data, run.model.bert.token_embedding.weight.data)
    assert train(path, reporter) and FineTuned(path).tokenizer.fingerprint() == source.tokenizer().fingerprint()
    with pytest.raises(UserError, match=r"learns the task token-labels, not .*: `tinygrad-gpt predict` uses it"):
        find_source(str(path / "seed-1"))


@pytest.mark.long
def test_seeds_are_runs_side_by_side(begin, reporter):
    path = begin("similarity", seeds=(1, 2))
    train(path, reporter)
    results = summary(path)
    assert [run["seed"] for run in results["runs"]] == [1, 2]
    (mean,) = results["means"]
    scores = [run["spearman"] for run in results["runs"]]
    assert mean["seeds"] == 2 and mean["spearman"] == pytest.approx(np.mean(scores)) and mean["spearman_sd"] >= 0
    assert "seed 2: " in reporter.said.getvalue() and "λ" not in reporter.said.getvalue()


# --- stopping and going on ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tokens", "spans"])
def test_ctrl_c_saves_and_the_rest_comes_out_the_same(begin, reporter, kind):
    whole, stopped = begin(kind), begin(kind)
    train(whole, reporter)
    assert not train(stopped, StopsAt(3, reporter.said))
    assert train(stopped, reporter)
    assert_same(whole, stopped)


@pytest.mark.long
def test_killed_and_resumed_by_the_command(begin, source, reporter, capsys):
    from tinygrad_gpt.cli import main

    whole = begin("similarity", epochs=4, checkpoint_interval=2)
    train(whole, reporter)

    def sitting(at, *arguments):
        return subprocess.run([sys.executable, "-c", SITTING, str(at), *arguments], capture_output=True, text=True)

    options = ["--epochs", "4", "--batch-size", "6", "--lr", "1e-2", "--checkpoint-interval", "2"]
    killed = sitting(6, "similarity", "--from", "pre", "--out", "fine", *options)
    checkpoint = RunFolder(whole.parent.parent / "fine" / "seed-1").checkpoint
    assert killed.returncode != 0 and not killed.stderr and load_checkpoint(checkpoint)[1]["step"] == 4
    done = sitting(0, "--resume", "fine")
    assert done.returncode == 0, done.stderr
    assert_same(whole, whole.parent.parent / "fine")
    assert main(["doctor", "fine/seed-1"]) == 0
    assert main(["runs", "fine"]) == 0
    assert "similarity" in capsys.readouterr().out


# --- a model in use ----------------------------------------------------------------------------------------------


def test_what_is_used_is_what_was_trained(begin, reporter):
    path = begin("tokens", epochs=4)
    run = open_run(runs_of(path)[0])
    run.train(reporter)
    model, task = FineTuned(path), run.task
    words = task.labelled.dev.words[0]
    (labels,) = model.labels([words])
    scores = scores_of(task.family, run.model, task.dev_sequences[:1])[0]
    places = task.family.words(words).places
    assert [name for name, _ in labels] == [task.labelled.classes[i] for i in scores[places].argmax(axis=1)]


@pytest.mark.long
def test_what_a_model_does_not_read_is_told(begin, reporter):
    for kind in ("classes", "pair-classes", "similarity", "tokens"):
        path = begin(kind, epochs=1, max_length=8)
        train(path, reporter)
        model, long = FineTuned(path), ["she saw anna in rome and the dog was there"] * 2
        assert model.remark(["she", "he"]) == ""
        assert " 8 tokens" in model.remark(long), kind
        if kind == "tokens":
            *_, last = next(model.predict(long))["words"]
            assert last == {"word": "there", "label": "O", "probability": None}
        else:
            one = "2 of 2 texts are" if kind == "classes" else "1 of 1 pairs of texts are"
            assert model.remark(long) == f"{one} cut at 8 tokens"
            assert "cut at 8 tokens" in reporter.said.getvalue()


@pytest.mark.long
def test_a_fine_tuned_bert_becomes_a_hugging_face_folder(begin, reporter, tmp_path):
    for kind, head in (("classes", BertForSequenceClassification), ("tokens", BertForTokenClassification)):
        path = begin(kind)
        train(path, reporter)
        model = FineTuned(path)
        model.save_pretrained(tmp_path / f"hf-{kind}")
        written = json.loads((tmp_path / f"hf-{kind}" / "config.json").read_text(encoding="utf-8"))
        assert written["id2label"] == {str(i): name for i, name in enumerate(model.classes)}
        assert written["architectures"] == [head.__name__]
        again = head.from_pretrained(tmp_path / f"hf-{kind}")
        for name, a in model.model.state_dict().items():
            np.testing.assert_array_equal(again.state_dict()[name], a)
        assert (tmp_path / f"hf-{kind}" / "vocab.txt").exists()


@pytest.mark.parametrize(
    ("kind", "use", "said"),
    [
        ("similarity", lambda model: model.probabilities(["a"]), "learned the task similarity, not classes"),
        ("similarity", lambda model: list(model.predict(["a"])), "reads texts in pairs, A B A B .*got 1"),
        (
            "similarity",
            lambda model: list(model.predict(["a", "b"], "c")),
            r"answers no questions about a text: leave out `passage` \(--text\)",
        ),
        (
            "spans",
            lambda model: list(model.predict(["who ?"])),
            r"answers questions about a text: give `passage` \(--text\)",
        ),
        ("tokens", lambda model: list(model.predict([" "])), "at least one word"),
    ],
)
def test_a_model_that_is_asked_for_something_else(begin, reporter, kind, use, said):
    path = begin(kind, epochs=1)
    train(path, reporter)
    with pytest.raises(UserError, match=said) as error:
        use(FineTuned(path))
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="not classes or pair-classes: `tinygrad-gpt predict` uses it"):
        FineTuned(path).check_kind("classes", "pair-classes")


# --- mistakes ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_leaves_no_folder(examples, source, tmp_path, wordpiece):  # noqa: F811
    with pytest.raises(UserError, match="holds a BERT, which has no language model to train beside the task"):
        finetune.start(examples("classes"), source, wordpiece, {}, [0.5], [1])
    with pytest.raises(UserError, match="max_length should be at least 5"):
        finetune.start(finetune.open_task("classes"), source, wordpiece, {"max_length": 2}, [], [1])
    GPT2(GPTConfig(60, block_size=16, n_layer=1, n_head=2, n_embd=16)).save_pretrained(
        tmp_path / "gpt", tokenizer=CharTokenizer("abcdefghijklmnopqrstuvwxyz ,?")
    )
    gpt = find_source("gpt")
    with pytest.raises(UserError, match="a GPT cannot mark the span of an answer"):
        finetune.start(examples("spans"), gpt, gpt.tokenizer(), {}, [0.0], [1])
    assert not (tmp_path / "runs").exists()


def test_a_bert_without_its_own_kind_of_tokenizer(examples, source):  # noqa: F811
    with pytest.raises(UserError, match="a BERT reads texts with a WordPiece tokenizer"):
        finetune.start(examples("classes"), source, CharTokenizer("abc"), {}, [], [1])


@pytest.mark.parametrize("damage", ["family", "kind", "model"])
def test_a_damaged_config_is_one_line(begin, reporter, damage):
    path = begin("classes")
    train(path, reporter)
    config = runs_of(path)[0].config
    written = json.loads(config.read_text(encoding="utf-8"))
    if damage == "family":
        written["family"] = "xlnet"
    elif damage == "kind":
        written["task"]["kind"] = "poems"
    else:
        written["model"]["hidden_size"] = 17
    config.write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json is damaged") as error:
        FineTuned(path)
    assert "\n" not in str(error.value)
