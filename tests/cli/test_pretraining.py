"""`tinygrad-gpt train` with a BERT's preset: from the first line to the last, and the commands about its run."""

import json
import re
from pathlib import Path

import pytest

SENTENCES = ["the {} sees the red sea", "the {} sees the blue sea", "one {} is not in the sea"] * 2
SMALL = "--preset bert-tiny --n-layer 1 --n-embd 8 --n-head 2 --block-size 24 --batch-size 4 --vocab 150 --warmup 2"
SMALL = f"{SMALL} --steps 4 --log-interval 2 --eval-interval 2 --eval-tokens 200".split()


@pytest.fixture
def animals(tmp_path):
    for animal in ("fox", "dog", "cat", "owl", "hen", "bee"):
        (tmp_path / "animals").mkdir(exist_ok=True)
        text = "\n".join(sentence.format(animal) for sentence in SENTENCES)
        (tmp_path / "animals" / f"{animal}.txt").write_text(text, encoding="utf-8")
    return "animals"


def test_a_folder_of_texts_from_the_first_line_to_the_last(run, animals):
    status, said, error = run("train", animals, *SMALL)
    assert status == 0, error
    first, *_, checked, last = said.strip().splitlines()
    assert first.startswith("training in runs/animals-1: preset bert-tiny, on the CPU, ")
    assert re.search(r"24 sentences of 4 documents of animals, in pairs \(\d of 2 others to evaluate\)$", first)
    assert "masked_accuracy 0." in said and "(a guess: 0." in said and " % sure): " in said
    assert "tinygrad-gpt doctor runs/animals-1" in checked
    gap = re.search(r"try  tinygrad-gpt predict runs/animals-1 '(.*\[MASK\].*)'$", last)
    sample = Path("runs/animals-1/sample.txt").read_text(encoding="utf-8")
    assert gap and gap[1] in sample and not re.search(r"\[(CLS|SEP)\]", gap[1]), "a piece of the run's own sample"

    status, said, error = run("train", "--resume", "runs/animals-1", "--steps", "6")
    assert status == 0 and "resuming runs/animals-1 at step 4" in said and "step 6/6" in said, error

    Path("runs/animals-1/checkpoint.safetensors").unlink()
    status, said, error = run("train", "--resume", "runs/animals-1", "--log-interval", "3")
    assert status == 0 and said.startswith("training in runs/animals-1 from step 0, as it has no checkpoint,"), error

    status, said, _ = run("runs", "--json")
    (listed,) = json.loads(said)
    assert status == 0 and (listed["task"], listed["preset"], listed["corpus"]) == ("masked-lm", "bert-tiny", animals)
    assert listed["state"] == "finished" and listed["val_loss"] > 0

    status, said, error = run("doctor", "runs/animals-1")
    assert status == 0 and "6 of 6 steps" in said, error

    status, _, error = run("train", animals, "--out", "runs/animals-1", *SMALL)
    assert status == 2 and "continue it with --resume runs/animals-1" in error
    status, _, error = run("sample", "runs/animals-1")
    assert status == 2 and error.count("\n") == 1 and "BERT" in error


def test_eval_measures_as_training_did(run, animals, tmp_path):
    assert run("train", animals, *SMALL, "--out", "run")[0] == 0
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    status, said, error = run("eval", "run", "--json")
    figures = json.loads(said)
    assert (status, error) == (0, "") and figures["pairs"] == 4 and figures["corpus"] == animals
    assert figures["loss"] == pytest.approx(rows[-1]["val_loss"], abs=1e-6)
    assert figures["masked_accuracy"] == rows[-1]["masked_accuracy"] and figures["guesses"].keys() <= figures.keys()
    said = run("eval", "run")[1].splitlines()
    assert said[0] == "animals, held-out part: 4 pairs of at most 24 tokens"
    assert said[1] == f"{'loss':<22}  {figures['loss']:.4f}" and "(a guess: " in said[4]
    (tmp_path / "other").mkdir()
    for name in ("ape", "ant", "emu", "elk", "cow"):
        text = "\n".join(sentence.format(name) for sentence in SENTENCES[:4])
        (tmp_path / "other" / f"{name}.txt").write_text(text, encoding="utf-8")
    assert run("eval", "run", "other")[1].startswith("other, held-out part: ")
    for options, said in (
        (["--beams", "2"], "holds a BERT: leave out --beams"),
        (["--stride", "2"], "leave out --str"),
    ):
        status, _, error = run("eval", "run", *options)
        assert status == 2 and said in error and error.count("\n") == 1
    assert run("export", "run", "hf")[0] == 0
    status, _, error = run("eval", "hf", animals)
    assert status == 2 and "hf does not say how it was pre-trained" in error and error.count("\n") == 1
    Path(animals).rename("elsewhere")
    status, _, error = run("eval", "run")
    assert status == 2 and error.endswith(": put it back, or name other documents, tinygrad-gpt eval run CORPUS\n")


@pytest.mark.long
def test_a_sweep_and_a_comparison(run, animals):
    status, said, error = run("train", animals, *SMALL, "--sweep", "mask-share=0.15,0.3", "--out", "sweep")
    assert status == 0, error
    assert "mask-share" in said and "0.3" in said and "try  tinygrad-gpt predict sweep/mask-share-0." in said
    status, said, error = run("compare", "sweep")
    assert status == 0 and "mask-share" in said, error


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--preset bert-tiny --prompt a", "--prompt is not a setting of a BERT"),
        ("--preset tiny --mask-share 0.3", "--mask-share is a setting of a BERT"),
        ("--preset bert-tiny --tokenizer bpe", "a BERT reads WordPiece, and bpe is a GPT's"),
        ("--preset bert-tiny --vocab 99", "vocab should be at least 100, not 99"),
        ("--preset bert-tiny --sweep from=a,b", "all runs of a sweep have the same from"),
        ("--preset bert-tiny --sweep positions=none", "--positions is not a setting of a BERT"),
    ],
)
def test_settings_that_cannot_be(run, animals, options, says):
    status, said, error = run("train", animals, *options.split())
    assert status == 2 and says in error and error.count("\n") == 1 and not said


def test_texts_that_cannot_be(run, tmp_path):
    for text, says in (
        ("", "has no sentences"),
        ("one\ntwo\nthree", "has 1 document, so no sentence is from another one"),
        ("a\n\nb\n\nc\n\nd", "expected at least 2 documents of 2 sentences or more, got 0"),
    ):
        (tmp_path / "my.txt").write_text(text, encoding="utf-8")
        status, _, error = run("train", "my.txt", *SMALL)
        assert status == 2 and says in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_model_of_ones_own_is_no_bert(run, animals, tmp_path):
    (tmp_path / "mine.py").write_text("from tinygrad_gpt.nn import Module\nclass Model(Module): ...\n")
    status, _, error = run("train", animals, *SMALL, "--model", "mine.py")
    assert status == 2 and "--model is in place of a GPT" in error and error.count("\n") == 1


def test_presets_and_help_name_them(run):
    status, said, _ = run("presets")
    assert status == 0 and "bert-small" in said and "layers" in said
    status, said, _ = run("train", "--help-all")
    assert "--mask-share" in said and "--n-layer" in said and said.count("--tokenizer ") == 1
