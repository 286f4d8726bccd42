"""GPT-1's heads: what they read, what the loss is made of, and gradients by finite differences."""

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.data import gpt1_inputs
from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.models.gpt1_heads import (
    GPT1ForClassification,
    GPT1ForMultipleChoice,
    GPT1ForSimilarity,
    GPT1ForTokenClassification,
    with_new_tokens,
)

V = 11
TOKENS = TaskTokens.after(V)
TEXTS = [np.array([1, 2, 3, 4]), np.array([5, 6]), np.array([7, 8, 9])]
LABELS = np.array([2, 0, 1])


def body(**settings) -> GPT:
    random_stream.manual_seed(3)
    config = dict(vocab_size=V, block_size=12, n_layer=2, n_head=2, n_embd=8, norm="post")
    return with_new_tokens(GPT(GPTConfig(**(config | settings))).to(np.float64), TaskTokens.COUNT)


def spread_out(model):
    """`model` in float64 with larger weights: at their initial size all texts look alike."""
    rng = np.random.default_rng(5)
    for p in model.to(np.float64).parameters():
        p.data += rng.normal(0, 0.3, p.shape)
    return model.eval()


@pytest.fixture
def batch():
    return gpt1_inputs.pad([gpt1_inputs.classification(text, TOKENS, 12) for text in TEXTS])


@pytest.fixture
def classifier():
    return spread_out(GPT1ForClassification(body(), 3))


# --- new tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [dict(norm="post"), dict(norm="pre", tied=False)], ids=["gpt1", "untied"])
def test_new_tokens_leave_the_old_ones_as_they_were(settings):
    random_stream.manual_seed(1)
    small = GPT(GPTConfig(V, block_size=8, n_layer=1, n_head=2, n_embd=64, **settings)).eval()
    before = {name: a.copy() for name, a in small.state_dict().items()}
    large = with_new_tokens(small, 3)
    assert large.config.vocab_size == V + 3 and not large.training
    ids = np.arange(6).reshape(1, 6)
    np.testing.assert_array_equal(large.features(ids).data, small.features(ids).data)
    # Products of V and of V + 3 columns need not add up in the same order: each is off by n u Σ|terms| at most.
    sizes = np.abs(small.features(ids).data) @ np.abs(small.head.weight.data.T)
    difference = np.abs(large(ids).data[..., :V] - small(ids).data)
    assert (difference <= 64 * np.finfo(np.float32).eps * sizes).all()
    new = large.token_embedding.weight.data[V:]
    assert 0.015 < new.std() < 0.025 and abs(new.mean()) < 0.005
    if not large.config.tied:
        assert 0.015 < large.head.weight.data[V:].std() < 0.025
    for name, a in small.state_dict().items():
        np.testing.assert_array_equal(a, before[name])
    large.token_embedding.weight.data[...] = 0
    assert small.token_embedding.weight.data.any(), "the copy shares no weights"


def test_new_tokens_keep_the_kind_of_model():
    class Mine(GPT):
        pass

    assert type(with_new_tokens(Mine(GPTConfig(V, n_embd=8, n_layer=1)), 3)) is Mine


# --- what they read -------------------------------------------------------------------------------------------------


def test_the_extract_token_is_read(classifier, batch):
    features = classifier.body.features(batch.ids).data
    expected = features[np.arange(3), batch.last] @ classifier.score.weight.data.T + classifier.score.bias.data
    np.testing.assert_allclose(classifier(*batch).data, expected, atol=1e-12)


def test_padding_changes_nothing(classifier, batch):
    for row, text in enumerate(TEXTS):
        alone = gpt1_inputs.pad([gpt1_inputs.classification(text, TOKENS, 12)])
        np.testing.assert_allclose(classifier(*alone).data[0], classifier(*batch).data[row], atol=1e-12)


def test_every_token_before_the_extract_token_counts(classifier, batch):
    before = classifier(*batch).data
    for row, last in enumerate(batch.last):
        for place in range(last):
            ids = batch.ids.copy()
            ids[row, place] = (ids[row, place] + 1) % V
            changed = np.abs(classifier(ids, batch.last).data - before).max(axis=1)
            assert changed[row] > 1e-6 and np.delete(changed, row).max() == 0


def test_ids_may_be_unsigned(classifier, batch):
    losses = [classifier.loss(batch.ids.astype(dtype), batch.last, LABELS).total for dtype in (np.int64, np.uint16)]
    assert losses[0].data == losses[1].data


def test_similarity_doesnt_know_which_text_came_first():
    model = spread_out(GPT1ForSimilarity(body(), 2))
    orders = gpt1_inputs.pad_groups([gpt1_inputs.similarity(a, b, TOKENS, 12) for a, b in [TEXTS[:2], TEXTS[1::-1]]])
    scores = model(*orders).data
    assert scores.shape == (2, 2)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-12)
    each = [model.body.features(ids).data[np.arange(2), last] for ids, last in zip(*orders, strict=True)]
    expected = each[0].sum(axis=0) @ model.score.weight.data.T + model.score.bias.data
    np.testing.assert_allclose(scores[0], expected, atol=1e-12)


