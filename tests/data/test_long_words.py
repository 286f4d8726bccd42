"""Texts that are one word from end to end: a genome, base64, minified code; and texts with no place to cut."""

import random
import signal
import threading
import time

import numpy as np
import pytest

from tinygrad_gpt.data import BPETokenizer, GPT1Tokenizer, UnigramTokenizer, WordPieceTokenizer, open_corpus
from tinygrad_gpt.data.library_tokenizer import cut_between_words, train_backend
from tinygrad_gpt.errors import UserError

KINDS = pytest.mark.parametrize("kind", [BPETokenizer, GPT1Tokenizer])


def letters(n: int, alphabet: str = "acgt") -> str:
    return "".join(random.Random(0).choices(alphabet, k=n))


class Recorder:
    """In place of the library's tokenizer: what it is to learn from."""

    def train_from_iterator(self, pieces, trainer):
        self.pieces = list(pieces)


@pytest.mark.parametrize("text", [letters(50_000), " " * 50_000, "\n" * 50_000, "=" * 50_000, letters(50_000, "ab. -")])
def test_no_word_that_is_learned_from_is_long(text):
    recorder = Recorder()
    train_backend(recorder, None, [text[i : i + 7777] for i in range(0, len(text), 7777)])
    assert "".join(recorder.pieces) == text
    longest = max(len(word) for piece in recorder.pieces for word in (piece.split() or [piece]))
    assert longest <= 1001


@KINDS
def test_a_genome_can_be_learned(kind, corpus_of):
    """Without pieces this takes minutes."""
    pytest.importorskip("tokenizers")
    text = letters(400_000)
    tokenizer = kind.train(corpus_of(text), 600)
    assert tokenizer.vocab_size == 600
    ids = tokenizer.encode(text[:30_000])
    assert len(ids) < 30_000 / 2 and tokenizer.decode(ids).strip() == text[:30_000]


def test_wordpiece_learns_a_genome_too_and_reads_it_as_one_unknown_word(corpus_of):
    pytest.importorskip("tokenizers")
    text = letters(400_000)
    tokenizer = WordPieceTokenizer.train(corpus_of(text), 600)
    assert tokenizer.vocab_size == 600
    assert tokenizer.encode(text).tolist() == [tokenizer.unk_id]
    assert tokenizer.unk_id not in tokenizer.encode(text[:100])


@pytest.mark.long
def test_unigram_learns_a_genome_too(corpus_of):
    pytest.importorskip("tokenizers")
    text = letters(50_000)
    tokenizer = UnigramTokenizer.train(corpus_of(text), 300)
    ids = tokenizer.encode(text)
    assert len(ids) < 50_000 / 3 and tokenizer.decode(ids) == text


def test_ordinary_words_are_learned_from_as_before(corpus_of):
    library = pytest.importorskip("tokenizers")
    text = "the quick brown fox jumps over the lazy dog, and again: it's 2024\n\n" * 50
    learned = BPETokenizer.train(corpus_of(text), 300)
    backend = library.Tokenizer.from_str(learned.to_json())
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([text[: int(0.9 * len(text))]], trainer)
    assert learned.encode(text).tolist() == backend.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    "text", [". " * 200_000, "\n" * 300_000, "- | " * 100_000, letters(300_000)], ids=lambda t: repr(t[:4])
)
def test_a_text_without_a_place_to_cut(text):
    """Looking for one anew from the beginning, at each of these spaces, takes hours."""
    chunks = [text[i : i + 65536] for i in range(0, len(text), 65536)]
    parts = list(cut_between_words(chunks, longest=131072))
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 131072 + 65536


def test_the_last_place_to_cut_is_found_wherever_it_is():
    for at in (1, 2, 4095, 4096, 4097, 9000):
        text = "." * (at - 1) + "a " + "." * 9000
        assert list(cut_between_words([text[:5000], text[5000:]])) == [text[:at], text[at:]]


def test_ids_of_chunks_are_those_of_the_whole(corpus_of):
    pytest.importorskip("tokenizers")
    text = letters(3000, "ab .,\n")
    tokenizer = BPETokenizer.train(corpus_of(text), 400)
    for size in (1, 7, 100, 5000):
        chunks = (text[i : i + size] for i in range(0, len(text), size))
        assert np.concatenate(list(tokenizer.encode_chunks(chunks))).tolist() == tokenizer.encode(text).tolist()


def test_ctrl_c_is_heard_while_the_library_works():
    begun, may_end = threading.Event(), threading.Event()

    class Busy:
        def train_from_iterator(self, pieces, trainer):
            begun.set()
            may_end.wait(60)

    def press():
        begun.wait(60)
        time.sleep(0.05)
        signal.raise_signal(signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            train_backend(Busy(), None, ["text"])
        assert not may_end.is_set()
    finally:
        may_end.set()
        presser.join()


def test_what_goes_wrong_in_the_other_thread_is_raised_in_this_one(tmp_path):
    def chunks():
        yield "text"
        raise UserError("the file went away")

    class Eager:
        def train_from_iterator(self, pieces, trainer):
            list(pieces)

    with pytest.raises(UserError, match="the file went away"):
        train_backend(Eager(), None, chunks())


@KINDS
def test_a_vocabulary_of_any_size_may_be_asked_for(kind, corpus_of):
    """The library takes memory for all the tokens that it is asked for, before it looks at the text."""
    pytest.importorskip("tokenizers")
    assert kind.train(corpus_of("the quick brown fox " * 20), 2**62).vocab_size < 400


def test_the_corpus_is_read_in_chunks(tmp_path):
    (tmp_path / "dna.txt").write_text(letters(1000), encoding="utf-8")
    assert sum(map(len, open_corpus(tmp_path / "dna.txt").train(100))) == 900
