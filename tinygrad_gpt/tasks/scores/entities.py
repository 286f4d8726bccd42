"""The scores of tagged words, of which only whole entities count: one is right if its type and both ends are.

Words can be scored instead, but most of them are O: who says O to every word is right about most words, and finds
nothing.

Which entities a row of tags marks, also where a model breaks the scheme:

    B-T  begins an entity of type T
    I-T  continues the entity of type T that the word before belongs to. If that word belongs to none, or to one of
         another type, I-T begins an entity, as B-T does
    O    belongs to none

These are the rules of conlleval, the script of CoNLL-2000's shared task (Tjong Kim Sang and Buchholz, "Introduction to
the CoNLL-2000 shared task: chunking", 2000), and of the library seqeval unless its mode is strict.
"""

from collections.abc import Sequence
from typing import NamedTuple

Tags = Sequence[str]


class EntityScores(NamedTuple):
    """Of entities, with TP true positives, FP false positives and FN false negatives. A share of nothing is 0.

    precision  TP / (TP + FP), the share of the predicted ones that are right
    recall     TP / (TP + FN), the share of the right ones that were predicted
    f1         their harmonic mean, 2 TP / (2 TP + FP + FN)
    """

    precision: float
    recall: float
    f1: float


def entities(tags: Tags) -> list[tuple[str, int, int]]:
    """The entities of a sentence: (type, index of the first word, index after the last one)."""
    found: list[tuple[str, int, int]] = []
    before = "O"
    for i, tag in enumerate(tags):
        if tag.startswith("I-") and before[2:] == tag[2:]:
            type, begin, _ = found.pop()
            found.append((type, begin, i + 1))
        elif tag != "O":
            found.append((tag[2:], i, i + 1))
        before = tag
    return found


def entity_scores(right: Sequence[Tags], predicted: Sequence[Tags]) -> EntityScores:
    """The scores of all entities of all sentences together; right and predicted hold the tags of each sentence."""
    return _scores(_all(right), _all(predicted))


def entity_scores_by_type(right: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, EntityScores]:
    """The scores of the entities of each type that occurs."""
    ours, theirs = _all(right), _all(predicted)
    types = sorted({type for _, type, *_ in ours | theirs})
    return {type: _scores(*({e for e in side if e[1] == type} for side in (ours, theirs))) for type in types}


def _all(sentences: Sequence[Tags]) -> set[tuple[int, str, int, int]]:
    return {(number, *entity) for number, tags in enumerate(sentences) for entity in entities(tags)}


def _scores(right: set, predicted: set) -> EntityScores:
    both, all_of_both = len(right & predicted), len(right) + len(predicted)
    return EntityScores(
        both / len(predicted) if predicted else 0.0,
        both / len(right) if right else 0.0,
        2 * both / all_of_both if all_of_both else 0.0,
    )
