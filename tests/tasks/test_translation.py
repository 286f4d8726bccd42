"""The task of a translator: what its loss looks at, how a step of several batches is weighed, what is measured."""

import io
import math

import numpy as np
import pytest

from tests.small_translation import END, PAD, Words, new_model, small_corpus
from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.parallel import Parallel
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.generate.seq2seq import SpecialTokens
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.tasks.scores import corpus_bleu
from tinygrad_gpt.tasks.translation import Translation, TranslationConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.reporter import Reporter
from tinygrad_gpt.train.trainer import Trainer

STEP = 4  # whose sentences have unequal lengths


@pytest.fixture(scope="module")
def corpus():
    return small_corpus()


@pytest.fixture
def task(corpus):
    def make(accumulate=1, seed=1, positions=16, **given):
        return Translation(
            TranslationConfig(**{"batch_tokens": 60} | given), corpus, Words(), positions, accumulate, seed
        )

    return make


@pytest.fixture
def model():
    return new_model(dropout=0.0)


def log_probabilities(model, batch):
    """log p of all tokens at each place of the target (B, T, V), in evaluation mode."""
    with model.evaluating(), no_grad():
        return F.log_softmax(model(batch[0], batch[2], batch[1])).data


def of_labels(log_p, labels):
    """log p of the label at each place that counts (N,)."""
    rows, places = np.nonzero(labels != IGNORE_INDEX)
    return log_p[rows, places, labels[rows, places]]


# --- batches and the loss ---------------------------------------------------------------------------------------------


def test_the_decoder_reads_what_it_has_written_and_is_asked_for_the_next_token(task):
    """T-1: input and label of a place differ by one token; else there would be nothing to learn."""
    _, _, before, labels, _ = task().batch(3)
    real = labels != IGNORE_INDEX
    assert (before[:, 0] == PAD).all()
    np.testing.assert_array_equal(before[:, 1:][real[:, 1:]], labels[:, :-1][real[:, 1:]])
    assert (labels[np.arange(len(labels)), real.sum(axis=1) - 1] == END).all()


def test_training_and_generation_start_the_decoder_alike(task, model):
    """T-4: with the same token, which means padding too."""
    (start,) = {*task().batch(3)[2][:, 0].tolist()}
    assert start == SpecialTokens.of(model.config).start == model.config.decoder_start_token_id


def test_no_later_word_of_the_target_changes_an_earlier_prediction(task, model):
    """T-1: the future does not leak."""
    batch = task().batch(0)
    changed = batch[2].copy()
    changed[:, 2:] = (changed[:, 2:] + 1) % Words.vocab_size
    one, other = (log_probabilities(model, (*batch[:2], before, batch[3])) for before in (batch[2], changed))
    np.testing.assert_array_equal(one[:, :2], other[:, :2])
    assert np.abs(one[:, 2:] - other[:, 2:]).max() > 1e-3


def test_the_loss_is_the_mean_over_the_tokens_with_label_smoothing(task, model):
    """PyTorch's form: ε is spread over all tokens, the right one too. Padding counts for nothing."""
    batch = task(label_smoothing=0.2).batch(0)
    log_p = log_probabilities(model, batch)
    real = batch[3] != IGNORE_INDEX
    assert not real.all(), "padding"
    expected = -0.8 * of_labels(log_p, batch[3]).mean() - 0.2 * log_p[real].mean()
    loss = task(label_smoothing=0.2).loss(model.train(), *batch)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5) and not loss.parts
    right = log_p.argmax(-1)[real] == batch[3][real]
    assert float(loss.scores["accuracy"]) == pytest.approx(right.mean())


def test_out_of_training_the_loss_is_not_smoothed(task, model):
    batch = task(label_smoothing=0.2).batch(0)
    loss = task(label_smoothing=0.2).loss(model.eval(), *batch).total.item()
    assert loss == pytest.approx(-of_labels(log_probabilities(model, batch), batch[3]).mean(), rel=1e-5)


