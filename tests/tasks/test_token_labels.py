"""Labels of words, with a BERT: a word's label is asked at its first piece, and nowhere else."""

import numpy as np
import pytest

from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig
from tinygrad_gpt.tasks.token_labels import TokenLabels, labels_of


@pytest.fixture
def make(examples, wordpiece, encoder):
    def make(max_length=None):
        family = BertFamily(wordpiece, encoder.config, 0.0, max_length)
        return TokenLabels(FineTuneConfig(lm_weight=0.0), examples("tokens"), family, rows=6)

    return make


def test_the_first_piece_of_a_word_carries_its_label_and_nothing_else_does(make, wordpiece):
    task = make()
    ids, mask, _, labels, _ = task._arrays(task.sequences, task.targets, np.arange(12))
    assert labels.shape == ids.shape and (labels[mask == 0] == IGNORE_INDEX).all()
    for row in range(12):
        words, right = task.labelled.train.words[row], task.labelled.train.labels[row]
        pieces = [len(wordpiece.encode(word)) for word in words]
        first = 1 + np.cumsum(pieces) - pieces
        assert max(pieces) > 1
        assert labels[row, first].tolist() == right.tolist()
        assert np.delete(labels[row], first).tolist() == [IGNORE_INDEX] * (ids.shape[1] - len(words))
        assert (ids[row, first] == [wordpiece.encode(word)[0] for word in words]).all()


def test_a_word_that_was_cut_off_counts_as_o_and_costs_nothing(make, encoder):
    task = make(max_length=6)
    model = task.family.first_model(encoder, "tokens", task.outputs, True, seed=1)
    model.classifier.bias.data[...] = np.arange(task.outputs)  # the last class everywhere
    model.classifier.weight.data[...] = 0
    words = task.labelled.dev.words[0]
    ((labels, p),) = labels_of(task.family, model, [words])
    kept = sum(task.family.words(words).places >= 0)
    assert 0 < kept < len(words)
    assert labels.tolist() == [task.outputs - 1] * kept + [0] * (len(words) - kept) and np.isnan(p[kept:]).all()
    words = 2 * sum(map(len, task.labelled.dev.words))  # dev is the same as train
    lost = 2 * sum(int((places < 0).sum()) for places, _ in task.dev_targets)
    assert task.remark().startswith(f"{lost} of {words} words, in 24 sentences, lie beyond the 6 tokens that are read")
    found = task.evaluate(model)
    right = np.concatenate(task.labelled.dev.labels)
    assert 0 < found["accuracy"] < np.mean(right == 0), "only what was cut off is O"
    scores = np.arange(task.outputs)
    log_p = scores - np.log(np.exp(scores).sum())
    asked = [y[places >= 0] for places, y in task.dev_targets]
    assert found["val_loss"] == pytest.approx(-log_p[np.concatenate(asked)].mean(), rel=1e-6)


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_the_loss_of_a_step_in_parts_is_the_mean_over_all_its_words(make, encoder, parts):
    """Sentences of different lengths: the mean of the parts' means is another number, and has another gradient."""
    from tinygrad_gpt.train.config import TrainConfig
    from tinygrad_gpt.train.trainer import Trainer

    task = make()
    short = [i for i, labels in enumerate(task.labelled.train.labels) if i % 2]
    for i in short:
        places, labels = task.targets[i]
        task.targets[i] = places[:1], labels[:1]
    found = []
    for accumulate in (1, parts):
        model = task.family.first_model(encoder, "tokens", task.outputs, True, seed=1)
        model.eval()
        trainer = Trainer(TrainConfig(steps=1, accumulate=accumulate), model, task)
        losses = trainer.forward_and_backward(trainer.batches())
        found.append((losses["train_loss"], model.classifier.weight.grad.copy()))
        if accumulate > 1:
            means = [
                task.loss(model, *batch[:-1], batch[-1] * 0 + count(batch)).total.item() for batch in trainer.batches()
            ]
            assert abs(np.mean(means) - losses["train_loss"]) > 1e-4, "the plain mean is another one"
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-5)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-4, atol=1e-6)


def count(batch):
    labels = batch[-2]
    return (labels != IGNORE_INDEX).sum() / len(labels)


def test_there_is_nothing_to_remark_where_all_words_are_read(make):
    assert make().remark() == ""


def test_the_guess_is_o_everywhere(make):
    task = make()
    baseline = task.baseline()
    assert task.guess == "all O" and baseline["f1"] == 0 and next(iter(baseline)) == "f1"
    assert baseline["accuracy"] == np.mean(np.concatenate(task.labelled.dev.labels) == 0)


def test_facts_count_words(make, encoder):
    task = make()
    right = np.concatenate(task.labelled.train.labels)
    facts = task.facts(None)
    assert facts["choices"] == len(task.labelled.classes) and facts["commonest_share"] == np.mean(right == 0)


def test_the_health_check_looks_at_words_alone(make, encoder):
    from tinygrad_gpt import functional as F
    from tinygrad_gpt.health.snapshot import snapshot

    task = make()
    model = task.family.first_model(encoder, "tokens", task.outputs, True, seed=1).eval()
    arrays = task.probe()
    scores, right = task.answers(model, *arrays)
    assert scores.shape == (*right.shape, task.outputs)
    assert F.cross_entropy(scores, right).item() == pytest.approx(task.loss(model, *arrays).total.item(), rel=1e-5)
    model.classifier.weight.data[...] = 0
    model.classifier.bias.data[...] = 0
    model.classifier.bias.data[0] = 2
    task.loss(model, *task.batch(0)).total.backward()
    seen = snapshot(model, task)
    assert (seen["prediction_share"], seen["predicted"]) == (1.0, 0)
    assert seen["accuracy"] == pytest.approx((right[right >= 0] == 0).mean(), abs=1e-4) and not seen["double_softmax"]
