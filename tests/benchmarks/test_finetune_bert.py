"""The benchmark that fine-tunes a BERT: it refuses sides that differ, and both sides do compute the same."""

import finetune_bert
import numpy as np
import pytest

from tinygrad_gpt import random_stream
from tinygrad_gpt.data import LabelledPairs, WordPieceTokenizer
from tinygrad_gpt.data.xlnet_tokenizer import XLNetTokenizer
from tinygrad_gpt.models import BertConfig, BertModel, XLNetConfig, XLNetModel

OURS, THEIRS = finetune_bert.OURS, finetune_bert.THEIRS


def test_sides_that_differ_are_refused():
    finetune_bert.validate({OURS: [[1.0, 2.0]], THEIRS: [[1.00005, 2.0]]}, "stsb")
    for other in ([[1.0, 2.001]], [[1.0]]):
        with pytest.raises(SystemExit, match="transformers computes other scores than tinygrad_gpt for stsb"):
            finetune_bert.validate({OURS: [[1.0, 2.0]], THEIRS: other}, "stsb")


def test_a_seed_draws_the_same_examples_each_time_and_labels_stay_with_their_texts():
    texts = [f"text {i}" for i in range(50)]
    pairs = LabelledPairs(texts, texts, np.arange(50.0))
    one, again, other = (finetune_bert.some_of(pairs, 7, seed) for seed in (1, 1, 2))
    assert one.first == again.first != other.first and len(one) == 7
    assert [f"text {label:.0f}" for label in one.labels] == one.first == one.second
    assert finetune_bert.some_of(pairs, None, 1) is pairs is finetune_bert.some_of(pairs, 50, 1)


def test_a_table_has_the_mean_and_the_spread_of_each_score():
    def run(f1, seconds):
        return {"dev": {"f1": f1, "val_loss": 1.0}, "seconds": seconds}

    record = {"task": "wnut17", "runs": {OURS: [run(0.25, 10), run(0.75, 20)], THEIRS: [run(0.5, 30), run(0.5, 30)]}}
    said = finetune_bert.table([record])
    assert "| wnut17, dev: f1 | 0.5000 ± 0.3536 | 0.5000 ± 0.0000 |" in said
    assert "| wnut17: seconds of training | 15 ± 7 | 30 ± 0 |" in said and "val_loss" not in said


@pytest.fixture
def request_for(tmp_path):
    """A tiny BERT, and what is asked for of a side that fine-tunes it on a file of this content."""
    random_stream.manual_seed(0)
    tokenizer = WordPieceTokenizer.train(["the quick brown fox jumps over the lazy dog , and she saw anna in rome"], 80)
    shape = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    config = BertConfig(tokenizer.vocab_size, max_position_embeddings=24, **shape, **NO_DROPOUT)
    BertModel(config).save_pretrained(tmp_path / "bert", tokenizer=tokenizer)

    def request_for(name, content):
        (tmp_path / name).write_text(content, encoding="utf-8")
        request = {"task": str(tmp_path / name), "model": str(tmp_path / "bert"), "examples": 12, "epochs": 3}
        return request | {"batch_size": 4, "lr": 1e-2, "max_length": 16, "weight_decay": 0.1}

    return request_for


NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
FILES = {
    "own.conll": "she\tO\nsaw\tO\nanna\tB-PERSON\n\nthe\tO\nlazy\tO\ndog\tO\n\n" * 10,
    "own.csv": "text_a,text_b,score\n" + "a fox,the dog,2\na lazy dog,a dog,4.5\n" * 10,
    "own.tsv": "the lazy fox\tc\nthe dog\td\n" * 10,
}


@pytest.mark.long
def test_our_own_model_is_trained_beside_random_weights(request_for):
    found = finetune_bert.measure(request_for("own.tsv", FILES["own.tsv"]), [1], both=False)
    ((trained,), (new,)) = found["runs"].values()
    assert list(found["runs"]) == ["pre-trained", "random weights"]
    assert trained["steps"] == new["steps"] == 9 and trained["first_loss"] != new["first_loss"]


@pytest.mark.long
def test_an_xlnet_is_too(tmp_path):
    random_stream.manual_seed(0)
    tokenizer = XLNetTokenizer.train(["the quick brown fox jumps over the lazy dog , and she saw anna in rome"], 60)
    XLNetModel(XLNetConfig(60, d_model=8, n_layer=1, n_head=2, d_inner=8)).save_pretrained(tmp_path / "xl", tokenizer)
    (tmp_path / "own.tsv").write_text(FILES["own.tsv"], encoding="utf-8")
    request = {"task": str(tmp_path / "own.tsv"), "model": str(tmp_path / "xl"), "examples": 12, "epochs": 3}
    request |= {"batch_size": 4, "lr": 1e-2, "max_length": 16}
    ((trained,), (new,)) = finetune_bert.measure(request, [1], both=False)["runs"].values()
    assert trained["family"] == new["family"] == "xlnet" and trained["first_loss"] != new["first_loss"]


@pytest.mark.reference
@pytest.mark.parametrize("name", FILES)
def test_without_dropout_both_sides_come_to_the_same(request_for, name):
    pytest.importorskip("transformers", reason="transformers is not installed")
    found = finetune_bert.measure(request_for(name, FILES[name]), [1], both=True)
    (ours,), (theirs,) = found["runs"][OURS], found["runs"][THEIRS]
    assert ours["steps"] == theirs["steps"] == 9
    for loss in ("first_loss", "last_loss"):
        assert ours[loss] == pytest.approx(theirs[loss], abs=1e-4)
    assert ours["dev"] == pytest.approx(theirs["dev"], abs=1e-3)
