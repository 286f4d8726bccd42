"""What tokenizers share that merge frequent neighbours into longer tokens.

The merging is done by the Hugging Face library `tokenizers`, an optional dependency that is loaded when one is made.
"""

import re
import threading
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import path as a_path
from tinygrad_gpt.arguments import text as a_text
from tinygrad_gpt.data.text_files import CHUNK_CHARS
from tinygrad_gpt.data.tokenizers import CONFIG_NAME, UNNAMED_CLASS, Tokenizer, check_id, write_text
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.json_files import parse_json, read_json, write_json
from tinygrad_gpt.files.storage import read_file

VOCABULARY, MERGES = "vocab.json", "merges.txt"
LARGEST = 256 << 20  # bytes of a file of a tokenizer
_LONG_WORD = re.compile(r"\S{1000}|\s{1000}")  # what is learned from at a time where no word ends before
_PATIENCE = 0.1  # seconds in which Ctrl-C may wait
_CUT = re.compile(r"(?<=[^\W_])[ \n]")  # before a space or line end after a letter or digit
_AT_A_TIME = 4096  # characters in which the last such place is looked for at a time


class LibraryTokenizer(Tokenizer):
    """What tokenizers that the library `tokenizers` runs have in common."""

    def __init__(self, backend):
        """`backend`: a `tokenizers.Tokenizer`. Raises UserError for one that is not of this class's kind."""
        self._backend = backend
        backend.no_truncation()  # a tokenizer.json may ask for both; a corpus wants neither
        backend.no_padding()
        self.vocab_size = backend.get_vocab_size(with_added_tokens=True)
        self._bytes_of = self._read_backend()

    @abstractmethod
    def _read_backend(self) -> list[bytes]:
        """The bytes of every token. Raises UserError for a backend of another kind."""

    @classmethod
    def from_json(cls, text: str) -> "LibraryTokenizer":
        """From the text of a tokenizer.json in the library's format. Raises UserError if it is damaged."""
        library = load_library()
        with refusing("not a tokenizer of the tokenizers library"):
            return cls(library.Tokenizer.from_str(text))

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, (N,) int64. Raises UserError for lone surrogates, which are no text."""
        text = a_text("encode", "the text", text)
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):
            raise UserError("the text has a lone surrogate, which cannot be written as UTF-8") from None
        return np.array(encoding.ids, dtype=np.int64)

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[np.ndarray]:
        return (self.encode(chunk) for chunk in cut_between_words(chunks))

    def token_bytes(self, token: int) -> bytes:
        return self._bytes_of[check_id(token, self.vocab_size)]

    def to_json(self) -> str:
        return self._backend.to_str()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the files with which transformers' AutoTokenizer loads it from a model's folder: tokenizer.json,
        tokenizer_config.json and, for a kind that transformers has a name for, vocab.json and merges.txt."""
        folder, config = a_path("save_pretrained", "folder", folder), self._for_transformers()
        super().save_pretrained(folder)
        write_json(folder / CONFIG_NAME, config)
        if config["tokenizer_class"] != UNNAMED_CLASS:
            merges = self._content()["model"]["merges"]
            pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in merges)
            write_json(folder / VOCABULARY, self._backend.get_vocab())
            write_text(folder / MERGES, "".join(f"{line}\n" for line in ("#version: 0.2", *pairs)))

    def _content(self) -> dict[str, Any]:
        """What tokenizer.json says."""
        return parse_json(self.to_json(), "the tokenizer")

    @abstractmethod
    def _for_transformers(self) -> dict[str, str]:
        """tokenizer_config.json: the name of its kind, and its special tokens."""


def load_library():
    """The module `tokenizers`. Raises UserError where it is not installed."""
    try:
        import tokenizers
    except ImportError:
        raise UserError("a BPE tokenizer needs the library tokenizers: pip install 'tinygrad-gpt[bpe]'") from None
    return tokenizers


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Inside this block, whatever the library has against a file is a UserError that begins with `what`. (It raises
    plain Exception; and where it gave up in a way that its authors did not expect, a PanicException that is none.)"""
    try:
        yield
    except UserError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(f"{what}: {in_short(error)}") from None


def read_bpe_files(vocab: str | Path, merges: str | Path, **settings):
    """The library's BPE model from a vocab.json and a merges.txt. Raises UserError if it cannot read them."""
    library = load_library()
    ids = read_json(Path(vocab), {...: int}, most=LARGEST)
    with refusing(f"cannot read the vocabulary {vocab} with {merges}"):
        lines = read_file(Path(merges), LARGEST).decode("utf-8").splitlines()
        pairs = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        return library.models.BPE(ids, pairs, **settings)


def learnable(vocab_size: int, given: int, corpus) -> int:
    """`vocab_size`, or as many tokens as a corpus can have where that is less: those `given`, its characters, and a
    merge for each of its bytes. The library takes memory for all that it is asked for."""
    return min(vocab_size, given + 5 * corpus.train_characters)


def train_backend(backend, trainer, chunks: Iterable[str]) -> None:
    """Let the library learn from a text in chunks, in a time that its length decides and not that of its words.

    Each merge that the library learns goes through every word that has the pair, and moves what lies behind it. That is
    quick for words. A genome, base64 or minified code is one word from end to end, and takes time by the square of its
    length: such a word is learned from in pieces. (Encoding has no such trouble, and cuts nothing.)

    The library does not look up from its work when Ctrl-C is pressed. So another thread does the work, and this one
    waits, where Ctrl-C is heard at once.
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

    thread = threading.Thread(target=work, daemon=True)  # the process may end before it does
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_PATIENCE)
    finally:
        stopped.set()
    if failed:
        raise failed[0]


def _cut_long_words(text: str) -> Iterator[str]:
    """The same text, cut at the end of each _LONG_WORD."""
    begin = 0
    for long in _LONG_WORD.finditer(text):
        yield text[begin : long.end()]
        begin = long.end()
    yield text[begin:]


def cut_between_words(chunks: Iterable[str], longest: int = CHUNK_CHARS) -> Iterator[str]:
    """The same text, cut only where no token lies across the cut: before a space or line end after a letter or digit.

    There the patterns that GPT-2 and its successors split text with begin a new piece, whatever comes later, so the ids
    of the parts are those of the whole. (After a full stop would not do: some patterns take the line end with it.) What
    lies after the last such place waits for the next chunk. A stretch of more than `longest` characters with no such
    place is cut anyhow: one seam in a hundred thousand tokens, where memory would be at stake, and the time in which
    Ctrl-C is not heard.
    """
    waiting = ""
    for chunk in chunks:
        text = waiting + chunk
        cut = _last_cut(text, len(waiting))
        if cut is None and len(text) >= longest:
            cut = len(text)
        if cut is None:
            waiting = text
        else:
            yield text[:cut]
            waiting = text[cut:]
    if waiting:
        yield waiting


def _last_cut(text: str, begin: int) -> int | None:
    """The last place to cut, from `begin` on; None where there is none. Before it there is none, but at 0."""
    for end in range(len(text), begin, -_AT_A_TIME):
        found = [match.start() for match in _CUT.finditer(text, max(begin, end - _AT_A_TIME, 1), end)]
        if found:
            return found[-1]
    return None