def test_multiple_choice_follows_its_answers():
    model = spread_out(GPT1ForMultipleChoice(body()))
    forth = gpt1_inputs.multiple_choice(TEXTS[0], TEXTS[1:], TOKENS, 12)
    scores = model(*gpt1_inputs.pad_groups([forth, forth[::-1]])).data
    assert scores.shape == (2, 2) and abs(scores[0, 0] - scores[0, 1]) > 1e-6
    np.testing.assert_allclose(scores[0], scores[1, ::-1], atol=1e-12)


def test_dropout_acts_on_what_is_read_in_training_only(batch):
    model = spread_out(GPT1ForClassification(body(), 3, dropout=0.5))
    quiet = model(*batch).data
    np.testing.assert_array_equal(model(*batch).data, quiet)
    model.train()
    assert np.abs(model(*batch).data - quiet).max() > 1e-3


# --- the loss ---------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_papers(classifier, batch):
    loss = classifier.loss(*batch, LABELS, lm_weight=0.3)
    task = F.cross_entropy(classifier(*batch), LABELS).item()
    # L1 by hand: every token of every text from the second on, the extract token too, and no padding
    log_p = F.log_softmax(classifier.body(batch.ids)).data
    predicted = [log_p[row, t, batch.ids[row, t + 1]] for row, last in enumerate(batch.last) for t in range(last)]
    assert len(predicted) == sum(len(text) + 1 for text in TEXTS)
    assert loss.task.item() == pytest.approx(task, abs=1e-12)
    assert loss.language.item() == pytest.approx(-np.mean(predicted), abs=1e-12)
    assert loss.total.item() == pytest.approx(task - 0.3 * np.mean(predicted), abs=1e-12)


def test_without_a_weight_the_language_model_is_not_computed(classifier, batch, monkeypatch):
    def forbidden(*arguments):
        raise AssertionError("a product with the vocabulary")

    monkeypatch.setattr(classifier.body.head, "forward", forbidden)
    loss = classifier.loss(*batch, LABELS, lm_weight=0)
    assert loss.language is None and loss.total is loss.task
    with pytest.raises(AssertionError, match="product with the vocabulary"):
        classifier.loss(*batch, LABELS, lm_weight=0.5)


HEADS = {
    "classification": (
        lambda: GPT1ForClassification(body(), 3),
        lambda: gpt1_inputs.pad([gpt1_inputs.classification(text, TOKENS, 12) for text in TEXTS]),
    ),
    "similarity": (
        lambda: GPT1ForSimilarity(body(), 3),
        lambda: gpt1_inputs.pad_groups([gpt1_inputs.similarity(TEXTS[i], TEXTS[i - 1], TOKENS, 12) for i in range(3)]),
    ),
    "multiple choice": (
        lambda: GPT1ForMultipleChoice(body()),
        lambda: gpt1_inputs.pad_groups([gpt1_inputs.multiple_choice(text, TEXTS, TOKENS, 12) for text in TEXTS]),
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_gradients_are_those_of_finite_differences(name):
    make, sequences = HEADS[name]
    model, batch = spread_out(make()), sequences()
    model.loss(*batch, LABELS, 0.5).total.backward()
    rng = np.random.default_rng(1)
    for parameter_name, p in model.named_parameters():
        direction = rng.normal(size=p.shape)
        analytic = float((p.grad * direction).sum())
        values, step = p.data.copy(), 1e-5
        losses = []
        for sign in (1, -1):
            p.data[...] = values + sign * step * direction
            losses.append(model.loss(*batch, LABELS, 0.5).total.item())
        p.data[...] = values
        numeric = (losses[0] - losses[1]) / (2 * step)
        assert analytic == pytest.approx(numeric, rel=1e-5, abs=1e-7), parameter_name


# --- numbers, and a label for each token -----------------------------------------------------------------------------


def test_a_similarity_with_one_output_is_a_number_with_the_squared_error():
    model = spread_out(GPT1ForSimilarity(body(), 1))
    pairs = [gpt1_inputs.similarity(a, b, TOKENS, 12) for a, b in ((TEXTS[0], TEXTS[1]), (TEXTS[1], TEXTS[2]))]
    ids, last = gpt1_inputs.pad_groups(pairs)
    numbers = np.array([0.5, 4.0])
    scores = model(ids, last).numpy()
    assert scores.shape == (2, 1)
    total, task, language = model.loss(ids, last, numbers, 0.5)
    assert task.item() == pytest.approx(np.mean((scores[:, 0] - numbers) ** 2))
    assert total.item() == pytest.approx(task.item() + 0.5 * language.item())
    with pytest.raises(ValueError, match=r"labels of shape \(2,\), got \(3,\)"):
        model.loss(ids, last, np.zeros(3), 0)


def test_token_labels_are_scored_from_what_was_read_so_far(batch):
    model = spread_out(GPT1ForTokenClassification(body(), 5))
    scores = model(*batch).numpy()
    assert scores.shape == (*batch.ids.shape, 5)
    changed = batch.ids.copy()
    changed[:, 3:] = 1
    after = model(changed, batch.last).numpy()
    np.testing.assert_allclose(scores[:, :3], after[:, :3], atol=1e-12)
    assert np.abs(scores[:, 3:] - after[:, 3:]).max() > 1e-3
    labels = np.full(batch.ids.shape, -100)
    labels[0, 2], labels[1, 1] = 4, 0
    log_p = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    expected = -(log_p[0, 2, 4] + log_p[1, 1, 0]) / 2
    assert model.loss(*batch, labels, 0).total.item() == pytest.approx(expected)
