"""A small language for tests of translation, as arrays of its words' ids and as files.

It has six words; its translation is the same words in capitals, and says red twice.
"""

from pathlib import Path

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.data.parallel import Parallel, Translations
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.models.transformer import Transformer, TransformerConfig

WORDS = ("a", "bit", "of", "red", "sea", "sand")
PAD, END = 0, 1


class Words(Tokenizer):
    """An id for each word of both languages."""

    pad_id, end_id = PAD, END
    words = ("<pad>", "</s>", *WORDS, *(word.upper() for word in WORDS))
    vocab_size = len(words)

    def encode(self, text):
        return np.array([self.words.index(word) for word in text.split()], np.int64)

    def token_bytes(self, token):
        return f"{self.words[token]} ".encode()

    def to_json(self):
        return "{}"


def sentences(number: int, seed: int = 0) -> Translations:
    """Random sentences of one to six words, and their translations."""
    rng = np.random.default_rng(seed)
    source = [" ".join(rng.choice(WORDS, size=rng.integers(1, 7))) for _ in range(number)]
    return Translations(source, [text.upper().replace("RED", "RED RED") for text in source])


def small_corpus() -> Parallel:
    return Parallel("sand", "small", "capital", sentences(300), sentences(40, seed=1), Translations([], []), "")


def write_corpus(folder: Path, pairs: int = 40, name: str = "corpus") -> str:
    """Write NAME.en, and its translations NAME.xx. Returns what open_parallel takes, with these two languages."""
    both = sentences(pairs, seed=5)
    for ending, lines in (("en", both.source), ("xx", both.target)):
        (folder / f"{name}.{ending}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder / name)


def new_model(vocab_size: int = Words.vocab_size, **shape) -> Transformer:
    """A tiny Transformer with random weights, the same each time."""
    random_stream.manual_seed(3)
    layers = dict(d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32)
    heads = dict(encoder_attention_heads=2, decoder_attention_heads=2)
    return Transformer(TransformerConfig(vocab_size, **{"max_position_embeddings": 16} | layers | heads | shape))
