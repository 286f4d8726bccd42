"""`tinygrad-gpt finetune` and `tinygrad-gpt classify`: what they print, and their exit status."""

import json
import re

import pytest

import tinygrad_gpt as tg
from tests.helpers import assert_one_line_error
from tinygrad_gpt import random_stream
from tinygrad_gpt.data.wordpiece_tokenizer import WordPieceTokenizer
from tinygrad_gpt.models import BertConfig, BertModel
from tinygrad_gpt.train.fine_tuning.finetune import FIELDS

PRETRAIN = (
    "--preset gpt1-small --tokenizer char --n-layer 1 --n-head 2 --n-embd 8 --block-size 16 --batch-size 2 --steps 2"
)
QUICK = ["--epochs", "1", "--batch-size", "16", "--lr", "1e-3"]


@pytest.fixture
def pretrained(run, tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat and the dog sat on the log\n" * 20, encoding="utf-8")
    assert run("train", "text.txt", "--out", "pre", *PRETRAIN.split(), "--sample-tokens", "0")[0] == 0
    lines = [f"the {'cat' if i % 3 else 'dog'} sat{' on' * (i % 5)}\t{'c' if i % 3 else 'd'}\n" for i in range(60)]
    (tmp_path / "own.tsv").write_text("".join(lines), encoding="utf-8")
    return tmp_path / "pre"


def test_finetune_and_classify(run, pretrained, tmp_path):
    status, said, _ = run("finetune", "own.tsv", "--from", "pre", "--seeds", "2", *QUICK)
    assert status == 0
    assert "54 texts of own.tsv in 2 classes: c, d (6 to test on)" in said
    for row in ("most frequent class", "λ = 0, seed 1", "λ = 0, seed 2", "λ = 0.5, seed 1", "λ = 0.5, seed 2"):
        assert row in said
    assert "λ = 0, mean of 2 ± s.d." in said and "λ = 0.5, mean of 2 ± s.d." in said
    assert said.count("step 4/4") == 4
    assert 'tinygrad-gpt classify runs/own-1 "the ' in said.replace("\\", "/")
    status, said, _ = run("classify", "runs/own-1", "the cat sat", "the dog sat")
    assert status == 0
    rows = [line.split("\t") for line in said.splitlines()]
    assert [row[2] for row in rows] == ["the cat sat", "the dog sat"]
    assert all(row[0] in ("c", "d") and 0.5 <= float(row[1]) <= 1 for row in rows)


@pytest.fixture
def bert(tmp_path):
    """A Hugging Face folder with a tiny BERT."""
    random_stream.manual_seed(1)
    tokenizer = WordPieceTokenizer.train(["the quick brown fox jumps over the lazy dog , and she saw anna in rome"], 80)
    shape = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    config = BertConfig(tokenizer.vocab_size, max_position_embeddings=24, **shape)
    BertModel(config).save_pretrained(tmp_path / "bert", tokenizer=tokenizer)
    (tmp_path / "own.conll").write_text("she\tO\nsaw\tO\nanna\tB-PERSON\n\n" * 20, encoding="utf-8")
    (tmp_path / "own.tsv").write_text("the fox\tc\nthe dog\td\n" * 20, encoding="utf-8")
    (tmp_path / "pairs.csv").write_text("text_a,text_b,score\n" + "a fox,the dog,2\na dog,a dog,4.5\n" * 10)


@pytest.mark.long
def test_a_bert_is_fine_tuned_used_and_exported(run, bert, tmp_path):
    status, said, _ = run("finetune", "own.tsv", "--from", "bert", "--seeds", "2", *QUICK)
    assert status == 0 and "36 texts of own.tsv in 2 classes: c, d (4 to test on)" in said and "λ" not in said
    for row in ("Matthews", "most frequent class", "seed 1", "seed 2", "mean of 2 ± s.d."):
        assert row in said
    status, said, _ = run("classify", "runs/own-1", "the fox", "a dog")
    assert status == 0 and [line.split("\t")[2] for line in said.splitlines()] == ["the fox", "a dog"]
    status, said, _ = run("export", "runs/own-1", "hf")
    assert status == 0 and "transformers.BertForSequenceClassification.from_pretrained('hf')" in said
    assert json.loads((tmp_path / "hf" / "config.json").read_text(encoding="utf-8"))["id2label"] == {"0": "c", "1": "d"}
    one, other = (run("predict", folder, "the fox", "a dog") for folder in ("runs/own-1", "hf"))
    assert one == other and one[0] == 0, "the folder is used as the run is"
    assert run("classify", "hf", "the fox", "a dog")[1] == one[1]
    status, said, _ = run("runs")
    assert status == 0 and re.search(r"last val +score", said) and len(re.findall(r"Matthews -?\d\.\d{3}", said)) == 2


@pytest.mark.long
def test_what_is_kept_for_the_end_is_tested_at_the_end(run, bert, tmp_path):
    (tmp_path / "task").mkdir()
    for part, lines in (("train", 20), ("dev", 4), ("test", 3)):
        rows = "the fox\tc\nthe dog\td\n" * lines
        (tmp_path / "task" / f"{part}.tsv").write_text(rows, encoding="utf-8")
    status, said, error = run("finetune", "task", "--from", "bert", "--seeds", "2", *QUICK, "--out", "tuned")
    assert status == 0 and said.count("on the test examples") == 3, error
    results = json.loads((tmp_path / "tuned" / "results.json").read_text(encoding="utf-8"))
    model = tg.load("tuned/seed-1")
    right = [found["class"] == label for found, label in zip(model.predict(["the fox", "the dog"]), "cd", strict=True)]
    first, second = (result["test"]["accuracy"] for result in results["runs"])
    assert first == sum(right) / 2
    (mean,) = results["means"]
    assert mean["test"]["accuracy"] == (first + second) / 2 and mean["test"]["accuracy_sd"] >= 0
    (tmp_path / "tuned" / "seed-2" / "test.json").unlink()
    assert run("finetune", "--resume", "tuned")[1].count("on the test examples") == 3
    status, said, _ = run("finetune", "own.tsv", "--from", "bert", *QUICK)
    assert status == 0 and "test examples" not in said


def test_python_opens_a_fine_tuned_model(run, bert):
    assert run("finetune", "own.tsv", "--from", "bert", *QUICK, "--out", "tuned")[0] == 0
    found = [each["class"] for each in tg.load("tuned").predict(["the fox", "a dog"])]
    assert found == [line.split("\t")[0] for line in run("classify", "tuned", "the fox", "a dog")[1].splitlines()]
    with pytest.raises(tg.UserError, match="reads texts with its own tokenizer: leave out tokenizer"):
        tg.load("tuned", tokenizer="bert")


@pytest.mark.long
def test_the_table_names_the_scores_of_the_task(run, bert, tmp_path):
    status, said, _ = run("finetune", "own.conll", "--from", "bert", "--out", "words", *QUICK)
    assert status == 0 and "all O" in said and "F1" in said and "precision" in said
    assert re.search(r'tinygrad-gpt predict words "she saw anna"', said)
    status, said, _ = run("finetune", "pairs.csv", "--from", "bert", "--out", "pairs", *QUICK)
    assert status == 0 and "mean of the training examples" in said and "Spearman" in said and "Pearson" in said
    status, said, _ = run("predict", "words", "she saw rome", "anna")
    assert status == 0 and [line.split("\t")[0] for line in said.splitlines()] == ["she", "saw", "rome", "", "anna", ""]
    status, said, _ = run("predict", "pairs", "a fox", "the dog", "--json")
    found = json.loads(said)
    assert status == 0 and found["texts"] == ["a fox", "the dog"] and isinstance(found["number"], float)
    (tmp_path / "asked.txt").write_text("a fox\tthe dog\na dog\tthe fox\n", encoding="utf-8")
    status, said, _ = run("predict", "pairs", "--text-file", "asked.txt")
    assert status == 0 and [line.split("\t")[1:] for line in said.splitlines()] == [
        ["a fox", "the dog"],
        ["a dog", "the fox"],
    ]
    for name, text in (("words", ["she saw anna"]), ("pairs", ["a fox", "the dog"])):
        assert run("export", name, f"hf-{name}")[0] == 0
        one, other = (run("predict", folder, *text) for folder in (name, f"hf-{name}"))
        assert one == other and one[0] == 0
    assert_one_line_error(run("predict", "pairs", "a fox"), "reads texts in pairs", "got 1")
    assert_one_line_error(run("predict", "pairs", "a", "b", "--text", "c"), "leave out `passage` (--text)")
    assert_one_line_error(run("classify", "pairs", "a", "b"), "learned the task similarity, not classes", "predict")
    status, said, _ = run("compare", "pairs/seed-1", "words/seed-1")
    assert status == 0 and "Spearman" in said and "F1" in said and "recall" in said
    assert_one_line_error(run("sample", "pairs/seed-1"), "similarity", "`tinygrad-gpt predict` uses it")


def test_questions_are_answered_from_a_text(run, bert, tmp_path):
    rows = "question,text,answer\n" + "who ?,she saw anna,anna\nwhere ?,the fox in rome,rome\n" * 10
    (tmp_path / "asked.csv").write_text(rows, encoding="utf-8")
    status, said, _ = run("finetune", "asked.csv", "--from", "bert", "--out", "fine", *QUICK)
    assert status == 0 and "the whole text" in said and "exact match" in said and "--text TEXT" in said
    status, said, _ = run("predict", "fine", "who ?", "where ?", "--text", "The dog saw Anna")
    assert status == 0
    rows = [line.split("\t") for line in said.splitlines()]
    assert [row[2] for row in rows] == ["who ?", "where ?"]
    assert all(row[0] in "The dog saw Anna" and 0 < float(row[1]) <= 1 for row in rows)
    assert run("export", "fine", "hf")[0] == 0
    asked = ("who ?", "where ?", "--text", "The dog saw Anna")
    assert run("predict", "hf", *asked) == run("predict", "fine", *asked)
    assert_one_line_error(run("predict", "fine", "who ?"), "give `passage` (--text)")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("finetune own.tsv --from bert --lm-weight 0.5", ("no language model to train beside the task",)),
        ("finetune own.tsv --from bert --max-length 2", ("max_length should be at least 5",)),
        ("finetune own.tsv --from bert --max-length -1", ("max_length should be at least 5",)),
        ("finetune own.tsv --from nowhere/bert", ("nowhere/bert",)),
    ],
)
def test_mistakes_with_a_bert_are_one_line(run, bert, arguments, parts):
    assert_one_line_error(run(*arguments.split()), *parts)


