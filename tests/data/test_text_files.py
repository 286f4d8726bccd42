"""Text files: counting words. (What reading them does stands in test_corpora.py.)"""

import numpy as np
import pytest

from tinygrad_gpt.data.text_files import count_words


@pytest.mark.parametrize("text", ["", " ", "one", " two  words\n", "a\nb\tc\u3000d e", "x" * 9])
def test_words_are_counted_whatever_the_chunks(text):
    draw = np.random.default_rng(0)
    for _ in range(20):
        cuts = sorted(draw.integers(0, len(text) + 1, 3))
        chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert count_words(chunks) == len(text.split())
