"""Spans: which tokens an answer has, in which window of a long text, and which answer the scores mean."""

import numpy as np
import pytest

from tinygrad_gpt.tasks.bert_family import BertFamily
from tinygrad_gpt.tasks.fine_tuning import FineTuneConfig
from tinygrad_gpt.tasks.spans import Spans, _answer, answers


@pytest.fixture
def make(examples, wordpiece, encoder):
    data = examples("spans")

    def make(max_length=None):
        family = BertFamily(wordpiece, encoder.config, 0.0, max_length)
        return Spans(FineTuneConfig(lm_weight=0.0), data, family, rows=6)

    return make


def test_the_right_places_hold_the_answer_to_the_letter(make):
    task = make()
    passages, places = task.targets
    assert len(places) == 12, "each text fits"
    for passage, (first, last), text, right in zip(
        passages, places, task.labelled.train.texts, task.labelled.train.answers, strict=True
    ):
        a, b = first - passage.before, last - passage.before
        assert text[passage.offsets[a, 0] : passage.offsets[b, 1]] == right[0].text
    _, _, segments, first, last = task._arrays(task.sequences, task.targets, np.arange(12))
    assert (first <= last).all() and (segments[np.arange(12), first] == 1).all(), "in the text, not in the question"


def test_a_long_text_is_read_in_windows_and_one_without_the_answer_points_to_cls(make):
    whole, task = make(), make(max_length=16)
    longest = max(whole.family.length(s) for s in whole.sequences)
    assert longest > 16 == max(task.family.length(s) for s in task.sequences)
    passages, places = task.targets
    assert len(task.sequences) == len(places) == sum(len(p.windows) for p in passages) > 12
    rows = iter(zip(task.sequences, places, strict=True))
    with_answer = 0
    for passage, right in zip(passages, task.labelled.train.answers, strict=True):
        expected = whole.family.tokenizer.encode(right[0].text).tolist()
        for _ in passage.windows:
            (ids, _), (first, last) = next(rows)
            if last:
                assert ids[first : last + 1].tolist() == expected
                with_answer += 1
            else:
                assert first == 0 and ids[0] == whole.family.tokenizer.cls_id
    assert 6 <= with_answer < len(places)
    assert task.steps_per_epoch == -(-len(places) // 6)


def test_an_answer_is_found_in_whatever_window_it_stands(make):
    """Scores that are high at the right places alone: every answer comes out, to the letter."""
    for max_length in (None, 22):
        task = make(max_length)
        scores = [np.zeros((task.family.length(s), 2)) for s in task.dev_sequences]
        for s, (first, last) in zip(scores, task.dev_targets.places, strict=True):
            s[first, 0] += 9
            s[last, 1] += 9
        found = task.measure(scores)
        assert found["exact_match"] == found["f1"] == 1 and 0 < found["val_loss"] < 0.01


def test_the_answer_is_the_best_of_all_pairs_and_its_probability_that_among_them(make):
    task = make()
    rng = np.random.default_rng(0)
    for passage, text in zip(task.dev_targets.passages, task.labelled.dev.texts, strict=True):
        scores = rng.normal(size=(task.family.length(passage.sequences[0]), 2)) * 3
        scores[: passage.before] += 9  # the question's places, which are no answers
        n = len(passage.offsets)
        of_text = scores[passage.before : passage.before + n]
        p = np.exp(of_text) / np.exp(of_text).sum(axis=0)
        best, a, b = max((p[a, 0] * p[b, 1], a, b) for a in range(n) for b in range(a, min(n, a + 30)))
        answer = _answer([scores], passage, text)
        assert (answer.begin, answer.end) == (passage.offsets[a, 0], passage.offsets[b, 1])
        assert answer.probability == pytest.approx(best) and answer.text == text[answer.begin : answer.end]


def test_an_answer_is_given_with_its_place(make, encoder):
    task = make(max_length=14)
    model = task.family.first_model(encoder, "spans", 2, True, seed=1)
    text = "The man saw Ben, in Rome, and Anna was in Oslo"
    first, second = answers(task.family, model, [("who ?", text), ("who ?", " ")])
    assert text[first.begin : first.end] == first.text != "" and 0 < first.probability < 1
    assert second.text == "" and second.probability == 0


def test_answers_that_fit_into_no_window_are_told(make):
    assert make().remark() == make(max_length=16).remark() == ""
    task = make(max_length=8)
    where = np.split(task.targets.places[:, 0], np.cumsum([len(p.windows) for p in task.targets.passages])[:-1])
    lost = sum(not first.any() for first in where)
    assert 0 < lost < 12
    assert task.remark().startswith(f"{lost} of 12 training answers do not fit into a sequence of 8 tokens")


def test_the_guess_is_the_whole_text(make):
    baseline = make().baseline()
    assert list(baseline) == ["f1", "exact_match"] and baseline["exact_match"] == 0 < baseline["f1"] < 1
