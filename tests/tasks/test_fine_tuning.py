"""What all kinds of fine-tuning have in common, with a BERT: what it reads, that padding changes nothing, what decays,
and that each kind learns a handful of examples by heart."""

import numpy as np
import pytest

from tests.strict_array import StrictArray
from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models import GPT, GPTConfig
from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig, scores_of
from tinygrad_gpt.tasks.gpt1_family import GPT1Family
from tinygrad_gpt.tasks.kinds import TASK_OF_KIND
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.trainer import Trainer

KINDS = ("classes", "pair-classes", "similarity", "tokens", "spans")


@pytest.fixture
def make(examples, wordpiece, encoder):
    """(task, model) of a kind with a BERT, without dropout."""

    def make(kind, rows=6, dropout=0.0, **given):
        family, data = BertFamily(wordpiece, encoder.config, dropout, **given), examples(kind)
        task = TASK_OF_KIND[kind](FineTuneConfig(lm_weight=0.0), data, family, rows=rows)
        return task, family.first_model(encoder, kind, task.outputs, True, seed=1)

    return make


def trained(task, model, steps, lr=1e-2):
    trainer = Trainer(TrainConfig(steps=steps, lr=lr, min_lr=0.0, warmup=5, schedule="linear"), model, task)
    model.train()
    losses = [trainer.train_step()[0]["train_loss"] for _ in range(steps)]
    return losses


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_learns_a_handful_of_examples_by_heart(make, kind):
    task, model = make(kind)
    deciding = next(iter(task.metrics))
    before = task.evaluate(model)
    losses = trained(task, model, 160 if kind == "similarity" else 90)
    after = task.evaluate(model)
    assert list(after) == list(task.metrics)
    assert losses[-1] < 0.3 * losses[0] and after["val_loss"] < 0.3 * before["val_loss"]
    assert after[deciding] > 0.9 > before[deciding]
    lines = "".join(task.sample(model)).splitlines()
    assert len(lines) == 5


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_score_and_no_loss(make, kind):
    """The scores of each example beside longer ones are those that it has alone, and padding costs nothing."""
    task, model = make(kind)
    model.eval()
    lengths = [task.family.length(s) for s in task.sequences]
    which = np.array([int(np.argmin(lengths)), int(np.argmax(lengths))])
    assert len(set(lengths)) > 1
    together = task._arrays(task.sequences, task.targets, which)
    alone = [task._arrays(task.sequences, task.targets, which[i : i + 1]) for i in (0, 1)]
    with no_grad():
        beside = scores_of(task.family, model, [task.sequences[i] for i in which])
        for scores, one in zip(beside, alone, strict=True):
            np.testing.assert_allclose(scores, task.family.scores(model, *one[:3]).numpy()[0], atol=1e-5)
        asked = [int((one[3] >= 0).sum()) if kind == "tokens" else 1 for one in alone]
        losses = [task.loss(model, *one).total.item() for one in alone]
        assert task.loss(model, *together).total.item() == pytest.approx(np.average(losses, weights=asked), rel=1e-4)
        ids, mask, *others = together
        ids = np.where(mask == 0, 7, ids)
        assert task.loss(model, ids, mask, *others).total.item() == task.loss(model, *together).total.item()


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_numpy_teach_a_model_on_another_device(make, gpt_task, kind):
    """As the trainer gives them: only parameters and what is made from them live there."""
    for task, model in [make(kind), *([gpt_task(kind)] if kind != "spans" else [])]:
        for p in model.parameters():
            p.data = StrictArray(p.data)
        total = task.loss(model, *task.batch(0)).total
        total.backward()
        assert isinstance(total.data, StrictArray)
        assert all(isinstance(p.grad, StrictArray) for p in model.parameters() if p.grad is not None)


def test_a_text_is_cut_if_it_has_more_tokens_than_there_are_places_and_not_before(make, gpt_task):
    for task, _ in (make("classes", max_length=9), gpt_task("classes")):
        family = task.family
        for texts in (("she",), ("she", "saw")):
            words = family.longest
            while family.is_cut(family.text(*texts[:-1], "she " * words), *texts[:-1], "she " * words):
                words -= 1
            fits = (*texts[:-1], "she " * words)
            assert family.length(family.text(*fits)) == family.longest
            assert not family.is_cut(family.text(*texts), *texts)