def test_a_gpts_head_cannot_be_exported(run, pretrained):
    assert run("finetune", "own.tsv", "--from", "pre", "--lm-weight", "0", "--out", "fine", *QUICK)[0] == 0
    assert_one_line_error(run("export", "fine", "hf"), "only a fine-tuned BERT can be exported")


@pytest.mark.long
def test_every_setting_is_an_option_and_reaches_the_run(run, pretrained, tmp_path):
    task = dict(epochs=2, max_length=9, warmup_share=0.1, head_dropout=0.3, pretrained=False)
    train = dict(batch_size=30, accumulate=2, lr=0.01, min_lr=0.001, weight_decay=0.2, grad_clip=0.5, seed=7)
    train |= dict(schedule="cosine", beta1=0.8, beta2=0.9, eps=1e-7, dtype="float64", device="auto")
    train |= dict(recompute=True, log_interval=3, eval_interval=2, checkpoint_interval=1, health=False)
    train |= dict(patience=5, average=2, average_interval=1)
    assert set(task) | set(train) | {"data", "from_", "lm_weight", "steps", "warmup"} == set(FIELDS), (
        "one is not tested"
    )
    options = ["--no-pretrained", "--recompute", "--no-health"]
    for name, value in (task | train).items():
        options += [] if isinstance(value, bool) else ["--" + name.replace("_", "-"), str(value)]
    weights = ["--lm-weight", "0.25", "--lm-weight", "1"]
    assert run("finetune", "own.tsv", "--from", "pre", "--out", "fine", *weights, *options)[0] == 0
    written = json.loads((tmp_path / "fine" / "lm-1-seed-7" / "config.json").read_text(encoding="utf-8"))
    assert written["train"] == train | {"steps": 2, "warmup": 0}
    known = {"name": "classification", "data": "own.tsv", "from_": "pre", "lm_weight": 1.0, "kind": "classes"}
    known["classes"] = ["c", "d"]
    assert written["task"] == task | known
    results = json.loads((tmp_path / "fine" / "results.json").read_text(encoding="utf-8"))
    assert [result["lm_weight"] for result in results["runs"]] == [0.25, 1.0]