def test_a_batch_without_a_token_to_learn_is_refused(task, model):
    """T-5: label smoothing has no mean then. Each sentence has its end, so no batch of the task is one."""
    batch = task().batch(0)
    nothing = np.full_like(batch[3], IGNORE_INDEX)
    with pytest.raises(ValueError, match="expected at least one target that counts"):
        task().loss(model.train(), *batch[:3], nothing, batch[4])
    assert all((task().batch(step)[3] != IGNORE_INDEX).any(axis=1).all() for step in range(10))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_step_of_several_batches_is_one_step_of_all_their_tokens(task, model, smoothing):
    """T-10: their losses and gradients add up to the mean over all tokens, though one has more of them than another."""
    given = dict(label_smoothing=smoothing, batch_tokens=24)
    found = []
    for accumulate in (1, 3):
        part = task(accumulate, **given)
        config = TrainConfig(steps=9, accumulate=accumulate, batch_size=1, health=False)
        trainer = Trainer(config, model, part)
        trainer.task._batches = task(3, **given)._batches  # the same large batch, whole or in three parts
        trainer.step = STEP
        batches = trainer.batches()
        counts = [(batch[3] != IGNORE_INDEX).sum() for batch in batches]
        losses = trainer.forward_and_backward(batches)
        found.append((losses, model.head.weight.grad.copy(), counts))
    (whole, gradient, _), (parts, added, counts) = found
    assert len({*counts}) > 1, "the parts have unequal numbers of tokens"
    assert parts == pytest.approx(whole, rel=1e-5)
    np.testing.assert_allclose(added, gradient, rtol=1e-4, atol=1e-7)
    alone = [task(1, **given).loss(model, *batch) for batch in batches]
    plain = np.mean([loss.total.item() for loss in alone])
    assert abs(plain - whole["train_loss"]) > 1e-4, "the plain mean of the parts is another one"


def test_a_row_of_metrics_has_the_training_accuracy(task, model):
    trainer = Trainer(TrainConfig(steps=2, batch_size=1, log_interval=2, health=False), model, task())
    batches = [task().batch(step) for step in range(2)]
    first = task().loss(model, *batches[0]).scores["accuracy"]
    trainer.run(Reporter(io.StringIO()))
    assert 0 <= trainer.row["train_accuracy"] <= 1 and trainer.others == {}
    assert trainer.row["train_accuracy"] == pytest.approx((first + last_accuracy(task, batches)) / 2, abs=1e-6)


def last_accuracy(task, batches):
    """That of the second step of the run above."""
    again = new_model(dropout=0.0)
    trainer = Trainer(TrainConfig(steps=2, batch_size=1, log_interval=2, health=False), again, task())
    trainer.train_step()
    return float(task().loss(again, *batches[1]).scores["accuracy"])


