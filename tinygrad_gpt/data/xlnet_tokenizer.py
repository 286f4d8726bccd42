"""XLNet's tokenizer: SentencePiece's pieces (unigram_tokenizer.py), and tokens that mark texts and pairs of them.

    a text     a <sep> <cls>             token_type_ids  0 ... 0 2
    a pair     a <sep> b <sep> <cls>                     0 ... 0 1 ... 1 2

<cls>, which stands for all of it, is last; and padding is on the left, so that the last column is <cls> in every row.
The three types are segments: XLNet only asks whether two tokens are of the same one. (Yang et al., "XLNet", 2019,
section 2.5; the ids and the normalisation are those of the published models.)

Accents go, as `` and '' do, which become "; case stays.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_gpt.arguments import flag, integer
from tinygrad_gpt.data.as_transformers import AsTransformers, Sequences
from tinygrad_gpt.data.cutting import cut_pair
from tinygrad_gpt.data.library_tokenizer import load_library
from tinygrad_gpt.data.padding import pad_left
from tinygrad_gpt.data.unigram_tokenizer import UnigramTokenizer
from tinygrad_gpt.errors import UserError

# Their ids are 0 .. 8. <s>, <eod> and <eop> are there for the ids' sake: nothing here writes them.
SPECIALS = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>")
_UNKNOWN, _BEGIN, _END, CLS, SEP, _PAD, _MASK, _EOD, _EOP = SPECIALS
_OF_A, _OF_B, _OF_CLS = range(3)  # token_type_ids


class XLNetTokenizer(UnigramTokenizer, AsTransformers):
    """XLNet's tokenizer: every text has ids, and decoding them gives a normalised text.

    The ids of the special tokens are unk_id, bos_id (<s>), end_id (</s>), cls_id, sep_id, pad_id, mask_id, eod_id and
    eop_id, together special_ids. Their names in a text, such as "<sep>", are text. (transformers reads them as those
    tokens, unless told split_special_tokens=True: there a text from strangers can end a sentence.)

    It can be called as transformers' XLNetTokenizer is: see as_transformers.py.
    """

    pad_token, unk_token, cls_token, sep_token, mask_token = _PAD, _UNKNOWN, CLS, SEP, _MASK

    def __init__(self, backend):
        library, known = load_library(), backend.get_vocab()
        if missing := [token for token in SPECIALS if token not in known]:
            raise UserError(f"the tokenizer has no {' '.join(missing)}: XLNet needs the tokens {' '.join(SPECIALS)}")
        backend.add_special_tokens(list(SPECIALS))  # they keep their ids
        # They are pieces of the vocabulary too, so no piece of a text may be spelled as they are.
        names = "|".join(token.strip("<>") for token in SPECIALS)
        apart = library.pre_tokenizers.Split(library.Regex(f"<(?=({names})>)"), "isolated")
        before = backend.pre_tokenizer
        if before is not None and names not in backend.to_str():
            backend.pre_tokenizer = library.pre_tokenizers.Sequence([before, apart])
        backend.post_processor = library.processors.TemplateProcessing(
            single=f"$A:{_OF_A} {SEP}:{_OF_A} {CLS}:{_OF_CLS}",
            pair=f"$A:{_OF_A} {SEP}:{_OF_A} $B:{_OF_B} {SEP}:{_OF_B} {CLS}:{_OF_CLS}",
            special_tokens=[(SEP, known[SEP]), (CLS, known[CLS])],
        )
        super().__init__(backend)
        self.special_ids: tuple[int, ...] = tuple(known[token] for token in SPECIALS)
        _, self.bos_id, _, self.cls_id, self.sep_id, _, self.mask_id, self.eod_id, self.eop_id = self.special_ids
        self._bytes_of[self.unk_id] = _UNKNOWN.encode()  # one sees where something is unknown

    @classmethod
    def train(cls, corpus, vocab_size: int, special_tokens: Sequence[str] = ()) -> "XLNetTokenizer":
        """Learn `vocab_size` tokens from the training part of a Corpus, or from an iterable of texts: the special ones
        (ids 0 .. 8) and the pieces, the likeliest first. Equal texts give equal tokenizers.

        special_tokens  names of further tokens, with the last ids

        A small corpus may have too few pieces; the tokenizer's vocab_size is then smaller than requested. Raises
        UserError for a vocabulary that is too small, for a text without words, or if the library `tokenizers` is not
        installed.
        """
        vocab_size = integer("train", "vocab_size", vocab_size)
        library, scores = load_library(), cls._learned(corpus, vocab_size, [*SPECIALS, *special_tokens])
        pieces = [*((token, 0.0) for token in SPECIALS), *scores]
        backend = cls._around(library, library.models.Unigram(pieces, 0, False))
        backend.add_special_tokens(list(special_tokens))
        return cls(backend)

    def pair(self, a, b=None, max_length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What XLNet reads of one text or of two: a <sep> <cls>, or a <sep> b <sep> <cls>.

        a, b        ids, (N,) and (M,), without special tokens, as `encode` gives them
        max_length  the longest result. If it would be longer, the ends of the texts are cut, the longer one's first:
                    down to the same length, or to one token more for the longer one (b, if they are equally long)

        Returns ids (T,) int64, and token_type_ids (T,) int64. Raises ValueError for a max_length without room for the
        special tokens, TypeError for texts: a call of the tokenizer takes them.
        """
        a, b = self.ids_of(a, b)
        special = 2 if b is None else 3
        max_length = integer("pair", "max_length", max_length, low=special, or_none=True)
        if max_length is not None:
            a, b = cut_pair(a, b, max_length - special)
        sep, cls = [self.sep_id], [self.cls_id]
        parts = [a, sep, cls] if b is None else [a, sep, b, sep, cls]
        kinds = [_OF_A, _OF_A, _OF_CLS] if b is None else [_OF_A, _OF_A, _OF_B, _OF_B, _OF_CLS]
        return np.concatenate(parts, dtype=np.int64), np.repeat(kinds, [len(part) for part in parts])

    def pad_batch(self, sequences: Sequence, value: int | None = None, length: int | None = None) -> Sequences:
        """Sequences (T_i,) of integers side by side, padded on the left to the longest, or to `length`.

        value  the padding; by default <pad>'s id. (token_type_ids are padded with 0.)

        Raises ValueError for no sequences, or one longer than `length`.
        """
        return Sequences(*pad_left(sequences, self.pad_id if value is None else value, length))

    def decode(self, ids, skip_special_tokens: bool = False) -> str:
        """The text of ids (N,), without the space before its first word. Nothing is written for special tokens but
        <unk>.

        skip_special_tokens  leaves out <unk>, too
        """
        if flag("decode", "skip_special_tokens", skip_special_tokens):
            ids = [token for token in ids if token != self.unk_id]
        return super().decode(ids)

    def _for_transformers(self) -> dict[str, Any]:
        names = ("unk_token", "bos_token", "eos_token", "cls_token", "sep_token", "pad_token", "mask_token")
        settings = {"do_lower_case": False, "keep_accents": False, "remove_space": True, "padding_side": "left"}
        settings |= {"additional_special_tokens": [_EOP, _EOD], "clean_up_tokenization_spaces": False}
        return {"tokenizer_class": "XLNetTokenizer"} | settings | dict(zip(names, SPECIALS, strict=False))

    @staticmethod
    def _normalizers(library) -> list:
        normalizers = library.normalizers
        quotes = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        return [*quotes, normalizers.NFKD(), normalizers.StripAccents()]


def is_for_xlnet(tokens: Iterable[str]) -> bool:
    """Whether the added tokens of a tokenizer.json are those of an XLNet."""
    return {CLS, SEP, _MASK} <= set(tokens)
