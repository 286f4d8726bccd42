"""The scores of each kind of task, and what a guess gets."""

import numpy as np
import pytest

from tests.data.conftest import real_data  # noqa: F401 - a fixture
from tinygrad_gpt.data import TASKS, open_task
from tinygrad_gpt.data.examples import KINDS, Answer, AnsweredQuestions, LabelledPairs, LabelledTask, LabelledWords
from tinygrad_gpt.tasks.scores import METRICS, baseline, score


def test_every_kind_has_scores():
    assert tuple(METRICS) == KINDS


@pytest.mark.parametrize("name", TASKS)
def test_right_answers_score_best_and_a_guess_less(real_data, name):  # noqa: F811
    task = open_task(name)
    best, guess = score(task, task.dev, task.dev.labels), baseline(task)
    assert list(best) == list(guess) == list(METRICS[task.kind])
    for metric, more_is_better in METRICS[task.kind].items():
        assert best[metric] == pytest.approx(1.0 if more_is_better else 0.0)
        assert guess[metric] < best[metric] if more_is_better else guess[metric] > best[metric]


def test_a_guess_of_numbers_is_the_mean_of_training():
    pairs = LabelledPairs(["a"] * 4, ["b"] * 4, np.array([0.0, 1.0, 1.0, 4.0]))
    task = LabelledTask("own", "similarity", pairs, LabelledPairs(["a"], ["b"], np.array([2.0])))
    assert task.guess(task.dev) == [1.5]
    assert baseline(task) == {"spearman": 0, "pearson": 0, "mse": 0.25}


def test_a_guess_of_tags_is_the_most_frequent_tag():
    words = LabelledWords([("a", "b", "c"), ("d",)], [np.array([0, 0, 1]), np.array([0])])
    task = LabelledTask("own", "tokens", words, words, classes=("O", "B-A", "I-A"))
    assert [each.tolist() for each in task.guess(words)] == [[0, 0, 0], [0]]
    assert baseline(task) == {"f1": 0, "precision": 0, "recall": 0, "accuracy": 0.75}
    assert score(task, words, [np.array([0, 0, 2]), np.array([0])])["f1"] == 1  # I-A after O begins an entity
    found = score(task, words, [np.array([1, 0, 1]), np.array([1])])  # three, of which one is right
    assert (found["precision"], found["recall"], found["f1"], found["accuracy"]) == (1 / 3, 1, 0.5, 0.5)


def test_a_guess_of_answers_is_the_whole_text():
    asked = AnsweredQuestions(["Who?", "What?"], ["Ada wrote", "it"], [(Answer("Ada", 0),), (Answer("it", 0),)])
    task = LabelledTask("own", "spans", asked, asked)
    assert baseline(task) == {"f1": (2 / 3 + 1) / 2, "exact_match": 0.5}
