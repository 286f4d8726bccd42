"""`tinygrad-gpt train` with a Transformer's preset: from the first line to the last, and the commands about its run."""

import json
from pathlib import Path

import pytest

from tests.small_translation import write_corpus

SMALL = "--preset transformer-toy --n-layer 1 --n-embd 8 --n-head 2 --block-size 30 --batch-tokens 60 --vocab 280"
SMALL = f"{SMALL} --steps 4 --log-interval 2 --eval-interval 2 --checkpoint-interval 2 --warmup 2".split()
LANGUAGES = ["--source", "en", "--target", "xx"]


@pytest.fixture
def corpus(tmp_path):
    write_corpus(tmp_path)
    return "corpus"


def test_two_files_from_the_first_line_to_the_last(run, corpus):
    status, said, error = run("train", corpus, *LANGUAGES, *SMALL, "--bleu-pairs", "2")
    assert status == 0, error
    first, *_, checked, last = said.strip().splitlines()
    assert first.startswith("training in runs/corpus-1: preset transformer-toy, on the CPU, ")
    assert first.endswith("36 pairs of corpus, en to xx (4 to validate)")
    assert " (smoothed)  val " in said
    assert "token_accuracy 0." in said and "(a guess: 0." in said and "bleu 0." in said and "\n  reference: " in said
    assert "tinygrad-gpt doctor runs/corpus-1" in checked
    sentence = Path("corpus.en").read_text(encoding="utf-8").splitlines()[36]
    assert last.endswith(f"try  tinygrad-gpt translate runs/corpus-1 '{sentence}'") or f"corpus-1 {sentence}" in last

    status, said, error = run("train", "--resume", "runs/corpus-1", "--steps", "6")
    assert status == 0 and "extended from 4 to 6 steps" in said and "step 6/6" in said, error

    status, said, _ = run("runs", "--json")
    (listed,) = json.loads(said)
    assert status == 0 and (listed["task"], listed["preset"], listed["corpus"]) == (
        "translation",
        "transformer-toy",
        corpus,
    )
    assert listed["state"] == "finished" and listed["val_loss"] > 0
    assert "BLEU 0." in run("runs")[1]

    status, said, error = run("doctor", "runs/corpus-1")
    assert status == 0 and "6 of 6 steps" in said and "token accuracy" in said, error
    assert " after 6 steps, with label smoothing 0.1; " in said

    status, _, error = run("sample", "runs/corpus-1")
    assert (
        status == 2 and error.count("\n") == 1 and "a translator: try `tinygrad-gpt translate runs/corpus-1 " in error
    )
    status, said, error = run("export", "runs/corpus-1", "out")
    assert status == 0 and Path("out/tokenizer.json").exists(), error


@pytest.mark.long
def test_a_sweep_and_a_comparison(run, corpus):
    options = ("--sweep", "label-smoothing=0,0.1", "--out", "sweep")
    status, said, error = run("train", corpus, *LANGUAGES, *SMALL, *options)
    assert status == 0, error
    assert (
        "label-smoothing" in said and "BLEU" in said and "try  tinygrad-gpt translate sweep/label-smoothing-0" in said
    )
    status, said, error = run("train", "--resume", "sweep")
    assert status == 0, error
    status, said, error = run("compare", "sweep")
    assert status == 0 and "label-smoothing" in said, error
    status, _, error = run("train", corpus, *LANGUAGES, *SMALL, "--vocab", "270", "--out", "sweep/other")
    assert status == 0, error
    assert "bits per byte" in run("compare", "sweep")[1], "other tokens"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--prompt a", "--prompt is not a setting of a Transformer"),
        ("--batch-size 3", "counted in tokens: give --batch-tokens, not --batch-size"),
        ("--schedule noem", "schedule should be one of cosine, linear, constant, inverse_sqrt, noam"),
        ("--target en", "say from which language to translate into which other one"),
        ("--target de", "has no file corpus.de"),
        ("--batch-tokens 4", "a batch 4 at most"),
        ("--block-size 1", "longer than the 1 positions of the model"),
        ("--model own.py", "own.py"),
        ("--sweep corpus=a,b", "all runs of a sweep have the same corpus"),
    ],
)
def test_settings_that_cannot_be(run, corpus, options, says):
    status, _, error = run("train", corpus, *LANGUAGES, *SMALL, *options.split())
    assert status == 2 and says in error and error.count("\n") == 1 and not Path("runs").exists()


def test_pairs_of_sentences_want_a_preset_that_trains_a_translator(run):
    for preset in ([], ["--preset", "tiny"]):
        status, _, error = run("train", "multi30k-en-de", *preset)
        assert status == 2 and error.count("\n") == 1
        assert "multi30k-en-de has pairs of sentences: give --preset transformer-tiny" in error


def test_a_model_of_ones_own_is_in_place_of_a_gpt(run, corpus):
    Path("own.py").write_text("from tinygrad_gpt.nn import Module\nclass Model(Module): pass\n", encoding="utf-8")
    status, _, error = run("train", corpus, *LANGUAGES, *SMALL, "--model", "own.py")
    assert status == 2 and "--model is in place of a GPT, and the preset transformer-toy makes a Transformer" in error


@pytest.mark.long
def test_the_paper_schedule_on_the_command_line(run, corpus):
    """Its --lr is 1 unless another one is given: the preset's is of another schedule."""
    noam = *LANGUAGES, *SMALL, "--schedule", "noam"
    status, _, error = run("train", corpus, *noam, "--lr", "0.5", "--out", "half")
    status, _, error = run("train", corpus, *noam, "--out", "run")
    assert status == 0, error
    config, half = (json.loads(Path(folder, "config.json").read_text(encoding="utf-8")) for folder in ("run", "half"))
    assert (config["train"]["lr"], half["train"]["lr"]) == (1.0, 0.5)
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows[0]["lr"] == pytest.approx((8 * 2) ** -0.5) and rows[1]["lr"] == pytest.approx((8 * 4) ** -0.5)
    assert run("doctor", "run")[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("damage", ["cut", "weights"])
def test_a_corrupt_checkpoint_is_one_line_and_nothing_is_lost(run, corpus, damage):
    assert run("train", corpus, *LANGUAGES, *SMALL, "--out", "run")[0] == 0
    checkpoint = Path("run/checkpoint.safetensors")
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[:-9] if damage == "cut" else whole[:-9] + bytes(9))
    status, _, error = run("train", "--resume", "run", "--steps", "8")
    assert status == 2 and error.count("\n") == 1 and "damaged" in error
    checkpoint.write_bytes(whole)
    status, _, error = run("train", "--resume", "run", "--steps", "8")
    assert status == 0, error
