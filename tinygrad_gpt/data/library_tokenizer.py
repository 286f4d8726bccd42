"""What tokenizers share that merge frequent neighbours into longer tokens.

The merging is done by the Hugging Face library `tokenizers`, an optional dependency that is loaded when one is made.
"""

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tinygrad_gpt.arguments import path as a_path
from tinygrad_gpt.arguments import text as a_text
from tinygrad_gpt.data.text_files import CHUNK_CHARS
from tinygrad_gpt.data.tokenizers import Tokenizer, check_id, write_text
from tinygrad_gpt.errors import UserError

VOCABULARY, MERGES = "vocab.json", "merges.txt"
UNNAMED_CLASS = "PreTrainedTokenizerFast"  # transformers' for any tokenizer.json
_LONGEST_STRETCH = 16  # chunks that are put together in search of a place to cut


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
        try:
            backend = library.Tokenizer.from_str(text)
        except Exception as error:  # the library raises plain Exception
            raise UserError(f"not a tokenizer of the tokenizers library: {error}") from None
        return cls(backend)

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
        write_text(folder / "tokenizer_config.json", json.dumps(config, indent=2))
        if config["tokenizer_class"] != UNNAMED_CLASS:
            merges = json.loads(self.to_json())["model"]["merges"]
            pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in merges)
            write_text(folder / VOCABULARY, json.dumps(self._backend.get_vocab(), ensure_ascii=False))
            write_text(folder / MERGES, "".join(f"{line}\n" for line in ("#version: 0.2", *pairs)))

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


def read_bpe_files(vocab: str | Path, merges: str | Path, **settings):
    """The library's BPE model from a vocab.json and a merges.txt. Raises UserError if it cannot read them."""
    library = load_library()
    try:
        return library.models.BPE.from_file(str(vocab), str(merges), **settings)
    except Exception as error:  # the library raises plain Exception
        raise UserError(f"cannot read the vocabulary {vocab} with {merges}: {error}") from None


def cut_between_words(chunks: Iterable[str], longest: int = _LONGEST_STRETCH * CHUNK_CHARS) -> Iterator[str]:
    """The same text, cut only where no token lies across the cut: before a space or line end after a letter or digit.

    There the patterns that GPT-2 and its successors split text with begin a new piece, whatever comes later, so the ids
    of the parts are those of the whole. (After a full stop would not do: some patterns take the line end with it.) What
    lies after the last such place waits for the next chunk. A stretch of more than `longest` characters with no such
    place is cut anyhow: one seam in millions of tokens, where memory would be at stake.
    """
    waiting = ""
    for chunk in chunks:
        text = waiting + chunk
        cut = _last_cut(text)
        if cut is None and len(text) >= longest:
            cut = len(text)
        if cut is None:
            waiting = text
        else:
            yield text[:cut]
            waiting = text[cut:]
    if waiting:
        yield waiting


def _last_cut(text: str) -> int | None:
    end = len(text)
    while True:
        cut = max(text.rfind(" ", 1, end), text.rfind("\n", 1, end))
        if cut < 1 or text[cut - 1].isalnum():
            return cut if cut >= 1 else None
        end = cut
