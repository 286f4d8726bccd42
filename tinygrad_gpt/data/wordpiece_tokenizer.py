"""WordPiece, BERT's tokenizer: words and punctuation marks, in the longest pieces that the vocabulary has.

    "The unaffable cat's hat."  ->  the una ##ffa ##ble cat ' s hat .

First the text is cleaned and split: control characters go, upper case and accents too (unless they are kept), and each
punctuation mark and each Chinese character is a word of its own. Then each word is cut from its left: the longest piece
in the vocabulary, then the longest one that goes on, which is written with ##. A word that cannot be cut wholly, or has
more than 100 characters, becomes one [UNK], however much of it is known.

(Schuster and Nakajima, "Japanese and Korean voice search", 2012; Devlin et al., "BERT", 2019, section 3.) The pieces
are learned as the library `tokenizers` does it: the most frequent pair of neighbours is merged, as in BPE. (Google's
trainer, which it never published, merged the pair that made the text likeliest.)
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import flag, integer, shown
from tinygrad_gpt.arguments import path as a_path
from tinygrad_gpt.data.as_transformers import AsTransformers, Sequences
from tinygrad_gpt.data.cutting import cut_pair
from tinygrad_gpt.data.library_tokenizer import (
    cut_between_words,
    load_library,
    refusing,
    train_backend,
    training_texts,
)
from tinygrad_gpt.data.padding import pad_right
from tinygrad_gpt.data.text_files import read_text
from tinygrad_gpt.data.tokenizers import StreamDecoder, WordStreamDecoder, write_text
from tinygrad_gpt.errors import UserError

PAD, UNKNOWN, CLS, SEP, MASK = SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAIR_SPECIALS = 3  # tokens of a pair that are not its texts: [CLS] a [SEP] b [SEP]
SHORTEST_PAIR = PAIR_SPECIALS + 2  # a token of each text
WORDPIECE_FILE = "vocab.txt"
_GOES_ON = "##"  # begins a piece that is not the first of its word


class WordPieceTokenizer(AsTransformers):
    """BERT's tokenizer: every text has ids, and decoding them gives a normalised text.

    lowercase               whether upper case becomes lower case
    strip_accents           whether accents go; None: if `lowercase`
    tokenize_chinese_chars  whether each Chinese character is a word of its own

    The five special tokens' ids are pad_id, unk_id, cls_id, sep_id and mask_id, together special_ids. The names of
    these tokens in a text, such as "[SEP]", are those tokens, as in transformers: a text from strangers can hold them.

    It can be called as transformers' BertTokenizer is: see as_transformers.py.
    """

    pad_token, unk_token, cls_token, sep_token, mask_token = SPECIALS

    def __init__(self, backend):
        if isinstance(backend, str | Path):
            raise TypeError(f"WordPieceTokenizer: to read {shown(str(backend))}, write load_tokenizer(path)")
        super().__init__(backend)
        library, settings = load_library(), self._content()["normalizer"]
        self.lowercase, self.strip_accents = settings["lowercase"], settings["strip_accents"]
        self.tokenize_chinese_chars = settings["handle_chinese_chars"]
        added = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
        backend.add_special_tokens([token for token in SPECIALS if token not in added])  # they keep their ids
        self.special_ids: tuple[int, ...] = tuple(map(backend.token_to_id, SPECIALS))
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = self.special_ids
        if self.end_id is None:
            backend.post_processor = library.processors.TemplateProcessing(  # what others add who read our file
                single=f"{CLS} $A {SEP}",
                pair=f"{CLS} $A {SEP} $B:1 {SEP}:1",
                special_tokens=[(CLS, self.cls_id), (SEP, self.sep_id)],
            )

    @classmethod
    def train(
        cls,
        corpus,
        vocab_size: int,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        limit_alphabet: int = 1000,
        special_tokens: Sequence[str] = (),
    ) -> "WordPieceTokenizer":
        """Learn `vocab_size` tokens from the training part of a Corpus, or from an iterable of texts: the five special
        ones (ids 0 .. 4), the `limit_alphabet` most frequent characters at most, and merges. Equal texts give equal
        tokenizers.

        special_tokens  names of further tokens, with the ids from 5 on; ("</s>",) for a vocabulary of sentences

        A character takes two ids if words can go on with it, and characters take at most half of the vocabulary. Other
        characters make their word an [UNK]. A small corpus may have too few pairs to merge; the tokenizer's vocab_size
        is then smaller than requested. An iterator is read into memory, since the texts are read twice.

        Raises UserError for a vocabulary that is too small, or if the library `tokenizers` is not installed.
        """
        vocab_size = integer("train", "vocab_size", vocab_size)
        limit_alphabet = integer("train", "limit_alphabet", limit_alphabet, low=1)
        specials = [*SPECIALS, *special_tokens]
        room = (vocab_size - len(specials)) // 2
        if room < 1:
            raise UserError(
                f"a WordPiece vocabulary needs at least {len(specials) + 2} tokens ({len(specials)} special ones and a "
                f"letter in both forms), not {vocab_size}"
            )
        library, texts = load_library(), training_texts(corpus)
        settings = _check_settings("train", lowercase, strip_accents, tokenize_chinese_chars)
        backend = _around(library, library.models.WordPiece(unk_token=UNKNOWN), *settings)
        with refusing("the tokenizer cannot be trained"):
            counts = _count_characters(backend, texts())
        alphabet = sorted(counts, key=lambda c: (-counts[c], c))[: min(room, limit_alphabet)]
        # The library would number the characters, and so break ties, in an order that differs from run to run. It keeps
        # the order of tokens that are special to it.
        known = [*specials, *_forms(backend, alphabet)]
        # It also takes memory for all that it is asked for.
        most = min(vocab_size, len(known) + counts.total())
        trainer = library.trainers.WordPieceTrainer(
            vocab_size=most,
            show_progress=False,
            special_tokens=known,
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
        )
        train_backend(backend, trainer, texts())
        trained = _around(library, library.models.WordPiece(backend.get_vocab(), unk_token=UNKNOWN), *settings)
        trained.add_special_tokens(specials)
        return cls(trained)

    @classmethod
    def from_vocab(
        cls,
        path: str | Path,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
    ) -> "WordPieceTokenizer":
        """Read the published format: vocab.txt, a token a line, whose ids are the numbers of the lines from 0 on.

        Raises UserError if the file is missing or damaged, or the library `tokenizers` is not installed.
        """
        library, path = load_library(), a_path("from_vocab", "path", path)
        settings = _check_settings("from_vocab", lowercase, strip_accents, tokenize_chinese_chars)
        vocabulary = _read_vocabulary(path)
        with refusing(f"cannot read the vocabulary {path}"):
            return cls(_around(library, library.models.WordPiece(vocabulary, unk_token=UNKNOWN), *settings))

    def encode_with_offsets(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The ids of a text, (N,) int64, and where each token stands in it, (N, 2) int64: token i is made from
        text[offsets[i, 0] : offsets[i, 1]]. Raises UserError for lone surrogates."""
        encoding = self._encoding(text)
        return np.array(encoding.ids, dtype=np.int64), np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)

    def encode_words(self, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The ids of words that are already split, (N,) int64, and the index of each word's first token, (W,) int64.

        Words are split further, at punctuation, but never joined. A word of which nothing is left, such as a control
        character, is one [UNK], so that each word has a token. (transformers leaves it out.)

        Raises UserError for lone surrogates.
        """
        if isinstance(words, str | bytes):
            raise TypeError(f"encode_words: expected a list of words, got {shown(words)}: write text.split()")
        pieces = [self._encoding(word).ids or [self.unk_id] for word in words]
        lengths = np.array([len(ids) for ids in pieces], dtype=np.int64)
        ids = np.array([token for ids in pieces for token in ids], dtype=np.int64)
        return ids, lengths.cumsum() - lengths

    def pair(self, a, b=None, max_length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What BERT reads of one text or of two: [CLS] a [SEP], or [CLS] a [SEP] b [SEP].

        a, b        ids, (N,) and (M,), without special tokens, as `encode` gives them
        max_length  the longest result. If it would be longer, the ends of the texts are cut, the longer one's first:
                    down to the same length, or to one token more for the longer one (b, if they are equally long)

        Returns ids (T,) int64, and token_type_ids (T,) int64: 0 up to the first [SEP], 1 after it. Raises ValueError
        for a max_length without room for the special tokens, TypeError for texts: a call of the tokenizer takes them.
        """
        a, b = self.ids_of(a, b)
        special = 2 if b is None else PAIR_SPECIALS
        max_length = integer("pair", "max_length", max_length, low=special, or_none=True)
        if max_length is not None:
            a, b = cut_pair(a, b, max_length - special)
        first = [[self.cls_id], a, [self.sep_id]]
        second = [] if b is None else [b, [self.sep_id]]
        ids = np.concatenate(first + second, dtype=np.int64)
        types = np.zeros_like(ids)
        types[len(a) + 2 :] = 1
        return ids, types

    def pad_batch(self, sequences: Sequence, value: int | None = None, length: int | None = None) -> Sequences:
        """Sequences (T_i,) of integers side by side, padded on the right to the longest, or to `length`.

        value  the padding; by default [PAD]'s id. (token_type_ids are padded with 0.)

        Raises ValueError for no sequences, or one longer than `length`.
        """
        return Sequences(*pad_right(sequences, self.pad_id if value is None else value, length))

    def decode(self, ids, skip_special_tokens: bool = False) -> str:
        """The text of ids (N,), with a space before every word, and none before . , ? ! (the library's rule). The words
        of the text come back, though not its case, accents and spaces: "cat's" is "cat ' s".

        skip_special_tokens  leaves out [CLS], [SEP], [PAD], [MASK] and [UNK]
        """
        if flag("decode", "skip_special_tokens", skip_special_tokens):
            ids = [token for token in ids if token not in self.special_ids]
        return super().decode(ids).removeprefix(" ")

    def decoder(self) -> StreamDecoder:
        return WordStreamDecoder(self)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the files from which transformers' AutoTokenizer and BertTokenizer load it: vocab.txt, tokenizer.json
        and tokenizer_config.json."""
        super().save_pretrained(folder)
        tokens = (self.id_to_token(token) for token in range(self.vocab_size))
        write_text(Path(folder) / WORDPIECE_FILE, "".join(f"{token}\n" for token in tokens))

    def _for_transformers(self) -> dict[str, Any]:
        settings = {
            "do_lower_case": self.lowercase,
            "strip_accents": self.strip_accents,
            "tokenize_chinese_chars": self.tokenize_chinese_chars,
        }
        names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        return {"tokenizer_class": "BertTokenizer"} | settings | dict(zip(names, SPECIALS, strict=True))

    def _check_kind(self, content: dict) -> None:
        model = content.get("model") or {}
        kinds = [(content.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer")]
        marks = model.get("continuing_subword_prefix"), model.get("unk_token")
        if (
            model.get("type") != "WordPiece"
            or kinds != ["BertNormalizer", "BertPreTokenizer"]
            or marks != (_GOES_ON, UNKNOWN)
        ):
            raise UserError(
                "only WordPiece tokenizers that split text as BERT's does are supported: BertNormalizer, "
                f"BertPreTokenizer, {_GOES_ON} and {UNKNOWN}"
            )
        added = self._backend.get_vocab().keys() - {UNKNOWN}  # the model itself must have that one
        _check_specials(added | model["vocab"].keys(), "the vocabulary")

    def _bytes_of_tokens(self, written: list[str]) -> list[bytes]:
        decode = load_library().decoders.WordPiece(prefix=_GOES_ON).decode
        return [decode(["", token]).encode("utf-8") for token in written]  # as it is written after another token


def _around(library, model, lowercase: bool, strip_accents: bool | None, tokenize_chinese_chars: bool):
    """A backend with this model, which splits and joins text as BERT does."""
    backend = library.Tokenizer(model)
    backend.normalizer = library.normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=tokenize_chinese_chars
    )
    backend.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    backend.decoder = library.decoders.WordPiece(prefix=_GOES_ON)
    return backend


def _check_settings(who: str, lowercase, strip_accents, tokenize_chinese_chars) -> tuple[bool, bool | None, bool]:
    return (
        flag(who, "lowercase", lowercase),
        None if strip_accents is None else flag(who, "strip_accents", strip_accents),
        flag(who, "tokenize_chinese_chars", tokenize_chinese_chars),
    )


def _count_characters(backend, chunks: Iterable[str]) -> Counter:
    """How often each character stands in the words of a text."""
    counts: Counter = Counter()
    for chunk in cut_between_words(chunks):
        counts.update(backend.normalizer.normalize_str(chunk))
    is_word = backend.pre_tokenizer.pre_tokenize_str
    return Counter({character: n for character, n in counts.items() if is_word(character)})


def _forms(backend, alphabet: Iterable[str]) -> list[str]:
    """Each character as it begins a word; then, with ##, each that a word can go on with, which punctuation cannot."""
    characters = sorted(alphabet)

    def goes_on(character: str) -> bool:
        return len(backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(f"a{character}"))) == 1

    return characters + [_GOES_ON + character for character in characters if goes_on(character)]


def _read_vocabulary(path: Path) -> dict[str, int]:
    """The ids of the tokens of a vocab.txt. Raises UserError, naming the file and the line, if it is damaged."""
    lines = "".join(read_text(path)).split("\n")
    if not lines[-1]:
        lines.pop()
    if not lines:
        raise UserError(f"the vocabulary {path} is empty: expected a token a line, such as {' '.join(SPECIALS)}")
    ids: dict[str, int] = {}
    for number, token in enumerate(lines):
        if not token:
            raise UserError(f"the vocabulary {path} is damaged: line {number + 1} is empty, and should be a token")
        if token in ids:
            raise UserError(
                f"the vocabulary {path} is damaged: lines {ids[token] + 1} and {number + 1} are the same token, "
                f"{shown(token)}"
            )
        ids[token] = number
    _check_specials(ids, f"the vocabulary {path}")
    return ids


def _check_specials(vocabulary: Collection[str], name: str) -> None:
    if missing := [token for token in SPECIALS if token not in vocabulary]:
        raise UserError(f"{name} has no {' '.join(missing)}: BERT needs the tokens {' '.join(SPECIALS)}")
