"""Tokenizers: text to ids and back.

CharTokenizer (in this file) gives each character of the corpus an id. Two others merge frequent neighbours into longer
tokens (Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016), by a library:
BPETokenizer (bpe_tokenizer.py) as in GPT-2, GPT1Tokenizer (gpt1_tokenizer.py) as in GPT-1. WordPieceTokenizer
(wordpiece_tokenizer.py), as in BERT, cuts words into the longest pieces that it knows.

Each is saved as one JSON file. CharTokenizer's has the entry "type": "char"; the library's format, which other programs
can read too, has "model" instead. tokenizer_files.py tells them apart. With an exported model, a CharTokenizer is
written in the library's format too, as words of one character each.
"""

import codecs
import hashlib
import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.arguments import path as a_path
from tinygrad_gpt.arguments import text as a_text
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import write_json
from tinygrad_gpt.files.storage import replacing

FILE_NAME, CONFIG_NAME = "tokenizer.json", "tokenizer_config.json"
UNNAMED_CLASS = "PreTrainedTokenizerFast"  # transformers' for any tokenizer.json


class Tokenizer(ABC):
    """A tokenizer of any kind: text to ids and back.

    vocab_size  number of ids: 0 .. vocab_size - 1
    """

    vocab_size: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vocab_size} tokens)"

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, (N,) int64, without the special tokens that a BERT or a translator reads around it: a call
        of their tokenizers adds them. Raises UserError for a text that cannot be encoded."""

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of a token. A BPE token may begin or end within a character.

        Raises IndexError for an id outside 0 .. vocab_size - 1.
        """

    @abstractmethod
    def to_json(self) -> str:
        """The JSON from which `load_tokenizer` restores this tokenizer."""

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[np.ndarray]:
        """The ids of a text in chunks. Joined, they are the ids of the whole text."""
        return (self.encode(chunk) for chunk in chunks)

    def decode(self, ids) -> str:
        """The text of ids (N,). Bytes that are not UTF-8, such as half a character, become U+FFFD."""
        if isinstance(ids, str | bytes) or not hasattr(ids, "__iter__"):
            raise TypeError(f"decode: expected a sequence of ids, got {shown(ids)}")
        if hasattr(ids, "tolist"):  # NumPy's integers as Python's, many at once
            ids = ids.tolist()
            ids = ids if isinstance(ids, list) else [ids]
        return b"".join([self.token_bytes(token) for token in ids]).decode("utf-8", errors="replace")

    def decoder(self) -> "StreamDecoder":
        """A decoder for a text that is generated token by token."""
        return StreamDecoder(self)

    def fingerprint(self) -> str:
        """A SHA-256 in hexadecimal. Tokenizers with the same fingerprint encode alike."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to a JSON file, atomically. Raises UserError if that fails."""
        write_text(a_path("save", "path", path), self.to_json())

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer to a model's folder, as tokenizer.json. Raises UserError if that fails."""
        self.save(a_path("save_pretrained", "folder", folder) / FILE_NAME)


