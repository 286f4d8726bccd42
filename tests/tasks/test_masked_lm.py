"""The task of BERT's pre-training: what its loss looks at, how it is evaluated, and what it tells."""

import contextlib
import math

import numpy as np
import pytest

from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.data import WordPieceTokenizer
from tinygrad_gpt.data.documents import Documents
from tinygrad_gpt.data.sentence_pairs import FOLLOWS, FROM_ELSEWHERE
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.bert import BertConfig, BertForPreTraining
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.tasks.masked_lm import MaskedLM, MaskedLMConfig, lower_end

LENGTH = 24
ANIMALS = ("fox", "dog", "cat", "owl", "hen", "bee", "cow", "pig")


def document(animal):
    return [f"the {animal} number {n} sees the {animal}'s {colour} sea" for n, colour in enumerate(["red", "blue"] * 4)]


def documents(animals=ANIMALS):
    return Documents("animals", [document(a) for a in animals[:-2]], [document(a) for a in animals[-2:]], "")


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer.train(["\n".join(document(a)) for a in ANIMALS], 200)


@pytest.fixture
def task(tokenizer):
    def make(rows=6, accumulate=1, **given):
        return MaskedLM(MaskedLMConfig(**given), documents(), tokenizer, LENGTH, rows, accumulate)

    return make


@pytest.fixture
def model(tokenizer):
    random_stream.manual_seed(3)
    shape = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    dropouts = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return BertForPreTraining(
        BertConfig(tokenizer.vocab_size, max_position_embeddings=LENGTH, initializer_range=0.3, **shape, **dropouts)
    )


def by_hand(model, batch):
    """(mean loss of each row's masked places [(P,), ...], loss of each pair (B,)) from a whole forward pass."""
    ids, mask, segments, labels, follows = batch[:5]
    with model.evaluating(), no_grad():
        out = model(ids, mask, segments)
        log_p = F.log_softmax(out.prediction_logits).data
        next_log_p = F.log_softmax(out.seq_relationship_logits).data
    rows, places = np.nonzero(labels != IGNORE_INDEX)
    masked = [-log_p[row, places[rows == row], labels[row, places[rows == row]]] for row in range(len(ids))]
    return masked, -next_log_p[np.arange(len(ids)), follows]


def test_the_loss_is_the_mean_over_masked_places_and_that_over_pairs(task, model):
    """Not over all places, where the model sees what it is asked for: the loss would be a seventh of that."""
    batch = task().batch(0)
    total, parts, _ = task().loss(model, *batch)
    masked, follows = by_hand(model, batch)
    assert parts["masked"].item() == pytest.approx(np.concatenate(masked).mean(), rel=1e-5)
    assert parts["next_sentence"].item() == pytest.approx(follows.mean(), rel=1e-5)
    assert total.item() == pytest.approx(parts["masked"].item() + parts["next_sentence"].item(), rel=1e-6)
    assert list(parts) == ["masked", "next_sentence"]


def test_pairs_of_both_labels_count(task, model):
    """The id of [PAD], 0, is the label of a pair that follows: a loss that ignores it never learns what follows."""
    batch = task(rows=12).batch(0)
    assert set(batch[4]) == {FOLLOWS, FROM_ELSEWHERE} and FOLLOWS == 0
    for label in (FOLLOWS, FROM_ELSEWHERE):
        some = [a[batch[4] == label] for a in batch]
        _, follows = by_hand(model, some)
        assert task(rows=12).loss(model, *some).parts["next_sentence"].item() == pytest.approx(follows.mean(), rel=1e-5)
        assert follows.mean() > 0.01


def test_labels_say_what_transformers_says(task):
    """0 where B follows A in a document, 1 where it is from elsewhere: an animal of its own tells the documents."""
    step = task(rows=40)
    ids, mask, segments, labels, follows, _ = step.batch(0)
    whole = np.where(labels != IGNORE_INDEX, labels, ids)
    animals = {int(step.tokenizer.encode(animal)[0]): animal for animal in ANIMALS}
    for row in range(40):
        a, b = (
            {animals[i] for i in whole[row][(segments[row] == part) & (mask[row] == 1)].tolist() if i in animals}
            for part in (0, 1)
        )
        if a and b:
            assert (a == b) == (follows[row] == 0)


def test_the_loss_does_not_depend_on_padding(task, model):
    step = task(rows=160)
    batch = step.batch(0)
    ids, mask = batch[0].copy(), batch[1]
    assert (mask == 0).any()
    ids[mask == 0] = 7
    assert step.loss(model, ids, *batch[1:]).total.item() == step.loss(model, *batch).total.item()


