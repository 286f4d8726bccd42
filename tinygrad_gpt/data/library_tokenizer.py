"""What the tokenizers share that cut words into pieces: BPE's merges of frequent neighbours, BERT's WordPiece, and
SentencePiece's Unigram.

The Hugging Face library `tokenizers` does the work. It is an optional dependency, and loaded when used.
"""

import re
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinygrad_gpt.arguments import path as a_path
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.arguments import text as a_text
from tinygrad_gpt.data.padding import pad_right
from tinygrad_gpt.data.text_files import CHUNK_CHARS
from tinygrad_gpt.data.tokenizers import CONFIG_NAME, UNNAMED_CLASS, Tokenizer, check_id, write_text
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import parse_json, read_json, write_json
from tinygrad_gpt.files.storage import read_file

VOCABULARY, MERGES = "vocab.json", "merges.txt"
PAD, END = SENTENCE_TOKENS = ("<pad>", "</s>")  # what a vocabulary needs beside pieces of sentences
LARGEST = 256 << 20  # bytes of a file of a tokenizer
_LONG_WORD = re.compile(r"\S{1000}|\s{1000}")  # a piece of a word that is too long to learn from as a whole
_PATIENCE = 0.1  # seconds that Ctrl-C may wait
_LAST_CUT = re.compile(r".*(?<=[^\W_])(?=[ \n])", re.DOTALL)  # to the last space or line end after a letter or digit


def texts_to_encode(name: str, given) -> list[str]:
    """One text, or several, as a list; `name` for the TypeError for anything else."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise TypeError(f"tokenizer: expected a text or a list of texts as {name}, got {shown(given)}")
    return list(given)


def check_lengths(sequences: Sequence[np.ndarray], padding: bool) -> None:
    """Raise ValueError for sequences of different lengths that are not to be padded."""
    lengths = {len(ids) for ids in sequences}
    if len(lengths) > 1 and not padding:
        raise ValueError(f"tokenizer: the sequences have {min(lengths)} to {max(lengths)} tokens: use padding=True")


class LibraryTokenizer(Tokenizer):
    """A tokenizer that the library `tokenizers` runs. Subclasses say what their kind is, and how it writes tokens.

    pad_id  the id of <pad>, or of the kind's own name for it; None for a vocabulary without
    end_id  the id of </s>, which ends a sentence; None for a vocabulary without

    With </s>, it is a vocabulary of sentences, whose special tokens no text contains: `encode` reads their names as any
    other text, so that no sentence from a stranger ends where it says "</s>", and `decode` writes nothing for them. (A
    token for what is unknown is written, so that one sees where it stands.)
    """

    pad_id: int | None
    end_id: int | None

    def __init__(self, backend):
        """`backend`: a `tokenizers.Tokenizer`. Raises UserError if it is not of this class's kind."""
        self._backend = backend
        backend.no_truncation()  # a tokenizer.json may ask for both; a corpus needs neither
        backend.no_padding()
        self.vocab_size = backend.get_vocab_size(with_added_tokens=True)
        self._check_kind(self._content())
        written = [backend.id_to_token(token) for token in range(self.vocab_size)]
        if None in written:
            raise UserError(f"the tokenizer has {self.vocab_size} tokens, but none with id {written.index(None)}")
        self._bytes_of = self._bytes_of_tokens(written)
        special = {token.content: i for i, token in backend.get_added_tokens_decoder().items() if token.special}
        self.pad_id, self.end_id = (special.get(token) for token in SENTENCE_TOKENS)
        if self.end_id is not None:
            backend.encode_special_tokens = True  # as text
            unknown = self._content()["model"].get("unk_token")
            for token in special.keys() - {unknown}:
                self._bytes_of[special[token]] = b""
            if backend.post_processor is None:  # what others add who read our tokenizer.json
                backend.post_processor = load_library().processors.TemplateProcessing(
                    single=f"$A {END}", pair=f"$A $B:1 {END}:1", special_tokens=[(END, self.end_id)]
                )

    @abstractmethod
    def _check_kind(self, content: dict) -> None:
        """Raise UserError for a tokenizer.json of another kind, or one that gives a text different ids each time."""

    @abstractmethod
    def _bytes_of_tokens(self, written: list[str]) -> list[bytes]:
        """The bytes of every token, from how the vocabulary writes it."""

    @classmethod
    def from_json(cls, text: str) -> "LibraryTokenizer":
        """Read the text of a tokenizer.json in the library's format. Raises UserError if it is damaged."""
        library = load_library()
        with refusing("not a tokenizer of the tokenizers library"):
            return cls(library.Tokenizer.from_str(text))

    def __call__(self, text: str | Sequence[str], padding: bool = False) -> dict[str, np.ndarray]:
        """What a translator reads of a sentence or of several: their ids with </s> at the end of each, where `encode`
        puts none.

            model.generate(**tokenizer(["ein hund .", "ein haus ist blau ."], padding=True))

        text     a text or B of them
        padding  whether they are padded to the length of the longest

        Returns input_ids and attention_mask, (B, T) int64 each; B is 1 for a single text. Raises TypeError for a
        vocabulary without </s>, ValueError for sentences of different lengths without padding.
        """
        if self.end_id is None:
            raise TypeError(f"{type(self).__name__}: there is no {END} to put at the end of a text: write encode(text)")
        sequences = [np.append(self.encode(one), self.end_id) for one in texts_to_encode("text", text)]
        check_lengths(sequences, padding)
        ids, mask = pad_right(sequences, 0 if self.pad_id is None else self.pad_id)
        return {"input_ids": ids, "attention_mask": mask}

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, (N,) int64, without special tokens around it. Raises UserError for lone surrogates, which
        are not text."""
        return np.array(self._encoding(text).ids, dtype=np.int64)

    def _encoding(self, text: str):
        """The library's Encoding of a text: its ids, and where they come from."""
        text = a_text("encode", "the text", text)
        try:
            return self._backend.encode(text, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):
            raise UserError("the text has a lone surrogate, which cannot be written as UTF-8") from None

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[np.ndarray]:
        return (self.encode(chunk) for chunk in cut_between_words(chunks))

    def token_bytes(self, token: int) -> bytes:
        return self._bytes_of[check_id(token, self.vocab_size)]

    def to_json(self) -> str:
        return self._backend.to_str()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the files from which transformers' AutoTokenizer loads it: tokenizer.json and tokenizer_config.json."""
        folder, config = a_path("save_pretrained", "folder", folder), self._for_transformers()
        if self.end_id is not None:
            names = {"pad_token": PAD, "eos_token": END, "clean_up_tokenization_spaces": False}
            config = names | config  # a kind may have its own
        super().save_pretrained(folder)
        write_json(folder / CONFIG_NAME, config)

    def _content(self) -> dict[str, Any]:
        """The content of tokenizer.json."""
        return parse_json(self.to_json(), "the tokenizer")

    @abstractmethod
    def _for_transformers(self) -> dict[str, Any]:
        """The content of tokenizer_config.json: the name of its kind, its settings, and its special tokens."""


