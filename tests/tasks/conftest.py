"""A small labelled text, a tokenizer for it and a small pre-trained model."""

import numpy as np
import pytest

from tests.train.conftest import *  # noqa: F403 - its fixtures, too
from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.data.labelled import open_task
from tinygrad_gpt.models import GPT, GPTConfig

LETTERS = "abcdefgh"


@pytest.fixture
def data(tmp_path):
    """Is there an a among the letters? 90 texts of different lengths to train on, of which two thirds have none."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(100):
        letters = rng.choice(list("bcdefgh"), size=rng.integers(2, 9))
        if i % 3 == 0:
            letters[rng.integers(len(letters))] = "a"
        lines.append(f"{''.join(letters)}\t{'yes' if i % 3 == 0 else 'no'}\n")
    (tmp_path / "own.tsv").write_text("".join(lines), encoding="utf-8")
    return open_task("own.tsv")


@pytest.fixture
def tokenizer():
    return CharTokenizer(LETTERS)


@pytest.fixture
def body():
    random_stream.manual_seed(2)
    return GPT(GPTConfig(len(LETTERS), block_size=16, n_layer=1, n_head=2, n_embd=16, norm="post", dropout=0.1))
