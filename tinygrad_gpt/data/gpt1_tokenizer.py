"""GPT-1's tokenizer: lower-case words and punctuation marks, in pieces. The last piece of a word marks its end.

    "The cats sat, didn't they?"  ->  the</w> cat s</w> sat</w> ,</w> didn</w> '</w> t</w> they</w> ?</w>

(Radford et al., 2018, section 4.1: a byte-pair encoding, Sennrich et al., 2016, with 40,000 merges.) It keeps less of
the text than GPT-2's: it drops case, accents and the kind of white space, and a character that the vocabulary lacks
becomes the token <unk>. So decode(encode(text)) is a normalised text, with a space after every word and mark.

The splitting is that of transformers' OpenAIGPTTokenizer, which is BERT's: between words and around every punctuation
mark. (The code published with the paper split with spaCy instead, which keeps "n't" together.)
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from tinygrad_gpt.data.library_tokenizer import MergingTokenizer
from tinygrad_gpt.errors import UserError

END_OF_WORD = "</w>"
UNKNOWN = "<unk>"


class GPT1Tokenizer(MergingTokenizer):
    """BPE on lower-case words: every text has ids, and decoding them gives a normalised text."""

    model_settings: ClassVar[Mapping[str, str]] = {"unk_token": UNKNOWN, "end_of_word_suffix": END_OF_WORD}

    @staticmethod
    def _around(library, model):
        backend = library.Tokenizer(model)
        backend.add_special_tokens([UNKNOWN])
        backend.normalizer = library.normalizers.BertNormalizer(lowercase=True)
        backend.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
        backend.decoder = library.decoders.BPEDecoder(suffix=END_OF_WORD)
        return backend

    @staticmethod
    def _learning(library, vocab_size: int) -> dict[str, Any]:
        alphabet = min(1000, vocab_size // 2)
        return {"special_tokens": [UNKNOWN], "end_of_word_suffix": END_OF_WORD, "limit_alphabet": alphabet}

    def _for_transformers(self) -> dict[str, str]:
        return {"tokenizer_class": "OpenAIGPTTokenizer", "unk_token": UNKNOWN}

    def _check_kind(self, content: dict) -> None:
        model = content.get("model") or {}
        kinds = [(content.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer")]
        right = kinds == ["BertNormalizer", "BertPreTokenizer"] and model.get("end_of_word_suffix") == END_OF_WORD
        if not right or model.get("type") != "BPE" or model.get("dropout"):
            raise UserError("only BPE tokenizers of lower-case words that end in </w> are supported, such as GPT-1's")
        if UNKNOWN not in model.get("vocab", {}):
            raise UserError(f"the tokenizer has no token {UNKNOWN} for characters that it does not know")

    def _bytes_of_tokens(self, written: list[str]) -> list[bytes]:
        texts = (token.removesuffix(END_OF_WORD) + " " if token.endswith(END_OF_WORD) else token for token in written)
        return [text.encode("utf-8") for text in texts]
