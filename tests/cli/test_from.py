"""The command with models that were trained before: train --from, eval --stride, sample, export."""

import json
import re

import numpy as np
import pytest

from tests.helpers import assert_one_line_error
from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.models import GPT2, GPTConfig
from tinygrad_gpt.models.hf.pretrained import save_pretrained
from tinygrad_gpt.train.reporter import Reporter

TEXT = "the quick brown fox jumps over the lazy dog\n" * 20
SHORT = ["--from", "hf", "--out", "run", "--steps", "3", "--batch-size", "2", "--sample-tokens", "5"]


@pytest.fixture(autouse=True)
def checkpoint(own_place, tmp_path):
    """A Hugging Face folder, hf, with a small GPT-2 of 16 positions."""
    random_stream.manual_seed(3)
    tokenizer = CharTokenizer(TEXT)
    shape = GPTConfig(vocab_size=tokenizer.vocab_size + 2, block_size=16, n_layer=2, n_head=2, n_embd=8, dropout=0.1)
    save_pretrained(GPT2(shape), tmp_path / "hf", tokenizer)


def number(said: str, name: str) -> float:
    return float(re.search(rf"^{name} +([\d.,]+)", said, re.MULTILINE)[1].replace(",", ""))


# --- train --from ---------------------------------------------------------------------------------------------------


def test_train_goes_on_from_a_folder(run, tmp_path):
    status, said, _ = run("train", "text.txt", *SHORT, "--block-size", "8", "--recompute", "--accumulate", "2")
    assert status == 0
    assert said.startswith("training in run from hf: preset finetune, ")
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["model"]["block_size"] == 16 and config["task"]["window"] == 8
    assert config["train"]["recompute"] is True and config["train"]["accumulate"] == 2
    assert config["from"]["name"] == "hf" and config["from"]["hf_config"]["model_type"] == "gpt2"
    assert run("sample", "run", "--tokens", "5")[0] == 0
    assert run("train", "text.txt", "--from", "run", "--steps", "2", "--out", "second", "--sample-tokens", "0")[0] == 0


def test_ctrl_c_saves(run, monkeypatch):
    import signal

    monkeypatch.setattr(Reporter, "step", lambda self, step, loss: step == 2 and signal.raise_signal(signal.SIGINT))
    status, said, error = run("train", "text.txt", *SHORT)
    assert status == 130 and error == ""
    assert said.endswith("stopped and saved at step 2; continue with: tinygrad-gpt train --resume run\n")
    monkeypatch.setattr(Reporter, "step", lambda self, step, loss: None)
    status, said, _ = run("train", "--resume", "run", "--block-size", "16")
    assert status == 0 and said.startswith("resuming run at step 2 from hf: ")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("train text.txt --from hf --n-layer 3", ["--n-layer cannot be given with --from", "n_layer 2"]),
        ("train text.txt --from hf --norm post", ["--norm cannot be given with --from"]),
        ("train text.txt --from hf --block-size 17", ["a window of 17 tokens", "the 16 positions"]),
        ("train text.txt --from nowhere/at/all", ["there is no folder nowhere/at/all"]),
        ("train text.txt --from text.txt", ["text.txt is a file: give its folder"]),
        ("train text.txt --from empty", ["empty is not a run folder: it has no config.json"]),
        ("train text.txt --from hf --tokenizer nope", ["there is no tokenizer 'nope'"]),
        ("train text.txt --from hf --tokenizer bpe --bpe-vocab 300", ["the tokenizer has", "but hf only"]),
        ("train text.txt --preset finetune", ["the preset finetune starts from a trained model", "--from"]),
        ("train text.txt --preset tiny --tokenizer own", ["--tokenizer own", "--from"]),
        ("train text.txt --from hf --accumulate 0", ["accumulate should be at least 1"]),
        ("train text.txt --from hf --batches sorted", ["batches should be one of random, epochs"]),
        ("eval hf", ["hf does not say which text it was trained on", "tinygrad-gpt eval hf CORPUS"]),
        ("eval hf text.txt --stride 16", ["the stride should be at least 1 and less than the block size, which is 16"]),
        ("eval hf text.txt --stride 0", ["the stride should be at least 1"]),
        ("eval hf text.txt --block-size 99", ["--block-size should be at most the 16 positions"]),
        ("eval hf text.txt --batch-size 0", ["--batch-size"]),
        ("eval nowhere/at/all text.txt", ["there is no folder nowhere/at/all"]),
        ("sample nowhere/at/all", ["there is no folder nowhere/at/all"]),
        ("sample hf --tokenizer nope", ["nope"]),
        ("export hf hf", ["hf exists and is not empty"]),
        ("export nowhere/at/all new", ["there is no folder"]),
    ],
)
def test_one_clear_line(run, tmp_path, arguments, parts):
    pytest.importorskip("tokenizers")
    (tmp_path / "empty").mkdir()
    assert_one_line_error(run(*arguments.split()), *parts)
    assert not (tmp_path / "runs").exists() and not (tmp_path / "new").exists(), "something was left behind"


