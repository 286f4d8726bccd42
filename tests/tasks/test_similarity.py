"""Similarity: a number for a pair of texts, on the scale of the training examples."""

import numpy as np
import pytest

from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig
from tinygrad_gpt.tasks.similarity import Similarity, numbers


@pytest.fixture
def make(examples, wordpiece, encoder):
    def make(max_length=None):
        family = BertFamily(wordpiece, encoder.config, 0.0, max_length)
        task = Similarity(FineTuneConfig(lm_weight=0.0), examples("similarity"), family, rows=6)
        return task, family.first_model(encoder, "similarity", task.outputs, True, seed=1)

    return make


def test_the_loss_is_the_mean_squared_error_and_the_labels_keep_their_scale(make):
    task, model = make()
    model.eval()
    *inputs, right = task.batch(0)
    assert set(right) <= {0.0, 1.0, 2.0, 3.0} and right.dtype == np.float64
    given = model(*inputs).logits.numpy()
    assert given.shape == (6, 1)
    assert task.loss(model, *inputs, right).total.item() == pytest.approx(np.mean((given[:, 0] - right) ** 2), rel=1e-5)


def test_scores_are_correlations_and_val_loss_the_error(make):
    task, _ = make()
    right = task.labelled.dev.labels
    assert task.measure([np.array([x * 2 + 1]) for x in right]) == pytest.approx(
        {"spearman": 1, "pearson": 1, "val_loss": np.mean((right + 1) ** 2)}
    )
    assert task.measure([np.array([-(x**3)]) for x in right])["spearman"] == pytest.approx(-1)
    assert list(task.metrics) == ["spearman", "pearson", "val_loss"]
    assert task.baseline() == {"spearman": 0, "pearson": 0} and task.facts(None) == {} and task.probe() is None


def test_numbers_are_those_that_are_measured(make):
    task, model = make()
    dev = task.labelled.dev
    found = numbers(task.family, model, list(zip(dev.first, dev.second, strict=True)))
    assert found.shape == (12,) and np.ptp(found) > 0
    assert task.evaluate(model)["val_loss"] == pytest.approx(np.mean((found - dev.labels) ** 2))
    lines = [line.split("\t") for line in task.sample(model)]
    assert [float(line[0]) for line in lines] == pytest.approx(found[:5], abs=0.006)
    assert lines[0][2:] == [dev.first[0], f"{dev.second[0]}\n"] and task.example() == [dev.first[0], dev.second[0]]


def test_pairs_that_are_cut_are_told(make):
    assert make()[0].remark() == ""
    assert make(max_length=8)[0].remark() == "24 of 24 pairs of texts are cut at 8 tokens"
