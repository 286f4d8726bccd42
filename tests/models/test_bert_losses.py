"""BERT's losses, by each head, and their gradients by finite differences."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.models.small_bert import (
    CONFIG,
    HEADS,
    B,
    T,
    V,
    labels_for,
    padded_batch,
    pretraining_model,
    spread_out,
)
from tests.strict_array import StrictArray
from tinygrad_gpt import functional as F
from tinygrad_gpt.models import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)


@pytest.fixture
def model() -> BertForPreTraining:
    return pretraining_model()


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    return padded_batch()


# --- losses ----------------------------------------------------------------------------------------------------------


def test_the_loss_of_pre_training_is_the_mean_over_masked_places_and_that_over_pairs(model, batch):
    labels = labels_for(model)
    out = model(**batch, **labels)
    rows, places = np.nonzero(labels["labels"] != -100)
    log_p = F.log_softmax(out.prediction_logits).data[rows, places, labels["labels"][rows, places]]
    pairs = F.log_softmax(out.seq_relationship_logits).data[np.arange(B), labels["next_sentence_label"]]
    assert out.loss.item() == pytest.approx(-log_p.mean() - pairs.mean(), abs=1e-12)
    parts = model.loss(**batch, **labels)
    assert parts.masked.item() == pytest.approx(-log_p.mean(), abs=1e-12)
    assert parts.next_sentence.item() == pytest.approx(-pairs.mean(), abs=1e-12)
    assert parts.total.item() == pytest.approx(out.loss.item(), abs=1e-12)
    over_all_places = -log_p.sum() / labels["labels"].size  # what a mean over all places would say
    assert abs(parts.masked.item() - over_all_places) > 0.1
    assert model(**batch, labels=labels["labels"]).loss is None, "only when both labels are given, as in transformers"


def test_scores_are_computed_at_masked_places_only(model, batch):
    with model.watching("masked_lm.decoder") as seen:
        model.loss(**batch, **labels_for(model))
    assert seen["masked_lm.decoder"].output.shape == ((labels_for(model)["labels"] != -100).sum(), V)


def test_the_first_label_of_next_sentence_counts(model, batch):
    """0, which is "B follows A", is no label to ignore, and it is the first of the two scores."""
    labels = labels_for(model)
    out = model(**batch)
    scores = F.softmax(out.seq_relationship_logits).data
    for label in (0, 1):
        labels["next_sentence_label"] = np.full(B, label)
        loss = model.loss(**batch, **labels).next_sentence
        assert loss.item() == pytest.approx(-np.log(scores[:, label]).mean(), abs=1e-12)
    model.loss(**batch, **(labels | {"next_sentence_label": np.zeros(B, int)})).next_sentence.backward()
    assert np.abs(model.next_sentence.weight.grad).max() > 1e-3


@pytest.mark.parametrize("kind", [BertForPreTraining, BertForMaskedLM, BertForTokenClassification])
def test_labels_that_are_all_ignored_are_refused_and_give_no_nan(kind, batch):
    model = spread_out(kind(CONFIG))
    labels = labels_for(model) | {"labels": np.full((B, T), -100)}
    with pytest.raises(ValueError, match="all of them ignore_index=-100: their mean is not defined"):
        model(**batch, **labels)
    if kind is BertForPreTraining:
        with pytest.raises(ValueError, match="expected at least one target that counts, got 0"):
            model.loss(**batch, **labels)


def test_ignored_labels_change_neither_loss_nor_gradients(batch):
    model = spread_out(BertForTokenClassification(CONFIG, 2))
    labels = labels_for(model)["labels"]
    counted = labels != -100
    out = model(**batch, labels=labels)
    log_p = F.log_softmax(out.logits).data[counted]
    assert out.loss.item() == pytest.approx(-log_p[np.arange(len(log_p)), labels[counted]].mean(), abs=1e-12)


def test_answers_beyond_the_text_are_ignored(batch):
    model = spread_out(BertForQuestionAnswering(CONFIG))
    start, end = np.array([1, 3, T + 4]), np.array([2, T, T + 9])
    out = model(**batch, start_positions=start, end_positions=end)
    first = -F.log_softmax(out.start_logits).data[[0, 1], [1, 3]].mean()
    last = -F.log_softmax(out.end_logits).data[0, 2]
    assert out.loss.item() == pytest.approx((first + last) / 2, abs=1e-12)


def test_numbers_and_several_labels_of_a_text(batch):
    model = spread_out(BertForSequenceClassification(CONFIG, 1))
    numbers = np.array([0.5, -1.0, 2.0])
    out = model(**batch, labels=numbers)
    assert out.logits.shape == (B, 1)
    assert out.loss.item() == pytest.approx(((out.logits.data[:, 0] - numbers) ** 2).mean(), abs=1e-12)
    with pytest.raises(ValueError, match=r"expected labels of shape \(3,\), got \(2,\)"):
        model(**batch, labels=numbers[:2])
    model = spread_out(BertForSequenceClassification(CONFIG, 4, problem_type="multi_label_classification"))
    chosen = np.random.default_rng(4).integers(0, 2, (B, 4))
    out = model(**batch, labels=chosen)
    p = 1 / (1 + np.exp(-out.logits.data))
    expected = -np.where(chosen == 1, np.log(p), np.log(1 - p)).mean()
    assert out.loss.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "problem"), [(1, "regression"), (4, "regression"), (4, "multi_label_classification")]
)
def test_labels_come_to_the_device_of_the_model(batch, labels, problem):
    """A trainer gives NumPy arrays, whatever the model's are."""
    model = spread_out(BertForSequenceClassification(CONFIG, labels, problem_type=problem))
    given = np.random.default_rng(4).integers(0, 2, (B, labels)).astype(np.float32)
    expected = model(**batch, labels=given).loss.item()
    for p in model.parameters():
        p.data = StrictArray(p.data)
    with tg.using("reference"):
        assert model(**batch, labels=given).loss.item() == pytest.approx(expected, rel=1e-10)


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_are_those_of_finite_differences(kind, batch):
    model = spread_out(kind(BertConfig(**(vars(CONFIG) | {"pad_token_id": None}))))
    labels = labels_for(model)
    model(**batch, **labels).loss.backward()
    rng = np.random.default_rng(5)
    for name, p in model.named_parameters():
        direction = rng.normal(size=p.shape)
        analytic = float((np.asarray(p.grad) * direction).sum())
        values, step, losses = p.data.copy(), 1e-5, []
        for sign in (1, -1):
            p.data[...] = values + sign * step * direction
            with tg.no_grad():
                losses.append(model(**batch, **labels).loss.item())
        p.data[...] = values
        numeric = (losses[0] - losses[1]) / (2 * step)
        assert analytic == pytest.approx(numeric, rel=1e-5, abs=1e-7), name


def test_recomputing_blocks_gives_the_same_gradients(model, batch):
    gradients = []
    model.train()
    for on in (False, True):
        model.recompute = on
        assert model.bert.recompute is on
        tg.manual_seed(6)  # dropout too is the same
        model.loss(**batch, **labels_for(model)).total.backward()
        gradients.append({name: np.asarray(p.grad).copy() for name, p in model.named_parameters()})
        model.zero_grad()
    for name, gradient in gradients[0].items():
        np.testing.assert_array_equal(gradients[1][name], gradient, err_msg=name)


def test_a_small_batch_is_learnt_by_heart(batch):
    tg.manual_seed(7)
    model = BertForPreTraining(CONFIG)
    labels = labels_for(model)
    optimizer = tg.optim.AdamW(model.parameters(), lr=1e-2)
    model.eval()
    first = model.loss(**batch, **labels).total.item()
    for _ in range(40):
        optimizer.zero_grad()
        model.loss(**batch, **labels).total.backward()
        optimizer.step()
    assert first > 2 and model.loss(**batch, **labels).total.item() < 0.1
