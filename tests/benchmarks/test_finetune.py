"""The benchmark of fine-tuning: it refuses sides that differ, and both sides do compute the same."""

import finetune
import harness
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.models import GPT2, GPTConfig


def answers(ours, theirs):
    return {finetune.OURS: [{"loss": x} for x in ours], finetune.THEIRS: [{"loss": x} for x in theirs]}


def test_sides_that_differ_are_refused():
    finetune.validate(answers([4.0, 3.0], [4.00005, 3.0]), "step")
    with pytest.raises(SystemExit, match="transformers computes another step than tinygrad_gpt"):
        finetune.validate(answers([4.0, 3.0], [4.0, 3.001]), "step")


def test_an_evaluation_has_the_windows_that_it_should():
    from tinygrad_gpt.tasks.perplexity import sliding_windows

    windows = list(sliding_windows(len(finetune.stream(32, 97)), 32, 16))
    assert len(windows) == finetune.WINDOWS and windows[-1].end - windows[-1].begin == 32


def small_folder(folder):
    random_stream.manual_seed(0)
    GPT2(GPTConfig(vocab_size=97, block_size=32, n_layer=2, n_head=2, n_embd=16)).save_pretrained(folder)
    return str(folder)


@pytest.mark.long
def test_our_side_learns_and_measures(tmp_path):
    arguments = small_folder(tmp_path / "gpt2"), "32"
    with harness.Peer(finetune.OURS, harness.PEERS / "ours_finetune.py", *arguments) as ours:
        steps = [ours.ask("train", batch_size=2, recompute=recompute) for recompute in (False, True)]
        assert steps[1]["loss"] < steps[0]["loss"] and steps[0]["tokens"] == 64
        assert ours.ask("evaluate")["tokens"] == 63


@pytest.mark.reference
def test_both_sides_compute_the_same(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    folder = small_folder(tmp_path / "gpt2")
    records = [finetune.measure(folder, 32, request, name, 2) for name, request in finetune.tasks(32, 2)]
    assert [record["tokens"] for record in records] == [64, 64, 63]
    assert finetune.table(records).count("\n") == 4
