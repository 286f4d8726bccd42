"""Entities of tagged words, and their scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_gpt.tasks.scores import EntityScores, entities, entity_scores, entity_scores_by_type

TAGS = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), min_size=1, max_size=12)


@st.composite
def both(draw):
    """The right tags of some sentences, and others for the same words."""
    right = draw(st.lists(TAGS, min_size=1, max_size=6))
    return right, [draw(st.permutations(tags)) for tags in right]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", []),
        ("B-A I-A O B-A", [("A", 0, 2), ("A", 3, 4)]),
        ("B-A B-A", [("A", 0, 1), ("A", 1, 2)]),  # two of one type side by side
        ("O I-A I-A", [("A", 1, 3)]),  # I- after none begins one
        ("I-A", [("A", 0, 1)]),
        ("B-A I-B I-B", [("A", 0, 1), ("B", 1, 3)]),  # I- of another type begins one
        ("B-A I-B I-A", [("A", 0, 1), ("B", 1, 2), ("A", 2, 3)]),
        ("B-A O I-A", [("A", 0, 1), ("A", 2, 3)]),
        ("B-creative-work I-creative-work", [("creative-work", 0, 2)]),
    ],
)
def test_entities(tags, expected):
    assert entities(tags.split()) == expected


def test_an_entity_is_right_as_a_whole_or_not_at_all():
    right = [["B-A", "I-A", "O", "B-B"], ["B-A"]]
    predicted = [["B-A", "O", "O", "B-B"], ["B-B"]]  # one cut short, one right, one of the wrong type
    assert entity_scores(right, predicted) == EntityScores(1 / 3, 1 / 3, 1 / 3)
    by_type = entity_scores_by_type(right, predicted)
    assert by_type == {"A": EntityScores(0, 0, 0), "B": EntityScores(1 / 2, 1, 2 / 3)}


def test_an_entity_does_not_go_on_in_the_next_sentence():
    assert entity_scores([["B-A"], ["I-A"]], [["B-A"], ["B-A"]]).f1 == 1
    assert entity_scores([["B-A", "I-A"]], [["B-A", "B-A"]]).f1 == 0


def test_to_find_nothing_is_worth_nothing():
    assert entity_scores([["B-A", "O", "O", "O"]], [["O"] * 4]) == EntityScores(0, 0, 0)
    assert entity_scores([["O"]], [["O"]]) == EntityScores(0, 0, 0)


@given(both())
def test_ranges_and_sides(pair):
    right, predicted = pair
    there, back = entity_scores(right, predicted), entity_scores(predicted, right)
    assert all(0 <= score <= 1 for score in there)
    assert (there.precision, there.recall, there.f1) == (back.recall, back.precision, back.f1)
    assert min(there[:2]) - 1e-12 <= there.f1 <= max(there[:2]) + 1e-12
    assert entity_scores(right[::-1], predicted[::-1]) == there
    found = any(tag != "O" for tags in right for tag in tags)
    assert entity_scores(right, right) == (EntityScores(1, 1, 1) if found else EntityScores(0, 0, 0))


@given(TAGS)
def test_entities_cover_every_word_that_is_in_one_and_no_other(tags):
    covered = [tags[i][2:] == type for type, begin, end in entities(tags) for i in range(begin, end)]
    assert all(covered) and len(covered) == sum(tag != "O" for tag in tags)
