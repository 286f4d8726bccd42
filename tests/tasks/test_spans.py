"""Spans: which tokens an answer has, and which answer the scores mean."""

import numpy as np
import pytest

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig
from tinygrad_gpt.tasks.spans import _LONGEST_ANSWER, Spans, _best, answers


@pytest.fixture
def make(examples, wordpiece, encoder):
    def make(max_length=None):
        family = BertFamily(wordpiece, encoder.config, 0.0, max_length)
        return Spans(FineTuneConfig(lm_weight=0.0), examples("spans"), family, rows=6)

    return make


def test_the_right_places_hold_the_answer_to_the_letter(make):
    task = make()
    for (offsets, (first, last)), text, right in zip(
        task.targets, task.data.train.texts, task.data.train.answers, strict=True
    ):
        assert text[offsets[first, 0] : offsets[last, 1]] == right[0].text
    _, _, segments, first, last = task._arrays(task.sequences, task.targets, np.arange(12))
    assert (first <= last).all() and (segments[np.arange(12), first] == 1).all(), "in the text, not in the question"


def test_a_text_whose_answer_was_cut_off_is_not_learned_from_but_counts(make):
    whole = make()
    lengths = [whole.family.length(s) for s in whole.sequences]
    family = BertFamily(whole.family.tokenizer, whole.family.shape, 0.0, max(lengths) - 2)
    short = Spans(FineTuneConfig(lm_weight=0.0), whole.data, family, rows=6)
    assert 0 < short.cut_off < 12 and len(short.sequences) == 12 - short.cut_off
    assert len(short.dev_sequences) == 12
    for step in range(short.steps_per_epoch):
        *_, first, last = short.batch(step)
        assert (first >= 0).all() and (last >= first).all()
    with pytest.raises(UserError, match="no answer of spans is within the first 6 tokens: raise --max-length"):
        Spans(FineTuneConfig(lm_weight=0.0), whole.data, BertFamily(family.tokenizer, family.shape, 0.0, 6))


def test_the_best_span_is_that_of_all_pairs_tried(make):
    rng = np.random.default_rng(0)
    t = _LONGEST_ANSWER + 12
    offsets = np.full((t, 2), -1)
    offsets[4 : t - 1, 0] = np.arange(t - 5) * 2
    offsets[4 : t - 1, 1] = np.arange(t - 5) * 2 + 1
    text = "".join(f"{chr(97 + i % 26)} " for i in range(t))
    for _ in range(20):
        scores = rng.normal(size=(t, 2)) * 3
        scores[:4] += 9  # the likeliest places are not of the text
        p = np.exp(scores[4 : t - 1]) / np.exp(scores[4 : t - 1]).sum(axis=0)
        pairs = [(p[a, 0] * p[b, 1], a, b) for a in range(len(p)) for b in range(a, min(len(p), a + _LONGEST_ANSWER))]
        best, a, b = max(pairs)
        span = _best(scores, offsets, text)
        assert (span.begin, span.end) == (2 * a, 2 * b + 1) and span.probability == pytest.approx(best)
        assert span.text == text[span.begin : span.end]


def test_an_answer_is_given_with_its_place(make, encoder):
    task = make()
    model = task.family.new(encoder, "spans", 2, True, seed=1)
    question, text = "who ?", "The man saw Ben, in Rome"
    (span,) = answers(task.family, model, [(question, text)])
    assert text[span.begin : span.end] == span.text and 0 < span.probability < 1


def test_the_guess_is_the_whole_text(make):
    task = make()
    baseline = task.baseline()
    assert list(baseline) == ["f1", "exact_match"] and baseline["exact_match"] == 0 < baseline["f1"] < 1