class MergingTokenizer(LibraryTokenizer):
    """A tokenizer that merges frequent neighbours into longer tokens (BPE)."""

    model_settings: ClassVar[Mapping[str, str]] = {}  # of the library's BPE model

    @staticmethod
    @abstractmethod
    def _around(library, model):
        """A backend with this model, which splits and joins text as this kind does."""

    @staticmethod
    @abstractmethod
    def _learning(library, vocab_size: int) -> dict[str, Any]:
        """Settings of the library's trainer."""

    @classmethod
    def train(cls, corpus, vocab_size: int, special_tokens: Sequence[str] = ()) -> "MergingTokenizer":
        """Learn `vocab_size` tokens from the training part of a Corpus, or from an iterable of texts: the special ones,
        the single bytes (256) for BPETokenizer, <unk> and the characters for GPT1Tokenizer, and merges.

        special_tokens  names of further tokens, with the first ids; SENTENCE_TOKENS for a vocabulary of sentences

        Raises UserError if the library `tokenizers` is not installed. A small corpus may have too few pairs to merge;
        the tokenizer's vocab_size is then smaller than requested. An iterator is read into memory, since the texts are
        read twice.
        """
        library, texts = load_library(), training_texts(corpus)
        backend = cls._around(library, library.models.BPE(**cls.model_settings))
        how = cls._learning(library, vocab_size - len(special_tokens))
        how["special_tokens"] = [*special_tokens, *how.get("special_tokens", ())]
        # The library takes memory for all that it is asked for. A character has 4 bytes at most, and a merge joins two.
        characters = corpus.train_characters if hasattr(corpus, "train_characters") else sum(map(len, texts()))
        most = min(vocab_size, 256 + len(special_tokens) + 5 * characters)
        train_backend(backend, library.trainers.BpeTrainer(vocab_size=most, show_progress=False, **how), texts())
        return cls(backend)

    @classmethod
    def from_files(cls, vocab: str | Path, merges: str | Path) -> "MergingTokenizer":
        """Read the published format: vocab.json (token -> id) and merges.txt (one pair per line, best first).

        Raises UserError if a file is missing or damaged, or the library `tokenizers` is not installed.
        """
        library = load_library()
        ids = read_json(Path(vocab), {...: int}, most=LARGEST)
        with refusing(f"cannot read the vocabulary {vocab} with {merges}"):
            lines = read_file(Path(merges), LARGEST).decode("utf-8").splitlines()
            pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
            model = library.models.BPE(ids, pairs, **cls.model_settings)
        return cls(cls._around(library, model))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the files from which transformers' AutoTokenizer loads it: tokenizer.json, tokenizer_config.json and,
        for a kind that transformers has a name for, vocab.json and merges.txt."""
        super().save_pretrained(folder)
        if self._for_transformers()["tokenizer_class"] != UNNAMED_CLASS:
            merges = self._content()["model"]["merges"]
            pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in merges)
            folder = Path(folder)
            write_json(folder / VOCABULARY, self._backend.get_vocab())
            write_text(folder / MERGES, "".join(f"{line}\n" for line in ("#version: 0.2", *pairs)))


def load_library():
    """The module `tokenizers`. Raises UserError if it is not installed."""
    try:
        import tokenizers
    except ImportError:
        raise UserError(
            'a tokenizer of pieces of words needs the library tokenizers: pip install "tinygrad-gpt[bpe]"'
        ) from None
    return tokenizers


def splitting_steps(splits: dict) -> Iterator[dict]:
    """The steps of a tokenizer.json's "pre_tokenizer", in their order; steps within a step are steps of the whole."""
    if "pretokenizers" not in splits:
        yield splits
    for step in splits.get("pretokenizers", ()):
        yield from splitting_steps(step)


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Inside this block, any error of the library becomes a UserError that begins with `what`. (The library raises
    plain Exceptions, and PanicExceptions, which are not Exceptions.)"""
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(f"{what}: {in_short(error)}") from None


def training_texts(corpus) -> Callable[[], Iterator[str]]:
    """A function that begins to read the training part of a Corpus, or an iterable of texts, at each call."""
    if hasattr(corpus, "train"):
        return corpus.train
    if isinstance(corpus, str | bytes) or not isinstance(corpus, Iterable):
        raise TypeError(f"train: expected a Corpus or an iterable of texts, got {shown(corpus)}")
    texts = list(corpus) if isinstance(corpus, Iterator) else corpus
    return lambda: (f"{text}\n" for text in texts)  # or the last word of a text would be one with the next one's first


def train_backend(backend, trainer, chunks: Iterable[str]) -> None:
    """Let the library learn from a text in chunks, in a time that is linear in the text's length.

    For each merge that it learns, the library visits every word with the pair and moves the rest of the word. That is
    quick for ordinary words. A genome, base64 or minified code is one word from end to end, and takes time quadratic in
    its length. So long words are cut for learning. (Encoding is linear anyway, and cuts nothing.)

    The library does not react to Ctrl-C. So another thread does the work, and this one waits, where Ctrl-C is handled
    at once.
    """
    failed: list[BaseException] = []
    stopped = threading.Event()

    def pieces() -> Iterator[str]:
        for chunk in cut_between_words(chunks):
            if stopped.is_set():
                return
            yield from _cut_long_words(chunk)

    def work() -> None:
        try:
            with refusing("the tokenizer cannot be trained"):
                backend.train_from_iterator(pieces(), trainer)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)  # the process may end before the thread
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_PATIENCE)
    finally:
        stopped.set()
    if failed:
        raise failed[0]


def _cut_long_words(text: str) -> Iterator[str]:
    """A text in pieces, cut at the end of each _LONG_WORD."""
    begin = 0
    for long in _LONG_WORD.finditer(text):
        yield text[begin : long.end()]
        begin = long.end()
    yield text[begin:]


def cut_between_words(chunks: Iterable[str], longest: int = CHUNK_CHARS) -> Iterator[str]:
    """A text in other chunks, cut only where no token crosses the cut: before a space or line end that follows a letter
    or digit.

    At these places, the patterns by which GPT-2 and its successors split text begin a new piece, whatever follows. So
    the ids of the parts are the ids of the whole. (After a full stop, some patterns take the line end too.) The text
    after the last such place waits for the next chunk. A stretch of more than `longest` characters without such a place
    is cut anyway: one seam in a hundred thousand tokens, or memory would run short and Ctrl-C would wait.
    """
    waiting = ""
    for chunk in chunks:
        text = waiting + chunk
        found = _LAST_CUT.match(text, len(waiting))
        cut = found.end() if found else len(text) if len(text) >= longest else 0
        if cut:
            yield text[:cut]
        waiting = text[cut:]
    if waiting:
        yield waiting
