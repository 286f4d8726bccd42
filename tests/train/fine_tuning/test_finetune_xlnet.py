"""Fine-tuning an XLNet: its runs and results, going on after a stop, and the model in use."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.tasks.conftest import examples  # noqa: F401 - a fixture
from tests.train.fine_tuning.test_finetune import assert_same
from tests.train.runs import StopsAt, rows_of
from tinygrad_gpt import random_stream
from tinygrad_gpt.data import XLNetTokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import XLNetConfig, XLNetForSequenceClassification, XLNetModel
from tinygrad_gpt.train.fine_tuning import finetune
from tinygrad_gpt.train.fine_tuning.fine_tuned import FineTuned, head_in
from tinygrad_gpt.train.fine_tuning.finetune import find_source, open_run, train
from tinygrad_gpt.train.fine_tuning.folder import read_fine_tuned, runs_of

QUICK = dict(epochs=4, batch_size=6, lr=1e-2)
WORDS = ["the man saw a dog in the park , she was there , who ? anna ben carla dan rome paris oslo bern at home"] * 3


@pytest.fixture
def source(tmp_path):
    """A Hugging Face folder with a tiny XLNet and its tokenizer."""
    random_stream.manual_seed(2)
    tokenizer = XLNetTokenizer.train(WORDS, 70)
    shape = dict(d_model=16, n_layer=1, n_head=2, d_inner=32, initializer_range=0.1)
    XLNetModel(XLNetConfig(tokenizer.vocab_size, **shape)).save_pretrained(tmp_path / "pre", tokenizer)
    return find_source("pre")


@pytest.fixture
def begin(examples, source):  # noqa: F811
    """The folder of a new fine-tuning on a kind of examples."""

    def begin(kind, seeds=(1,), out=None, **given):
        data = finetune.open_task(kind) if Path(kind).exists() else examples(kind)
        return finetune.start(data, source, source.tokenizer(), QUICK | given, [], list(seeds), out)

    return begin


@pytest.mark.parametrize("kind", ["classes", "pair-classes", "similarity"])
def test_each_kind_leaves_its_results_and_a_model_to_use(begin, reporter, kind):
    path = begin(kind)
    assert train(path, reporter)
    deciding = "spearman" if kind == "similarity" else "matthews"
    (result,) = json.loads((path / "results.json").read_text(encoding="utf-8"))["runs"]
    assert result["finished"] and result["epoch"] == 4 and "lm_weight" not in result
    rows = rows_of(runs_of(path)[0])
    assert rows[-1][deciding] == result[deciding] and rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert "health" in rows[-1]

    model, texts = FineTuned(path), ["she saw anna", "anna was there"]
    assert isinstance(model.model, XLNetForSequenceClassification)
    found = list(model.predict(texts))
    assert len(found) == (2 if kind == "classes" else 1)
    model.save_pretrained(Path("hf"))
    assert head_in(Path("hf")) == "XLNetForSequenceClassification"
    again = FineTuned("hf")
    assert again.kind == ("classes" if kind == "pair-classes" else kind)
    if kind != "pair-classes":  # whose folder does not say that it reads pairs
        assert list(again.predict(texts)) == found


def test_the_papers_settings_are_the_defaults(examples, source):  # noqa: F811
    path = finetune.start(examples("classes"), source, source.tokenizer(), {"epochs": 30}, [], [1])
    written = read_fine_tuned(runs_of(path)[0])
    assert written["train"]["warmup"] == 3 and written["train"]["steps"] == 30
    known = dict(lr=2e-5, batch_size=32, schedule="linear", min_lr=0.0, weight_decay=0.01)
    assert {name: written["train"][name] for name in known} == known
    assert written["family"] == "xlnet" and written["model"]["d_model"] == 16
    assert written["task"]["head_dropout"] == 0.1 == open_run(runs_of(path)[0]).model.dropout.p


@pytest.mark.long
def test_a_stopped_fine_tuning_ends_as_one_that_was_never_stopped(begin, reporter):
    whole, stopped = (begin("classes", seeds=(1, 2), out=Path(name)) for name in ("whole", "stopped"))
    assert train(whole, reporter)
    assert not train(stopped, StopsAt(3))
    assert train(stopped, reporter)
    assert_same(whole, stopped)


def test_random_weights_for_comparison(begin):
    trained, new = (open_run(runs_of(begin("classes", pretrained=p))[0]).model for p in (True, False))
    before = find_source("pre").encoder().token_embedding.weight.data
    np.testing.assert_array_equal(trained.transformer.token_embedding.weight.data, before)
    assert not np.array_equal(new.transformer.token_embedding.weight.data, before)


@pytest.mark.parametrize("kind", ["tokens", "spans"])
def test_kinds_that_it_does_not_learn_leave_no_folder(begin, kind):
    with pytest.raises(UserError, match=r"no XLNet here learns to .*: fine-tune a BERT"):
        begin(kind)
    assert not Path("runs").exists()
