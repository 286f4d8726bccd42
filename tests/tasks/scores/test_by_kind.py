"""The scores of each kind of task, and what a guess gets."""

import numpy as np
import pytest

from tests.data.conftest import real_data  # noqa: F401 - a fixture
from tinygrad_gpt.data import TASKS, open_task
from tinygrad_gpt.data.examples import KINDS, Answer, AnsweredQuestions, LabelledPairs, LabelledTask, LabelledWords
from tinygrad_gpt.tasks.scores import TITLES, score, scores_of_task


def baseline(task):
    """What the guess scores."""
    return score(task, task.dev, task.guess(task.dev))


def test_every_kind_has_scores_and_every_score_a_title():
    names = {name for kind in KINDS for name in scores_of_task(kind)}
    assert names | {"bleu"} == set(TITLES), "a translation has no kind of labels"
    assert len(set(TITLES.values())) == len(TITLES)


def test_the_first_score_decides_and_for_some_tasks_it_is_the_published_one():
    assert scores_of_task("classes")[0] == scores_of_task("classes", "cola")[0] == "matthews"
    assert scores_of_task("classes", "sst2-sentences") == ("accuracy", "matthews")
    assert scores_of_task("classes", "./sst2-sentences")[0] == "matthews", "a file of one's own"


@pytest.mark.long
@pytest.mark.parametrize("name", TASKS)
def test_right_answers_score_best_and_a_guess_less(real_data, name):  # noqa: F811
    task = open_task(name)
    best, guess = score(task, task.dev, task.dev.labels), baseline(task)
    assert tuple(best) == tuple(guess) == scores_of_task(task.kind, name)
    for metric in best:
        assert best[metric] == pytest.approx(1.0) and guess[metric] < best[metric]


def test_a_guess_of_numbers_is_the_mean_of_training():
    pairs = LabelledPairs(["a"] * 4, ["b"] * 4, np.array([0.0, 1.0, 1.0, 4.0]))
    task = LabelledTask("own", "similarity", pairs, LabelledPairs(["a"], ["b"], np.array([2.0])))
    assert task.guess(task.dev) == [1.5]
    assert baseline(task) == {"spearman": 0, "pearson": 0}


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