def test_presets_tell_of_fine_tuning(run):
    status, said, _ = run("presets")
    assert status == 0 and "finetune" in said and "100 steps of 8 x up to 1024 tokens" in said


# --- using models ---------------------------------------------------------------------------------------------------


def test_eval_with_and_without_a_stride(run):
    status, blocks, _ = run("eval", "hf", "text.txt", "--batch-size", "3")
    assert status == 0
    assert blocks.startswith("text.txt, validation part: 80 of 88 tokens in blocks of 16\n")
    status, windows, error = run("eval", "hf", "text.txt", "--stride", "4", "--block-size", "12")
    assert status == 0 and error == ""
    assert windows.startswith("text.txt, validation part: 87 of 88 tokens in windows of 12, stride 4\n")
    for said in (blocks, windows):
        loss = number(said, "loss")
        assert number(said, "perplexity") == pytest.approx(np.exp(loss), rel=1e-3)
        assert number(said, "per word") == pytest.approx(np.exp(loss * 88 / 18), rel=1e-2)
        assert number(said, "bits per byte") == pytest.approx(loss / np.log(2), abs=1e-3)  # a byte a character
        assert number(said, "speed") > 0
    assert re.search(r"^per word .* \(18 words\)$", windows, re.MULTILINE)


def test_eval_of_a_fine_tuned_run(run):
    run("train", "text.txt", *SHORT, "--block-size", "8", "--eval-interval", "1")
    status, said, _ = run("eval", "run")
    assert status == 0 and "80 of 88 tokens in blocks of 8" in said
    with open("run/metrics.jsonl", encoding="utf-8") as file:
        last = json.loads(file.readlines()[-1])
    assert number(said, "loss") == pytest.approx(last["val_loss"], abs=1e-4)


def test_progress_is_shown_in_a_terminal_only(run, monkeypatch):
    import sys

    _, _, quiet = run("eval", "hf", "text.txt", "--stride", "4")
    assert quiet == ""
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True, raising=False)
    _, _, shown = run("eval", "hf", "text.txt", "--stride", "4")
    assert "of 87 tokens" in shown and "tokens/s" in shown


def test_sample_from_a_folder(run):
    """Its two last ids belong to no token."""
    status, said, _ = run("sample", "hf", "--prompt", "the ", "--tokens", "60", "--seed", "1")
    assert status == 0 and said.startswith("the ") and len(said) == 4 + 60 + 1
    assert "\N{REPLACEMENT CHARACTER}" in said


def test_export_and_back(run, tmp_path):
    run("train", "text.txt", *SHORT)
    status, said, _ = run("export", "run", "exported")
    assert status == 0 and said.startswith("exported: try ")
    assert {path.name for path in (tmp_path / "exported").iterdir()} >= {"config.json", "model.safetensors"}
    losses = [number(run("eval", name, "text.txt", "--stride", "5")[1], "loss") for name in ("run", "exported", "hf")]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.long
def test_an_exported_model_of_characters_keeps_its_tokenizer(run, small_run, tmp_path):
    status, said, _ = run("export", str(small_run), "own")
    assert status == 0 and "AutoTokenizer.from_pretrained('own')" in said
    assert "the 28 characters of its training text; any other is an error" in said
    status, said, error = run("train", "text.txt", "--from", "own", "--out", "again", "--steps", "1")
    assert (status, error) == (0, "")
    assert (tmp_path / "again" / "tokenizer.json").read_bytes() == (small_run / "tokenizer.json").read_bytes()
    how = ["--tokens", "9", "--temperature", "0.5", "--seed", "1"]
    assert run("sample", "own", *how) == run("sample", str(small_run), *how)