def test_settings_change_without_reading_again(make):
    task, _ = make("classes")
    task.batch(0)
    other = task.with_settings(FineTuneConfig(lm_weight=0.0, epochs=7), seed=2)
    assert other.sequences is task.sequences and other.config.epochs == 7 and task.config.epochs == 3
    again = type(task)(other.config, task.labelled, task.family, task.rows, 2)
    for step in (0, 1):
        for a, b in zip(other.batch(step), again.batch(step), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_pair_is_read_as_two_segments(make, wordpiece):
    task, _ = make("pair-classes")
    ids, mask, segments, labels = task.batch(0)
    first, second = wordpiece.encode("she saw anna in rome"), wordpiece.encode("rome was there")
    expected = [wordpiece.cls_id, *first, wordpiece.sep_id, *second, wordpiece.sep_id]
    row = next(i for i in range(len(ids)) if ids[i, : len(expected)].tolist() == expected)
    n = len(expected)
    assert segments[row, :n].tolist() == [0] * (len(first) + 2) + [1] * (len(second) + 1)
    assert mask[row].tolist() == [1] * n + [0] * (ids.shape[1] - n)
    assert (ids[row, n:] == wordpiece.pad_id).all() and len(labels) == 6


def test_a_text_is_judged_by_what_the_pooler_makes_of_its_first_token_and_not_by_the_mean(make):
    task, model = make("classes")
    model.eval()
    ids, mask, segments, _ = task.batch(0)
    features = model.bert.features(ids, mask, segments)
    pooled = F.tanh(model.bert.pooler(features[:, 0]))
    scores = task.family.scores(model, ids, mask, segments).numpy()
    np.testing.assert_allclose(scores, model.classifier(pooled).numpy(), atol=1e-6)
    mean = (features.numpy() * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    of_mean = F.tanh(model.bert.pooler(mean.astype(np.float32)))
    assert np.abs(scores - model.classifier(of_mean).numpy()).max() > 1e-3


def test_matrices_and_embeddings_decay_and_norms_and_biases_do_not(make):
    task, model = make("tokens")
    trainer = Trainer(TrainConfig(weight_decay=0.01), model, task)
    decays = {id(p): g["weight_decay"] for g in trainer.optimizer.param_groups for p in g["params"]}
    for name, p in model.named_parameters():
        plain = name.endswith("bias") or "norm" in name
        assert decays[id(p)] == (0.0 if plain else 0.01), name
    decayed = [name for name, p in model.named_parameters() if decays[id(p)]]
    assert {"bert.token_embedding.weight", "bert.position_embedding.weight", "classifier.weight"} <= set(decayed)


def test_the_encoder_begins_as_it_was_trained_and_the_head_at_random(make, examples, wordpiece, encoder):
    task, model = make("classes")
    for name, a in encoder.state_dict().items():
        np.testing.assert_array_equal(model.bert.state_dict()[name], a)
    family = task.family
    again, other, new = (
        family.first_model(encoder, "classes", 2, p, seed) for p, seed in ((True, 1), (True, 2), (False, 1))
    )
    np.testing.assert_array_equal(again.classifier.weight.data, model.classifier.weight.data)
    assert (other.classifier.weight.data != model.classifier.weight.data).any()
    assert (new.bert.token_embedding.weight.data != encoder.token_embedding.weight.data).any()
    tokens = family.first_model(encoder, "tokens", 3, True, seed=1)  # which has no pooler
    np.testing.assert_array_equal(tokens.bert.token_embedding.weight.data, encoder.token_embedding.weight.data)


def test_dropout_of_the_head_alone_can_be_chosen(make, encoder):
    _, model = make("classes", dropout=0.7)
    assert model.dropout.p == 0.7 and model.bert.dropout.p == encoder.config.hidden_dropout_prob


def test_long_texts_are_cut(make, wordpiece):
    task, _ = make("pair-classes", max_length=8)
    assert max(task.family.length(s) for s in task.sequences) == 8
    with pytest.raises(UserError, match="5 places or more, and there are 3"):
        BertFamily(wordpiece, task.family.shape, max_length=3)


# --- the kinds beside classes, with a GPT ----------------------------------------------------------------------------


@pytest.fixture
def gpt_task(examples, wordpiece):
    def gpt_task(kind, lm_weight=0.0):
        random_stream.manual_seed(2)
        body = GPT(GPTConfig(wordpiece.vocab_size, block_size=40, n_layer=1, n_head=2, n_embd=16, norm="post"))
        family, data = GPT1Family(wordpiece, body.config, 0.0), examples(kind)
        task = TASK_OF_KIND[kind](FineTuneConfig(lm_weight=lm_weight), data, family, rows=6)
        return task, family.first_model(body, kind, task.outputs, True, seed=1)

    return gpt_task


@pytest.mark.parametrize(("kind", "lm_weight"), [("pair-classes", 0.0), ("similarity", 0.5), ("tokens", 0.0)])
def test_a_gpt_learns_them_by_heart_too(gpt_task, kind, lm_weight):
    task, model = gpt_task(kind, lm_weight)
    losses = trained(task, model, 100)
    assert losses[-1] < (0.7 if lm_weight else 0.3) * losses[0]
    assert task.evaluate(model)[next(iter(task.metrics))] > 0.9


def test_a_gpt_reads_two_alike_texts_in_both_orders(gpt_task):
    task, model = gpt_task("similarity")
    ids, last, numbers = task.batch(0)
    assert ids.ndim == 3 and ids.shape[:2] == last.shape == (6, 2) and numbers.dtype == np.float64
    a, b = "she saw anna", "anna was at home"
    one, other = (scores_of(task.family, model, [task.family.symmetric(*pair)])[0] for pair in ((a, b), (b, a)))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_gpt_labels_a_word_when_it_is_complete_and_knows_nothing_of_what_follows(gpt_task):
    task, model = gpt_task("tokens")
    family = task.family
    ids, places = family.words(["she", "saw", "carla", "home"])
    assert [family.tokenizer.decode(ids[: p + 1][1:]) for p in places] == [
        "she",
        "she saw",
        "she saw carla",
        "she saw carla home",
    ]
    one, other = (family.words(["she", "saw", last]) for last in ("anna", "rome"))
    scores = scores_of(family, model, [one.sequence, other.sequence])
    np.testing.assert_allclose(scores[0][one.places[:2]], scores[1][other.places[:2]], atol=1e-5)


def test_a_gpt_cannot_mark_spans(gpt_task):
    with pytest.raises(UserError, match="a GPT cannot mark the span of an answer"):
        gpt_task("spans")
