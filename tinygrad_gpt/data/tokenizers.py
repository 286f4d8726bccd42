"""Tokenizers: text to ids and back.

CharTokenizer gives each character of the corpus an id. BPETokenizer works on bytes and merges frequent neighbours into
longer tokens (Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016; on
bytes: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.2). The merging is done by
the Hugging Face library `tokenizers`, an optional dependency that is loaded when a BPETokenizer is made.

Both are saved as one JSON file. Ours has the entry "type": "char"; the library's own format, which others can read too,
has none, but has "model".
"""

import codecs
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tinygrad_gpt.data.text_files import CHUNK_CHARS
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.storage import replacing

FILE_NAME = "tokenizer.json"
END_OF_TEXT = "<|endoftext|>"  # GPT-2's one token that no text is merged into: it stands between texts
_LONGEST_STRETCH = 16  # chunks that are put together in search of a place to cut


class Tokenizer(ABC):
    """What both kinds can do.

    vocab_size  number of ids: 0 .. vocab_size - 1
    """

    vocab_size: int

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, (N,) int64. Raises UserError for text that has none."""

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes that a token stands for; a BPE token may begin or end within a character.

        Raises IndexError for an id outside 0 .. vocab_size - 1.
        """

    @abstractmethod
    def to_json(self) -> str:
        """Everything that `load_tokenizer` needs to make this tokenizer again."""

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[np.ndarray]:
        """The ids of a text that comes in chunks: together the same as those of the whole text."""
        return (self.encode(chunk) for chunk in chunks)

    def decode(self, ids) -> str:
        """The text of ids (N,). Bytes that are no UTF-8, such as half a character, become U+FFFD."""
        return b"".join(self.token_bytes(int(token)) for token in ids).decode("utf-8", errors="replace")

    def decoder(self) -> "StreamDecoder":
        """A decoder for a text that is generated token by token."""
        return StreamDecoder(self)

    def fingerprint(self) -> str:
        """A SHA-256 in hexadecimal, equal for tokenizers that encode alike."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to a JSON file, atomically. Raises UserError when that fails."""
        _write(Path(path), self.to_json())

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the tokenizer to a folder that holds a model, as tokenizer.json. Raises UserError when that fails."""
        self.save(Path(folder) / FILE_NAME)


class StreamDecoder:
    """Turns tokens into text one at a time, holding back bytes until they make up a whole character."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """The characters that this token completes; maybe none."""
        return self._decoder.decode(self._tokenizer.token_bytes(int(token)))

    def finish(self) -> str:
        """What was held back: U+FFFD if the text ends within a character, else nothing."""
        return self._decoder.decode(b"", final=True)


class CharTokenizer(Tokenizer):
    """One id per character, in the order of their code points."""

    def __init__(self, characters: Iterable[str]):
        """`characters`: those the tokenizer is to know; order and repetitions don't matter."""
        self.characters = "".join(sorted(set(characters)))
        self.vocab_size = len(self.characters)
        if not self.characters:
            raise UserError("a character tokenizer needs at least one character")
        codes = _code_points(self.characters)
        self._id_of = np.full(int(codes.max()) + 1, -1, dtype=np.int32)  # code point -> id, -1 for none
        self._id_of[codes] = np.arange(self.vocab_size)

    @classmethod
    def from_corpus(cls, corpus) -> "CharTokenizer":
        """The tokenizer that knows every character of both parts of a corpus (read in chunks)."""
        characters: set[str] = set()
        for part in (corpus.train(), corpus.val()):
            for chunk in part:
                characters.update(chunk)
        return cls(characters)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, (N,) int64. Raises UserError that names the first unknown character and its position."""
        return self._encode(text, 0)

    def _encode(self, text: str, position: int) -> np.ndarray:
        codes = _code_points(text)
        known = codes < len(self._id_of)
        ids = np.where(known, self._id_of[np.where(known, codes, 0)], -1)
        if len(ids) and ids.min() < 0:
            first = int(np.argmin(ids))
            raise UserError(
                f"character {text[first]!r} (U+{codes[first]:04X}) at position {position + first} of the text is none "
                f"of the {self.vocab_size} that this model knows: {self._characters_shown()}"
            )
        return ids.astype(np.int64)

    def _characters_shown(self) -> str:
        shown = self.characters if len(self.characters) <= 120 else self.characters[:120] + "..."
        return ascii(shown)[1:-1]

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[np.ndarray]:
        position = 0
        for chunk in chunks:
            yield self._encode(chunk, position)
            position += len(chunk)

    def token_bytes(self, token: int) -> bytes:
        _check_id(token, self.vocab_size)
        return self.characters[token].encode("utf-8")

    def to_json(self) -> str:
        return json.dumps({"type": "char", "characters": self.characters})


class BPETokenizer(Tokenizer):
    """Byte-level BPE: every text has ids, and decode(encode(text)) == text."""

    def __init__(self, backend):
        """`backend`: a `tokenizers.Tokenizer` of the byte-level BPE kind. Raises UserError for another kind."""
        self._backend = backend
        backend.no_truncation()  # a tokenizer.json may ask for both; a corpus wants neither
        backend.no_padding()
        self.vocab_size = backend.get_vocab_size(with_added_tokens=True)
        _check_byte_level(json.loads(backend.to_str()))
        self._bytes_of = _bytes_of_tokens(backend, self.vocab_size)

    @classmethod
    def train(cls, corpus, vocab_size: int) -> "BPETokenizer":
        """Learn `vocab_size` tokens (256 or more: the single bytes come first) from the training part of a corpus.

        Raises UserError where `tokenizers` is not installed. A small corpus may have fewer pairs worth merging; the
        tokenizer's vocab_size is then smaller than asked for.
        """
        if vocab_size < 256:
            raise UserError(f"a byte-level BPE needs a vocabulary of at least 256 (one per byte), not {vocab_size}")
        library = _library()
        backend = _byte_level(library, library.models.BPE())
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size,
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(_cut_between_words(corpus.train()), trainer)
        return cls(backend)

    @classmethod
    def from_files(cls, vocab: str | Path, merges: str | Path) -> "BPETokenizer":
        """GPT-2's own format: vocab.json (token -> id) and merges.txt (a pair a line, best first).

        If the vocabulary has <|endoftext|>, those characters in a text are that one token.

        Raises UserError for files that are missing or damaged, and where `tokenizers` is not installed.
        """
        library = _library()
        try:
            model = library.models.BPE.from_file(str(vocab), str(merges))
        except Exception as error:  # the library raises plain Exception
            raise UserError(f"cannot read the tokenizer {vocab} with {merges}: {error}") from None
        backend = _byte_level(library, model)
        if backend.token_to_id(END_OF_TEXT) is not None:
            backend.add_special_tokens([END_OF_TEXT])
        return cls(backend)

    @classmethod
    def from_json(cls, text: str) -> "BPETokenizer":
        """From the text of a tokenizer.json in the library's format. Raises UserError if it is damaged."""
        library = _library()
        try:
            backend = library.Tokenizer.from_str(text)
        except Exception as error:
            raise UserError(f"not a tokenizer of the tokenizers library: {error}") from None
        return cls(backend)

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text, (N,) int64. Raises UserError for lone surrogates, which are no text."""
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):
            raise UserError("the text has a lone surrogate, which cannot be written as UTF-8") from None
        return np.array(encoding.ids, dtype=np.int64)

    def encode_chunks(self, chunks: Iterable[str]) -> Iterator[np.ndarray]:
        return (self.encode(chunk) for chunk in _cut_between_words(chunks))

    def token_bytes(self, token: int) -> bytes:
        _check_id(token, self.vocab_size)
        return self._bytes_of[token]

    @property
    def end_of_text(self) -> int | None:
        """The id of <|endoftext|>, or None where the vocabulary does not have it."""
        return self._backend.token_to_id(END_OF_TEXT)

    def to_json(self) -> str:
        return self._backend.to_str()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the files with which transformers' AutoTokenizer loads it from a model's folder.

        tokenizer.json and tokenizer_config.json; of one like GPT-2's, with <|endoftext|>, vocab.json and merges.txt.
        """
        folder, content = Path(folder), json.loads(self.to_json())
        super().save_pretrained(folder)
        config = {"tokenizer_class": "PreTrainedTokenizerFast"}
        if self.end_of_text is not None:
            config |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
        added = [token["content"] for token in content["added_tokens"]]
        splits = content["pre_tokenizer"]
        if added == [END_OF_TEXT] and splits["type"] == "ByteLevel" and splits["use_regex"]:
            config["tokenizer_class"] = "GPT2Tokenizer"
            pairs = (pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"])
            _write(folder / "vocab.json", json.dumps(self._backend.get_vocab(), ensure_ascii=False))
            _write(folder / "merges.txt", "".join(f"{line}\n" for line in ("#version: 0.2", *pairs)))
        _write(folder / "tokenizer_config.json", json.dumps(config, indent=2))


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer saved at `path`: a tokenizer.json, a folder that has one, or one with vocab.json and merges.txt (or
    that vocab.json).

    Raises UserError, naming the file, for one that is missing, damaged or of a kind that isn't known.
    """
    path = Path(path)
    if path.name == "vocab.json" and path.is_file():
        return BPETokenizer.from_files(path, path.with_name("merges.txt"))
    if path.is_dir():
        if not (path / FILE_NAME).exists() and (path / "vocab.json").exists():
            return BPETokenizer.from_files(path / "vocab.json", path / "merges.txt")
        path = path / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except OSError as error:
        raise UserError(f"cannot read the tokenizer {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(f"the tokenizer {path} is damaged: {error}") from None
    content = content if isinstance(content, dict) else {}
    try:
        if content.get("type") == "char" and isinstance(content.get("characters"), str):
            return CharTokenizer(content["characters"])
        if "model" in content:
            return BPETokenizer.from_json(text)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    raise UserError(f'{path} holds no tokenizer: expected "type": "char" and characters, or the library\'s format')


def _write(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())


# --- characters ----------------------------------------------------------------------------------------------------


def _code_points(text: str) -> np.ndarray:
    """(N,) uint32. Lone surrogates pass, so that they are met as unknown characters."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _check_id(token: int, vocab_size: int) -> None:
    if not 0 <= token < vocab_size:
        raise IndexError(f"token id {token} is outside 0 .. {vocab_size - 1}")


# --- byte-level BPE ------------------------------------------------------------------------------------------------


def _library():
    try:
        import tokenizers
    except ImportError:
        raise UserError("a BPE tokenizer needs the library tokenizers: pip install 'tinygrad-gpt[bpe]'") from None
    return tokenizers


def _byte_level(library, model):
    backend = library.Tokenizer(model)
    backend.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = library.decoders.ByteLevel()
    return backend


def _check_byte_level(content: dict) -> None:
    """Raise UserError unless encoding keeps the text as it is (no lower case, no space put in front) and is the same
    each time (no dropout)."""
    before = content.get("pre_tokenizer") or {}
    steps = [before, *before.get("pretokenizers", ())]
    byte_steps = [step for step in steps if step.get("type") == "ByteLevel"]
    if (
        (content.get("model") or {}).get("type") != "BPE"
        or not byte_steps
        or content["model"].get("dropout")
        or content.get("normalizer")
        or any(step.get("add_prefix_space") for step in byte_steps)
    ):
        raise UserError("only byte-level BPE tokenizers that leave the text as it is are supported, such as GPT-2's")


def _printable_bytes() -> dict[str, int]:
    """GPT-2's way to write bytes in a vocabulary: character -> byte.

    Bytes that Latin-1 prints stand for themselves; the others, in their order, are the characters from U+0100 on.
    """
    printed = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in printed]
    return {chr(byte): byte for byte in printed} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _bytes_of_tokens(backend, vocab_size: int) -> list[bytes]:
    byte_of = _printable_bytes()
    added = backend.get_added_tokens_decoder()
    table = []
    for token in range(vocab_size):
        written = backend.id_to_token(token)
        if written is None:
            raise UserError(f"the tokenizer has {vocab_size} tokens but none with id {token}")
        if token in added or any(character not in byte_of for character in written):
            table.append(written.encode("utf-8"))
        else:
            table.append(bytes(byte_of[character] for character in written))
    missing = {bytes([byte]) for byte in range(256)} - set(table)
    if missing:
        raise UserError(f"the tokenizer has no token for {len(missing)} of the 256 bytes, such as {min(missing)!r}")
    return table


def _cut_between_words(chunks: Iterable[str], longest: int = _LONGEST_STRETCH * CHUNK_CHARS) -> Iterator[str]:
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
