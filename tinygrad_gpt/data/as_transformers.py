"""WordPieceTokenizer's other face: the methods and names of transformers' BertTokenizer.

    batch = tokenizer(["A cat sat.", "It slept on the mat."], padding=True)
    model(**batch)                # input_ids, token_type_ids and attention_mask, (B, T) each

One differs: `encode` gives the ids of the text alone, without [CLS] and [SEP], which a call adds.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.data.library_tokenizer import LibraryTokenizer, check_lengths, texts_to_encode
from tinygrad_gpt.data.padding import pad_right

PAD, UNKNOWN, CLS, SEP, MASK = SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class AsTransformers(LibraryTokenizer):
    """Base of WordPieceTokenizer, which says how a text is encoded, and what a pair of them looks like."""

    pad_token, unk_token, cls_token, sep_token, mask_token = SPECIALS
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

    def pair(self, a, b=None, max_length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def id_to_token(self, token: int) -> str:
        raise NotImplementedError

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
        """What a BERT reads of a text or of several, with [CLS] and [SEP]. (A vocabulary with </s> is a translator's:
        see LibraryTokenizer for what it returns.)

        text        a text or B of them
        text_pair   as many texts, which follow those in `text`
        padding     True or "longest": to the longest sequence; "max_length": to max_length
        truncation  True or "longest_first": whether sequences are cut to max_length, the longer text's end first

        Returns input_ids, token_type_ids and attention_mask, (B, T) int64 each; B is 1 for a single text. Raises
        ValueError for sequences of different lengths without padding, and for truncation without a max_length.
        """
        if self.end_id is not None and text_pair is None and not truncation and padding in (True, False, "longest"):
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
        ids, mask = pad_right([ids for ids, _ in sequences], self.pad_id, length)
        segments, _ = pad_right([types for _, types in sequences], 0, length)
        return {"input_ids": ids, "token_type_ids": segments, "attention_mask": mask}

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text as the vocabulary writes them, without [CLS] and [SEP]."""
        return self.convert_ids_to_tokens(self.encode(text))

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> Any:
        """The id of a token, or those of several; [UNK]'s for what is no token."""
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

    @classmethod
    def from_pretrained(cls, *_, **__) -> NoReturn:
        raise AttributeError(f"{cls.__name__} has no from_pretrained: write load_tokenizer(folder), for any kind")
