"""The command with an XLNet: from pre-training to a classified text, and what is refused."""

import json
import math
import re
from pathlib import Path

import pytest

from tests.helpers import process_settings
from tinygrad_gpt.cli import main

SHAPE = "--preset xlnet-tiny --n-layer 1 --n-head 2 --n-embd 8 --block-size 16 --batch-size 4 --vocab 100 --warmup 2"
SMALL = f"{SHAPE} --steps 4 --log-interval 2 --eval-interval 2 --eval-tokens 200".split()
ANIMALS = ("fox", "dog", "cat", "owl", "hen", "bee")
TEXT = "".join(f"the {a} sees the red sea\nthe {a} sees the blue sea\none {a} is not in the sea\n" for a in ANIMALS * 6)
LABELLED = "".join(f"the {a} sees the {c} sea\t{c}\n" for a in ANIMALS for c in ("red", "blue") * 2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of four steps, for tests that do not change it."""
    place = tmp_path_factory.mktemp("orders")
    (place / "animals.txt").write_text(TEXT, encoding="utf-8")
    with process_settings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_GPT_CACHE", str(place / "cache"))
        assert main(["train", str(place / "animals.txt"), "--out", str(place / "run"), *SMALL]) == 0
    return str(place / "run")


def test_from_the_first_line_to_the_last(run, tmp_path):
    (tmp_path / "animals.txt").write_text(TEXT, encoding="utf-8")
    status, said, error = run("train", "animals.txt", *SMALL)
    assert status == 0, error
    first, *_, checked, last = said.strip().splitlines()
    assert first.startswith("training in runs/animals-1: preset xlnet-tiny, on the CPU, ")
    assert re.search(r"\d+ tokens of animals\.txt \(\d+ to validate\), 3 of 16 to predict$", first), first
    assert "val " in said and "accuracy 0." in said and said.count("(a guess: ") == 4
    assert "___" in said and "  gaps: " in said
    assert "tinygrad-gpt doctor runs/animals-1" in checked and last.endswith("try  tinygrad-gpt sample runs/animals-1")

    status, said, error = run("train", "--resume", "runs/animals-1", "--steps", "6")
    assert status == 0 and "resuming runs/animals-1 at step 4" in said and "step 6/6" in said, error

    (listed,) = json.loads(run("runs", "--json")[1])
    assert (listed["task"], listed["preset"], listed["state"]) == ("permutation-lm", "xlnet-tiny", "finished")

    status, said, error = run("doctor", "runs/animals-1")
    assert status == 0 and "6 of 6 steps" in said, error


def test_it_writes(run, trained):
    status, said, error = run("sample", trained, "--prompt", "the fox", "--tokens", "5", "--seed", "1")
    assert status == 0 and said.startswith("the fox"), error


def test_an_evaluation_is_that_of_training(run, trained):
    status, said, error = run("eval", trained)
    assert status == 0, error
    assert re.search(r"validation part: \d+ tokens in \d sequences of 16, in drawn orders\n", said), said
    figures = json.loads(run("eval", trained, "--json")[1])
    rows = [json.loads(line) for line in Path(trained, "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert figures["loss"] == pytest.approx(rows[-1]["val_loss"], rel=1e-5)
    assert f"perplexity  {figures['perplexity']:.3f}\n" in said
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]))
    assert figures["accuracy"] == rows[-1]["accuracy"] and figures["targets"] == 3 * figures["sequences"]
    assert f"{figures['loss']:.4f} nats per token (by counting tokens: {figures['guesses']['val_loss']:.4f})" in said
    longer = json.loads(run("eval", trained, "--json", "--block-size", "24")[1])
    assert longer["sequences"] < figures["sequences"] and longer["targets"] == 4 * longer["sequences"]


def test_it_is_fine_tuned_classifies_and_is_exported(run, trained, tmp_path):
    (tmp_path / "seas.tsv").write_text(LABELLED, encoding="utf-8")
    options = ("--epochs", "2", "--batch-size", "6", "--lr", "1e-2", "--out", "fine")
    status, said, error = run("finetune", "seas.tsv", "--from", trained, *options)
    assert status == 0, error
    assert [folder.name for folder in Path("fine").iterdir() if folder.is_dir()] == ["seed-1"]
    assert "tinygrad-gpt classify fine" in said
    status, said, error = run("classify", "fine", "the fox sees the red sea")
    assert status == 0 and said.split("\t")[0] in ("red", "blue"), error
    as_run = run("predict", "fine", "the fox sees the red sea", "the owl", "--json")[1]
    status, _, error = run("export", "fine", "hf")
    assert status == 0, error
    assert run("predict", "hf", "the fox sees the red sea", "the owl", "--json")[1] == as_run


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("train animals.txt --preset xlnet-tiny --prompt a", "--prompt is not a setting of an XLNet"),
        ("train animals.txt --preset tiny --target-share 0.3", "--target-share is a setting of an XLNet"),
        ("train animals.txt --preset xlnet-tiny --block-size 9", "block_size should be at least 10, not 9"),
        ("eval TRAINED --stride 4", "holds an XLNet: leave out --stride"),
        ("eval TRAINED --memory 4", "holds an XLNet: leave out --memory"),
        ("translate TRAINED text", "holds an XLNet, and this needs a translator"),
        ("similar TRAINED a b", "holds an XLNet, and this needs a BERT"),
        ("finetune seas.tsv --from TRAINED --lm-weight 0.5", "holds an XLNet, which has no language model to train"),
    ],
)
def test_what_cannot_be(run, trained, tmp_path, command, says):
    (tmp_path / "animals.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "seas.tsv").write_text(LABELLED, encoding="utf-8")
    status, said, error = run(*command.replace("TRAINED", trained).split())
    assert status == 2 and says in error and error.count("\n") == 1 and not said


def test_presets_and_help_name_it(run):
    status, said, _ = run("presets")
    assert status == 0 and "xlnet-small" in said
    status, said, _ = run("train", "--help-all")
    assert "--target-share" in said and "│ --block-size " in said