def test_batches_depend_on_seed_and_step_alone(task):
    first, again = task().batch(5), task()
    again.batch(0)
    for a, b in zip(first, again.batch(5), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (task().batch(6)[3] != first[3]).any()
    other = task()
    other.seed = 2
    assert (other.batch(5)[3] != first[3]).any()


def test_parts_of_a_step_add_up_to_the_whole(task, model):
    """Rows have different numbers of masked places, so the mean of two parts' means is not the mean over all places."""
    whole, parts = task(rows=80), task(rows=20, accumulate=4)
    batch = whole.batch(0)
    for a, b in zip(batch, parts.batch(0), strict=True):
        np.testing.assert_array_equal(a, b)
    counts = (batch[3] != IGNORE_INDEX).sum(axis=1)
    assert len(set(counts)) > 1
    whole.loss(model, *batch).total.backward()
    expected = [p.grad.copy() for p in model.parameters()]
    model.zero_grad()
    for first in range(0, 80, 20):
        total = parts.loss(model, *(a[first : first + 20] for a in batch)).total
        total.backward(np.full_like(total.data, 0.25))
    for p, grad in zip(model.parameters(), expected, strict=True):
        np.testing.assert_allclose(p.grad, grad, rtol=1e-4, atol=1e-6)


def test_evaluation_reads_all_held_out_pairs_once_and_says_how_many_are_right(task, model):
    step = task(rows=4, eval_tokens=LENGTH)
    few, scores = step.evaluate(model), step.evaluate(model, last=True)
    assert list(scores) == list(few) == list(step.metrics) and few != scores
    masked, right, follows, judged = [], [], [], []
    for first in range(0, len(step.pairs), 4):
        batch = step._held_out_batch(first, first + 4)
        losses, next_losses = by_hand(model, batch)
        masked += losses
        follows.append(next_losses)
        with model.evaluating(), no_grad():
            out = model(*batch[:3])
        chosen = batch.input_ids == step.tokenizer.mask_id
        right.append(out.prediction_logits.data.argmax(-1)[chosen] == batch.labels[chosen])
        judged.append(out.seq_relationship_logits.data.argmax(-1) == batch.next_sentence_label)
    assert scores["val_masked_loss"] == pytest.approx(np.concatenate(masked).mean(), rel=1e-5)
    assert scores["val_next_sentence_loss"] == pytest.approx(np.concatenate(follows).mean(), rel=1e-5)
    assert scores["masked_accuracy"] == pytest.approx(np.concatenate(right).mean())
    assert scores["next_sentence_accuracy"] == pytest.approx(np.concatenate(judged).mean())
    assert scores["val_loss"] == pytest.approx(scores["val_masked_loss"] + scores["val_next_sentence_loss"])
    assert scores == step.evaluate(model, last=True)


class Copies:
    """In a BertForPreTraining's place: the likeliest token is the one that stands there."""

    def __init__(self, vocab_size):
        self.vocab_size, self.bert = vocab_size, self

    def evaluating(self):
        return contextlib.nullcontext()

    def features(self, ids, mask, segments):
        return Tensor(np.eye(self.vocab_size, dtype=np.float32)[ids])

    def scores_at(self, x, labels):
        rows, places = np.nonzero(labels != IGNORE_INDEX)
        return x[rows, places], labels[rows, places]

    def pooled(self, x):
        return x[:, 0]

    def next_sentence(self, x):
        return x[:, :2]


def test_to_copy_the_tokens_that_masking_left_is_not_rewarded(task, tokenizer):
    step = task(mask_share=0.5)
    batch = step._held_out_batch(0, 6)
    left = (batch.labels == batch.input_ids).sum()
    assert left > 0, "some masked places show their token"
    assert step.evaluate(Copies(tokenizer.vocab_size), last=True)["masked_accuracy"] == 0.0


def test_held_out_pairs_are_those_of_held_out_documents_whatever_the_seed(task, tokenizer):
    one, other = task(), MaskedLM(MaskedLMConfig(), documents(), tokenizer, LENGTH, 6, seed=9)
    for a, b in zip(one.pairs, other.pairs, strict=True):
        np.testing.assert_array_equal(np.concatenate([a.a, a.b]), np.concatenate([b.a, b.b]))
    known = {int(tokenizer.encode(animal)[0]) for animal in ANIMALS[:-2]}
    assert not any(known.intersection([*pair.a, *pair.b]) for pair in one.pairs)
    same = MaskedLM(MaskedLMConfig(held_out=False), documents(), tokenizer, LENGTH)
    assert any(known.intersection([*pair.a, *pair.b]) for pair in same.pairs)


def test_without_next_sentences_b_always_follows_and_masks_alone_are_learned(task, model):
    step = task(rows=20, next_sentence_weight=0.0)
    batch = step.batch(0)
    assert (batch[4] == FOLLOWS).all()
    total, parts, _ = step.loss(model, *batch)
    assert total.item() == parts["masked"].item() and list(parts) == ["masked"]
    assert all(pair.label == FOLLOWS for pair in step.pairs), "held out, too"
    assert list(step.evaluate(model)) == list(step.metrics) == ["val_loss", "val_masked_loss", "masked_accuracy"]
    assert list(step.guesses()) == ["masked_accuracy"] and "% sure" not in "".join(step.sample(model))


def test_held_out_masks_do_not_depend_on_the_batch_size(task, model):
    few, many = task(rows=2), task(rows=20)
    for a, b in zip(few._held_out_batch(4, 6), many._held_out_batch(0, 20), strict=True):
        np.testing.assert_array_equal(a, b[4:6])
    scores = [step.evaluate(model, last=True) for step in (few, many)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_a_few_documents_give_no_interval(task, tokenizer):
    assert "next_sentence_low" not in task().metrics and "next_sentence_low" in MaskedLM.metrics
    enough = Documents("animals", [document(a) for a in ANIMALS], [document(a) for a in ANIMALS * 2], "")
    assert "next_sentence_low" in MaskedLM(MaskedLMConfig(), enough, tokenizer, LENGTH).metrics


def test_a_pair_of_unknown_words_alone_is_drawn_again(tokenizer):
    """It has no place for a mask: a batch of it would have no loss."""
    unknown = " ".join(["[UNK]"] * 40)
    some = [[unknown, "the fox", unknown, unknown, "the dog", unknown]] * 4
    step = MaskedLM(MaskedLMConfig(), Documents("a.txt", some, some, ""), tokenizer, LENGTH, batch_size=1)
    assert all((step.batch(n)[3] != IGNORE_INDEX).any() for n in range(40))
    assert all((step._held_out_batch(n, n + 1).labels != IGNORE_INDEX).any() for n in range(len(step.pairs)))


def test_guesses_and_facts_are_of_what_is_masked(task, model):
    step = task()
    batches = [step._held_out_batch(n, n + 6) for n in range(0, len(step.pairs), 6)]
    labels = np.concatenate([batch.labels[batch.input_ids == step.tokenizer.mask_id] for batch in batches])
    guesses = step.guesses()
    assert guesses["masked_accuracy"] == pytest.approx(np.bincount(labels).max() / len(labels))
    follow = np.mean([pair.label == FOLLOWS for pair in step.pairs])
    assert guesses["next_sentence_accuracy"] == max(follow, 1 - follow)
    facts = step.facts(model)
    assert facts["choices"] == model.config.vocab_size and facts["part"] == "masked"
    assert 0 < facts["commonest_share"] < 0.5 and 0 < facts["unigram_entropy"] < math.log(facts["choices"])


def test_the_probe_asks_for_as_many_places_in_each_row(task, model):
    step = task()
    arrays = step.probe()
    logits, targets = step.answers(model, *arrays)
    rows = len(arrays[0])
    assert logits.shape[:2] == targets.shape == (rows, targets.shape[1])
    first = [a[:1] for a in arrays]
    own = step.loss(model, *first).parts["masked"].item()
    assert own == pytest.approx(F.cross_entropy(logits[:1], targets[:1]).item(), rel=1e-5)
    assert not np.isin(targets, step.tokenizer.special_ids).any()


def test_the_sample_shows_gaps_what_was_put_there_and_a_verdict(task, model):
    text = "".join(task().sample(model))
    assert text.count("% sure): ") == text.count("gaps: ") == 2 and text.count("(was: ") <= text.count("[MASK]")
    assert text == "".join(task().sample(model))


def test_an_interval_counts_documents_not_pairs():
    """A hundred pairs of two documents, one all right and one all wrong, say nothing; of a hundred documents, much."""
    right = np.array([True] * 70 + [False] * 30)
    assert 0.55 < lower_end(right, np.arange(100)) < 0.65
    assert lower_end(right, np.repeat([0, 1], [70, 30])) == 0.0
    assert lower_end(np.ones(10, bool), np.arange(10)) == 1.0


def test_it_says_how_many_documents_nothing_can_be_made_of(task, tokenizer):
    assert "left out" not in task().data()
    some = [*documents().train, ["the fox"], ["the dog"]]
    step = MaskedLM(MaskedLMConfig(), Documents("a.txt", some, documents().held_out, ""), tokenizer, LENGTH)
    assert step.data().endswith("to evaluate); left out: 2 of a single sentence, which nothing follows")


def test_too_few_documents_are_one_line(tokenizer):
    few = Documents("my.txt", [["the fox"], ["the dog", "a cat"]], [], "")
    with pytest.raises(UserError, match=r"my\.txt: expected at least 2 documents of 2 sentences or more, got 1"):
        MaskedLM(MaskedLMConfig(), few, tokenizer, LENGTH)


def test_a_part_is_a_tensor_that_backward_can_start_from(task, model):
    total, parts, _ = task().loss(model, *task().batch(0))
    assert isinstance(total, Tensor) and all(isinstance(part, Tensor) for part in parts.values())
    total.backward()
    assert all(p.grad is not None for p in model.parameters())