def test_batches_follow_from_the_seed_and_the_step(task):
    """T-12: sentences of like length stand together, and the order of the batches is new in each epoch."""
    for one, other in zip(task().batch(5), task().batch(5), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (
        task(seed=2).batch(5)[0].shape != task().batch(5)[0].shape
        or (task(seed=2).batch(5)[0] != task().batch(5)[0]).any()
    )
    per_epoch = task()._batches.per_epoch
    widths = [[task().batch(step)[0].shape[1] for step in range(first, first + per_epoch)] for first in (0, per_epoch)]
    assert sorted(widths[0]) == sorted(widths[1]) and widths[0] != widths[1] and widths[0] != sorted(widths[0])
    assert all(max(a[0].size, a[3].size) <= 60 for a in map(task().batch, range(per_epoch))), "padding counts"


def test_tokens_of_both_sides_are_counted_without_padding(task):
    batch = task().batch(2)
    assert task().count(*batch) == batch[1].sum() + (batch[3] != IGNORE_INDEX).sum() < batch[0].size + batch[3].size


# --- evaluation -------------------------------------------------------------------------------------------------------


def test_an_evaluation_by_hand(task, corpus, model):
    scores = task(bleu_pairs=5).evaluate(model, last=True)
    words, losses, right = Words(), [], []
    for source, target in zip(corpus.valid.source, corpus.valid.target, strict=True):  # one by one: no padding at all
        source, target = (np.append(words.encode(text), END) for text in (source, target))
        batch = source[None], np.ones((1, len(source)), int), np.append(PAD, target[:-1])[None], target[None]
        log_p = log_probabilities(model, batch)
        losses.extend(-of_labels(log_p, batch[3]))
        right.extend(log_p.argmax(-1)[0] == target)
    assert scores["val_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-5)
    assert scores["token_accuracy"] == pytest.approx(np.mean(right))
    assert scores["token_accuracy"] != pytest.approx(scores["val_loss"])
    assert list(scores) == list(task().metrics) == ["val_loss", "perplexity", "token_accuracy", "bleu", "repeats"]


def test_evaluations_use_no_dropout_and_no_smoothing(task, model):
    """T-8."""
    dropping = new_model(dropout=0.5)
    dropping.load_state_dict(model.state_dict())
    assert task().evaluate(dropping.train(), last=True) == task(label_smoothing=0.5).evaluate(model, last=True)
    assert dropping.training, "as it was"


def test_an_evaluation_during_the_run_reads_less(task, model, monkeypatch):
    some = task(eval_pairs=7)
    scores = some.evaluate(model)
    assert "bleu" not in scores and scores != {
        n: x for n, x in some.evaluate(model, last=True).items() if n not in ("bleu", "repeats")
    }
    translated = []
    monkeypatch.setattr(some, "translate", lambda model, pairs: translated.append(len(pairs)) or ["A"] * len(pairs))
    some.evaluate(model)
    some.config = TranslationConfig(bleu_pairs=3)
    assert "bleu" in some.evaluate(model)
    some.evaluate(model, last=True)
    assert translated == [3, 40]


def test_what_decides_comes_first(task):
    assert next(iter(task(decides="bleu", bleu_pairs=3).metrics)) == "bleu"
    assert next(iter(task(decides="bleu", bleu_pairs=3).evaluate(new_model()))) == "bleu"
    with pytest.raises(UserError, match="bleu_pairs should be greater than 0 where BLEU decides"):
        task(decides="bleu")


@pytest.mark.long
def test_bleu_is_that_of_what_the_model_writes_alone(task, corpus):
    """T-2: it reads its own words. Trained, it translates; and BLEU says how well."""
    step, model = task(batch_tokens=200, label_smoothing=0.0), new_model(dropout=0.0)
    trainer = Trainer(
        TrainConfig(steps=150, batch_size=1, lr=2e-2, warmup=20, eval_interval=0, health=False), model, step
    )
    trainer.run(Reporter(io.StringIO()))
    written = step.translate(model, step.held_out)
    expected = corpus_bleu(written, corpus.valid.target).score
    assert trainer.row["bleu"] == pytest.approx(expected) and expected > 60
    assert trainer.row["token_accuracy"] > 0.8
    shown = "".join(step.sample(model))
    assert f"{corpus.valid.source[0]}\n  model:     {written[0]}\n  reference: {corpus.valid.target[0]}\n" in shown


def test_the_words_of_a_tokenised_corpus_are_its_own(task, model, corpus, monkeypatch):
    """13a would take t-shirt's apostrophes and the like apart once more."""
    step = task()
    seen = []
    monkeypatch.setattr(
        "tinygrad_gpt.tasks.translation.corpus_bleu", lambda *a, **how: seen.append(how) or corpus_bleu(["a"], ["a"])
    )
    step.written(model, step._first(2))
    step.corpus = Parallel("multi30k-tok-en-de", "en", "de", corpus.train, corpus.valid, corpus.test, "")
    step.written(model, step._first(2))
    assert seen == [{"tokenize": "13a"}, {"tokenize": "none"}]


# --- what the health check and the command ask ------------------------------------------------------------------------


def test_the_health_check_sees_what_the_loss_sees(task, model):
    step = task()
    probe = step.probe()
    logits, targets = step.answers(model, *probe)
    assert logits.shape == (*targets.shape, Words.vocab_size) and (targets == IGNORE_INDEX).any()
    loss = step.loss(model.eval(), *probe).total.item()
    assert F.cross_entropy(logits, targets).item() == pytest.approx(loss, rel=1e-5)
    facts = step.facts(model)
    tokens = np.concatenate(step.train.targets)
    assert facts["choices"] == Words.vocab_size
    assert facts["commonest_share"] == pytest.approx(np.bincount(tokens).max() / len(tokens))
    held_out = np.concatenate(step.held_out.targets)
    assert step.guesses() == {"token_accuracy": pytest.approx(np.bincount(held_out).max() / len(held_out))}


def test_it_says_what_it_reads(task):
    assert task().data() == "300 pairs of sand, small to capital (40 to validate)"
    assert "pairs left out: 137 longer than 5 tokens with </s>" in task(positions=5).data()
    assert task(label_smoothing=0.3).settings()["label_smoothing"] == 0.3


def test_sentences_that_no_batch_has_room_for(task):
    with pytest.raises(UserError, match="the longest sentence has 10 tokens, and a batch 8 at most: expected batches"):
        task(batch_tokens=8)
    with pytest.raises(UserError, match="longer than the 1 positions"):
        task(positions=1)


def test_the_first_row_of_the_probe_has_its_own_mean_loss(task, model):
    """Where a step has several batches too: the health check compares it with the cross-entropy of the answers."""
    step = task(accumulate=3)
    first = [a[:1] for a in step.probe()]
    logits, targets = step.answers(model.eval(), *first)
    assert step.loss(model, *first).total.item() == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-6)
