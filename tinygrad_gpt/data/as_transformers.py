"""The other face of BERT's and XLNet's tokenizers: the methods and names of transformers' own.

    batch = tokenizer(["A cat sat.", "It slept on the mat."], padding=True)
    model(**batch)                # input_ids, token_type_ids and attention_mask, (B, T) each

One differs: `encode` gives the ids of the text alone, without special tokens, which a call adds.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.library_tokenizer import LibraryTokenizer, check_lengths, texts_to_encode
from tinygrad_gpt.data.tokenizers import check_id


class Sequences(NamedTuple):
    """Sequences of ids side by side.

    ids             (B, T) int64, padded on the tokenizer's side
    attention_mask  (B, T) int64: 1 where a token stands, 0 at padding
    """

    ids: np.ndarray
    attention_mask: np.ndarray


class AsTransformers(LibraryTokenizer):
    """Base of WordPieceTokenizer and XLNetTokenizer, which say how a text is encoded, what a pair of them looks like,
    and on which side padding stands.

    padding_type  the token_type_id of padding
    """

    padding_type = 0
    pad_token: str
    unk_token: str
    cls_token: str
    sep_token: str
    mask_token: str
    pad_id: int
    unk_id: int
    cls_id: int
    sep_id: int
    mask_id: int
    special_ids: tuple[int, ...]

    pad_token_id = property(lambda self: self.pad_id)
    unk_token_id = property(lambda self: self.unk_id)
    cls_token_id = property(lambda self: self.cls_id)
    sep_token_id = property(lambda self: self.sep_id)
    mask_token_id = property(lambda self: self.mask_id)
    all_special_ids = property(lambda self: list(self.special_ids))

    @abstractmethod
    def pair(self, a, b=None, max_length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What the model reads of one text or of two, given as ids: (ids, token_type_ids), (T,) each."""

    @abstractmethod
    def pad_batch(self, sequences: Sequence, value: int | None = None, length: int | None = None) -> Sequences:
        """Sequences (T_i,) of integers side by side, padded to the longest, or to `length`.

        value  the padding; by default pad_id

        Raises ValueError for no sequences, or one longer than `length`.
        """

    def id_to_token(self, token: int) -> str:
        """How the vocabulary writes a token. Raises IndexError for an id outside 0 .. vocab_size - 1."""
        return self._backend.id_to_token(check_id(token, self.vocab_size))

    def __len__(self) -> int:
        return self.vocab_size

    def __call__(
        self,
        text: str | Sequence[str],
        text_pair: str | Sequence[str] | None = None,
        padding: bool | str = False,
        truncation: bool | str = False,
        max_length: int | None = None,
    ) -> dict[str, np.ndarray]:
        """What the model reads of a text or of several, with special tokens. (A vocabulary with </s> beside those of
        its kind is a translator's: see LibraryTokenizer for what it returns.)

        text        a text or B of them
        text_pair   as many texts, which follow those in `text`
        padding     True or "longest": to the longest sequence; "max_length": to max_length
        truncation  True or "longest_first": whether sequences are cut to max_length, the longer text's end first

        Returns input_ids, token_type_ids and attention_mask, (B, T) int64 each; B is 1 for a single text. Raises
        ValueError for sequences of different lengths without padding, and for truncation without a max_length.
        """
        is_translators = self.end_id is not None and self.end_id not in self.special_ids
        if is_translators and text_pair is None and not truncation and padding in (True, False, "longest"):
            return super().__call__(text, bool(padding))
        texts = texts_to_encode("text", text)
        others = None if text_pair is None else texts_to_encode("text_pair", text_pair)
        if others is not None and len(others) != len(texts):
            raise ValueError(f"tokenizer: expected as many texts as text_pair, got {len(texts)} and {len(others)}")
        if truncation not in (True, False, "longest_first", "do_not_truncate"):
            raise ValueError(f'tokenizer: expected truncation True, False or "longest_first", got {shown(truncation)}')
        if padding not in (True, False, "longest", "max_length", "do_not_pad"):
            raise ValueError(f'tokenizer: expected padding True, False or "max_length", got {shown(padding)}')
        cuts, to_most = truncation in (True, "longest_first"), padding == "max_length"
        if max_length is None and (cuts or to_most):
            raise ValueError("tokenizer: expected a max_length, to which to cut or to pad: the model's positions")
        sequences = [
            self.pair(self.encode(a), None if b is None else self.encode(b), max_length if cuts else None)
            for a, b in zip(texts, [None] * len(texts) if others is None else others, strict=True)
        ]
        check_lengths([ids for ids, _ in sequences], padding not in (False, "do_not_pad"))
        length = max_length if to_most else None
        ids, mask = self.pad_batch([ids for ids, _ in sequences], length=length)
        segments, _ = self.pad_batch([types for _, types in sequences], self.padding_type, length)
        return {"input_ids": ids, "token_type_ids": segments, "attention_mask": mask}

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text as the vocabulary writes them, without special ones."""
        return self.convert_ids_to_tokens(self.encode(text))

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """The id of a token, or those of several; unk_id for what is no token."""
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        found = self._backend.token_to_id(tokens)
        return self.unk_id if found is None else found

    def convert_ids_to_tokens(self, ids) -> Any:
        """The token of an id, or those of several. Raises IndexError for an id outside 0 .. vocab_size - 1."""
        return self.id_to_token(ids) if np.ndim(ids) == 0 else [self.id_to_token(token) for token in ids]

    def batch_decode(self, sequences, **settings) -> list[str]:
        """The text of each sequence of ids; `settings` as for decode."""
        return [self.decode(ids, **settings) for ids in sequences]

    @staticmethod
    def ids_of(a, b) -> tuple[np.ndarray, np.ndarray | None]:
        """Both texts of a pair as arrays of ids. Raises TypeError for texts."""
        if isinstance(a, str) or isinstance(b, str):
            text = shown(a if isinstance(a, str) else b)
            raise TypeError(
                f"pair: expected ids, got {text}: write tokenizer.encode(text), or tokenizer(text, text_pair)"
            )
        return np.asarray(a, dtype=np.int64), None if b is None else np.asarray(b, dtype=np.int64)

    @classmethod
    def from_pretrained(cls, *_, **__) -> NoReturn:
        raise AttributeError(f"{cls.__name__} has no from_pretrained: write load_tokenizer(folder), for any kind")
