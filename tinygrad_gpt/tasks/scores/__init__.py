"""How good answers are: functions of what is right and what was predicted.

classes.py   classes: accuracy, Matthews correlation, F1
numbers.py   numbers: Pearson's and Spearman's correlation, mean squared error
entities.py  tags of words: precision, recall and F1 of the entities that they mark
answers.py   answers to questions: exact match, and F1 of their words
bleu.py      translations: BLEU
repeats.py   how much texts say again
corpus.py    BLEU, checked against sacrebleu where that is installed
by_kind.py   which of them each kind of labelled task has, and their titles
"""

from tinygrad_gpt.tasks.scores.answers import AnswerScores, answer_scores
from tinygrad_gpt.tasks.scores.bleu import Bleu, corpus_bleu
from tinygrad_gpt.tasks.scores.by_kind import TITLES, score, scores_of_task
from tinygrad_gpt.tasks.scores.classes import accuracy, cross_entropy, f1, macro_f1, matthews
from tinygrad_gpt.tasks.scores.corpus import CorpusScores, corpus_scores
from tinygrad_gpt.tasks.scores.entities import EntityScores, entities, entity_scores, entity_scores_by_type
from tinygrad_gpt.tasks.scores.numbers import mean_squared_error, pearson, spearman
from tinygrad_gpt.tasks.scores.repeats import repeats

__all__ = [
    "TITLES",
    "AnswerScores",
    "Bleu",
    "CorpusScores",
    "EntityScores",
    "accuracy",
    "answer_scores",
    "corpus_bleu",
    "corpus_scores",
    "cross_entropy",
    "entities",
    "entity_scores",
    "entity_scores_by_type",
    "f1",
    "macro_f1",
    "matthews",
    "mean_squared_error",
    "pearson",
    "repeats",
    "score",
    "scores_of_task",
    "spearman",
]