def test_a_hugging_face_folder(run, pretrained, tmp_path):
    assert run("export", "pre", "hf")[0] == 0
    status, said, _ = run("finetune", "own.tsv", "--from", "hf", "--lm-weight", "0", *QUICK)
    assert status == 0 and "λ = 0, seed 1" in said
    assert run("classify", "runs/own-1", "the cat")[0] == 0


def test_help_says_how_to_get_from_pre_training_to_the_figures(run):
    status, said, _ = run("finetune", "--help")
    assert status == 0
    assert "train sentences --preset gpt1-small" in said and "finetune cola --from" in said


@pytest.mark.long
def test_ctrl_c_and_resume(run, pretrained, monkeypatch, tmp_path):
    import signal

    from tinygrad_gpt.train.trainer import Trainer

    real, calls = Trainer.train_step, []

    def step(self):
        calls.append(self.step)
        if len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
        return real(self)

    monkeypatch.setattr(Trainer, "train_step", step)
    status, said, _ = run("finetune", "own.tsv", "--from", "pre", "--out", "fine", *QUICK)
    assert status == 130 and len(calls) == 6
    assert said.splitlines()[-1] == "stopped and saved; continue with: tinygrad-gpt finetune --resume fine"
    assert run("classify", "fine", "the cat")[0] == 0
    status, said, _ = run("finetune", "--resume", "fine")
    assert status == 0 and "λ = 0.5, seed 1" in said and "stopped" not in said
    assert len(calls) == 8