class StreamDecoder:
    """Turns tokens into text one at a time. Holds bytes back until they form a whole character."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """The characters that this token completes, if any."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """The rest of the text: U+FFFD if it ends within a character, else ""."""
        return self._decoder.decode(b"", final=True)


class WordStreamDecoder(StreamDecoder):
    """For tokens that write a space before each word: the text begins without it."""

    _begun = False

    def feed(self, token: int) -> str:
        text = super().feed(token)
        if not self._begun:
            self._begun, text = bool(text), text.removeprefix(" ")
        return text


class CharTokenizer(Tokenizer):
    """One id per character, in the order of their code points."""

    def __init__(self, characters: Iterable[str]):
        """`characters`: those that the tokenizer knows. Order and repetitions don't matter."""
        if not hasattr(characters, "__iter__") or isinstance(characters, bytes | bytearray):
            raise TypeError(f"CharTokenizer: expected a text or an iterable of characters, got {shown(characters)}")
        self.characters = "".join(sorted({a_text("CharTokenizer", "a character", c) for c in characters}))
        self.vocab_size = len(self.characters)
        if not self.characters:
            raise UserError("a character tokenizer needs at least one character")
        if any("\ud800" <= character <= "\udfff" for character in self.characters):
            raise UserError("a character tokenizer cannot know lone surrogates, which are not characters")
        codes = _code_points(self.characters)
        self._id_of = np.full(int(codes.max()) + 2, -1, dtype=np.int32)  # code point -> id; -1 for none, as at the end
        self._id_of[codes] = np.arange(self.vocab_size)

    def __repr__(self) -> str:
        return f"CharTokenizer({self.vocab_size} characters)"

    @classmethod
    def from_corpus(cls, corpus) -> "CharTokenizer":
        """The tokenizer that knows every character of both parts of a corpus (read in chunks)."""
        characters: set[str] = set()
        for chunk in itertools.chain(corpus.train(), corpus.val()):
            characters.update(chunk)
        return cls(characters)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, (N,) int64. Raises UserError that names the first unknown character and its position."""
        return self._encode(a_text("encode", "the text", text), 0)

    def _encode(self, text: str, position: int) -> np.ndarray:
        codes = _code_points(text)
        ids = self._id_of[np.minimum(codes, len(self._id_of) - 1)]
        if len(ids) and ids.min() < 0:
            first = int(np.argmin(ids))
            raise UserError(
                f"character {text[first]!r} (U+{codes[first]:04X}) at position {position + first} of the text is not "
                f"one of the {self.vocab_size} that this model knows: "
                f"{ascii(self.characters[:120])[1:-1]}{'...' * (self.vocab_size > 120)}"
            )
        return ids.astype(np.int64)

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[np.ndarray]:
        position = 0
        for chunk in chunks:
            yield self._encode(chunk, position)
            position += len(chunk)

    def token_bytes(self, token: int) -> bytes:
        return self.characters[check_id(token, self.vocab_size)].encode("utf-8")

    def to_json(self) -> str:
        return json.dumps({"type": "char", "characters": self.characters})

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the files from which transformers' AutoTokenizer loads it. It gives the same ids and the same text
        back, and an error for an unknown character, for which the model has no id."""
        vocabulary = {character: i for i, character in enumerate(self.characters)}
        model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
        write_json(Path(folder) / FILE_NAME, {"version": "1.0", "added_tokens": [], **_BY_CHARACTER, "model": model})
        # Or text would lose spaces before full stops when it is decoded.
        config = {"tokenizer_class": UNNAMED_CLASS, "clean_up_tokenization_spaces": False}
        write_json(Path(folder) / CONFIG_NAME, config)

    @classmethod
    def from_library(cls, content: dict) -> "CharTokenizer":
        """Read a tokenizer.json that `save_pretrained` wrote, or transformers after it. Raises UserError for any other
        tokenizer of words."""
        vocabulary = content["model"].get("vocab")
        parts = ("normalizer", "pre_tokenizer", "decoder")
        as_written = all(content.get(part) == _BY_CHARACTER[part] for part in parts)
        if as_written and isinstance(vocabulary, dict) and all(len(word) == 1 for word in vocabulary):
            tokenizer = cls(vocabulary)
            if [vocabulary[character] for character in tokenizer.characters] == list(range(tokenizer.vocab_size)):
                return tokenizer
        raise UserError("only tokenizers of words that are single characters are supported, as `export` writes them")


# In the library's format: every code point is a word, line ends and spaces too; decoding puts nothing in between.
_BY_CHARACTER = {
    "truncation": None,
    "padding": None,
    "normalizer": None,
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False},
    "post_processor": None,
    "decoder": {"type": "Fuse"},
}


def _code_points(text: str) -> np.ndarray:
    """The code points of a text, (N,) uint32. Lone surrogates pass, and are then unknown characters."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def check_id(token: int, vocab_size: int) -> int:
    """The id as a Python integer. Raises TypeError if it is not an integer, IndexError if it is out of range."""
    token = integer("decode", "a token id", token)
    if not 0 <= token < vocab_size:
        raise IndexError(f"token id {shown(token)} is outside 0 .. {vocab_size - 1}")
    return token


def write_text(path: Path, text: str) -> None:
    """Write a file atomically. Raises UserError if that fails."""
    with replacing(path) as file:
        file.write(text.encode())
