"""Small labelled texts of each kind, tokenizers for them, and small models to begin with."""

import numpy as np
import pytest

from tests.train.conftest import *  # noqa: F403 - its fixtures, too
from tinygrad_gpt import random_stream
from tinygrad_gpt.data import CharTokenizer
from tinygrad_gpt.data.labelled import open_task
from tinygrad_gpt.data.wordpiece_tokenizer import WordPieceTokenizer
from tinygrad_gpt.models import GPT, BertConfig, BertModel, GPTConfig

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


# --- a BERT, and examples of each kind -------------------------------------------------------------------------------

NAMES, PLACES = ("anna", "ben", "carla", "dan"), ("rome", "paris", "oslo", "bern")


@pytest.fixture(scope="session")
def wordpiece():
    """A tokenizer that splits some words: names and places have several pieces."""
    letters = "the quick brown fox jumps over the lazy dog"
    return WordPieceTokenizer.train([letters, *["the man saw a dog in the park , she was there , who ?"] * 3], 90)


@pytest.fixture
def encoder(wordpiece):
    """A tiny BERT with random weights."""
    random_stream.manual_seed(2)
    shape = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    return BertModel(BertConfig(vocab_size=wordpiece.vocab_size, max_position_embeddings=40, **shape))


@pytest.fixture
def examples(tmp_path):
    """The task of a kind, as files of 12 examples to train on, and the same to test on."""

    def examples(kind):
        (tmp_path / kind).mkdir(exist_ok=True)
        for part in ("train", "dev"):
            (tmp_path / kind / f"{part}{'.conll' if kind == 'tokens' else '.csv'}").write_text(
                LINES[kind], encoding="utf-8"
            )
        return open_task(kind)

    return examples


def _lines():
    people = [(NAMES[i % 4], PLACES[i // 3]) for i in range(12)]
    texts = [f"{'the man' if i % 2 else 'she'} saw {a} in {b}" for i, (a, b) in enumerate(people)]
    rows = {"classes": ["text,label"], "pair-classes": ["text_a,text_b,label"], "similarity": ["text_a,text_b,score"]}
    rows |= {"tokens": [], "spans": ["question,text,answer"]}
    for i, ((a, b), text) in enumerate(zip(people, texts, strict=True)):
        rows["classes"].append(f"{text},{'man' if i % 2 else 'woman'}")
        rows["pair-classes"].append(f"{text},{b} was there,{'yes' if i % 2 else 'no'}")
        rows["similarity"].append(f"{text},{a} was at home,{i // 3}")
        tags = {a: "B-PERSON", b: "B-PLACE"}
        rows["tokens"] += [*(f"{word}\t{tags.get(word, 'O')}" for word in text.split()), ""]
        rows["spans"].append(f"{'who' if i % 2 else 'in the park'} ?,{text},{a if i % 2 else b}")
    return {kind: "\n".join(lines) + "\n" for kind, lines in rows.items()}


LINES = _lines()