@pytest.mark.long
def test_a_pair_of_ones_own(run, pretrained, tmp_path):
    source = "from tinygrad_gpt.ops.gelu import backward, forward\n"
    (tmp_path / "my_gelu.py").write_text(source, encoding="utf-8")
    weights = ["--lm-weight", "0"]
    status, said, _ = run(
        "finetune", "own.tsv", "--from", "pre", "--out", "fine", "--with", "my_gelu.py", *weights, *QUICK
    )
    assert status == 0 and "my_gelu.py is right for gelu" in said
    assert re.search(r"^my_gelu.py: gelu ran (\d times?) forward, \1 backward in the first step$", said, re.M)
    status, said, _ = run("finetune", "--resume", "fine")
    assert status == 0 and "my_gelu.py is right for gelu" in said, "with the copy that the runs keep"
    (tmp_path / "my_gelu.py").write_text(source + "# changed\n", encoding="utf-8")
    assert_one_line_error(run("finetune", "--resume", "fine", "--with", "my_gelu.py"), "has changed since")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("finetune nope --from pre", ("there is no task, file or folder 'nope'",)),
        ("finetune own.tsv --from nowhere", ("nowhere",)),
        ("finetune own.tsv --from pre --epochs 0", ("epochs",)),
        ("finetune own.tsv --from pre --lm-weight -1", ("lm_weight should be at least 0",)),
        ("finetune own.tsv --from pre --seeds 0", ("--seeds",)),
        ("finetune own.tsv --from pre --out pre", ("pre",)),
        ("finetune own.tsv", ("--from",)),
        ("finetune", ("name the task", "--resume")),
        ("finetune --resume pre", ("pre", "next-token", "not a fine-tuned model")),
        ("classify pre text", ("pre", "next-token", "not a fine-tuned model")),
        ("classify nowhere text", ("nowhere",)),
        ("sample fine", ("fine",)),
    ],
)
def test_mistakes_are_one_line(run, pretrained, tmp_path, arguments, parts):
    (tmp_path / "fine").mkdir()
    (tmp_path / "fine" / "results.json").write_text("{}", encoding="utf-8")
    assert_one_line_error(run(*arguments.split()), *parts)


def test_a_text_that_the_tokenizer_does_not_know(run, pretrained, tmp_path):
    (tmp_path / "own.tsv").write_text("the CAT\tc\nthe dog\td\n" * 20, encoding="utf-8")
    assert_one_line_error(run("finetune", "own.tsv", "--from", "pre", *QUICK), "'C'")
