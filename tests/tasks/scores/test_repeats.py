"""How much of a text stood in it before."""

import pytest

from tinygrad_gpt.tasks.scores import repeats


@pytest.mark.parametrize(
    ("texts", "share"),
    [
        (["a b c d e f"], 0.0),
        (["a a a a a"], 2 / 3),  # three runs of three words, one of them new
        (["a b a b a b"], 2 / 4),
        (["a b c", "a b c"], 0.0),  # of another text
        (["a b c d", "a a a a"], 1 / 4),
        (["a b", ""], 0.0),
        ([], 0.0),
    ],
)
def test_the_share_of_runs_of_three_words_that_stood_there_before(texts, share):
    assert repeats(texts) == pytest.approx(share)
