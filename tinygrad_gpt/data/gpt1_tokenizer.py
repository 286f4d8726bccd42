"""GPT-1's tokenizer: lower-case words and punctuation marks, in pieces. The last piece of a word marks its end.

    "The cats sat, didn't they?"  ->  the</w> cat s</w> sat</w> ,</w> didn</w> '</w> t</w> they</w> ?</w>

(Radford et al., 2018, section 4.1: a byte-pair encoding, Sennrich et al., 2016, with 40,000 merges.) It keeps less of
the text than GPT-2's: it drops case, accents and the kind of white space, and a character that the vocabulary lacks
becomes the token <unk>. So decode(encode(text)) is a normalised text, with a space after every word and mark.

The splitting is that of transformers' OpenAIGPTTokenizer, which is BERT's: between words and around every punctuation
mark. (The code published with the paper split with spaCy instead, which keeps "n't" together.)
"""

from pathlib import Path

from tinygrad_gpt.data.library_tokenizer import LibraryTokenizer, learnable, load_library, read_bpe_files, train_backend
from tinygrad_gpt.errors import UserError

END_OF_WORD = "</w>"
UNKNOWN = "<unk>"


class GPT1Tokenizer(LibraryTokenizer):
    """BPE on lower-case words: every text has ids, and decoding them gives a normalised text."""

    @classmethod
    def train(cls, corpus, vocab_size: int) -> "GPT1Tokenizer":
        """Learn at most `vocab_size` tokens from the training part of a corpus: <unk>, the characters, and merges.

        Raises UserError if the library `tokenizers` is not installed.
        """
        library = load_library()
        model = library.models.BPE(unk_token=UNKNOWN, end_of_word_suffix=END_OF_WORD)
        trainer = library.trainers.BpeTrainer(
            vocab_size=learnable(vocab_size, 1, corpus),
            special_tokens=[UNKNOWN],
            end_of_word_suffix=END_OF_WORD,
            limit_alphabet=min(1000, vocab_size // 2),
            show_progress=False,
        )
        backend = _backend(library, model)
        train_backend(backend, trainer, corpus.train())
        return cls(backend)

    @classmethod
    def from_files(cls, vocab: str | Path, merges: str | Path) -> "GPT1Tokenizer":
        """Read the published format: vocab.json (token -> id) and merges.txt (one pair per line, best first).

        Raises UserError if a file is missing or damaged, or the library `tokenizers` is not installed.
        """
        settings = {"unk_token": UNKNOWN, "end_of_word_suffix": END_OF_WORD}
        return cls(_backend(load_library(), read_bpe_files(vocab, merges, **settings)))

    def _for_transformers(self) -> dict[str, str]:
        return {"tokenizer_class": "OpenAIGPTTokenizer", "unk_token": UNKNOWN}

    def _read_backend(self) -> list[bytes]:
        content = self._content()
        _check_kind(content)
        written = [self._backend.id_to_token(token) for token in range(self.vocab_size)]
        if None in written:
            raise UserError(f"the tokenizer has {self.vocab_size} tokens, but none with id {written.index(None)}")
        return [_text_of(token).encode("utf-8") for token in written]


def _backend(library, model):
    backend = library.Tokenizer(model)
    backend.add_special_tokens([UNKNOWN])
    backend.normalizer = library.normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
    backend.decoder = library.decoders.BPEDecoder(suffix=END_OF_WORD)
    return backend


def _text_of(token: str) -> str:
    return token.removesuffix(END_OF_WORD) + " " if token.endswith(END_OF_WORD) else token


def _check_kind(content: dict) -> None:
    """Raise UserError for a tokenizer that is not of GPT-1's kind, or that gives a text different ids each time."""
    model = content.get("model") or {}
    kinds = [(content.get(part) or {}).get("type") for part in ("normalizer", "pre_tokenizer")]
    right = kinds == ["BertNormalizer", "BertPreTokenizer"] and model.get("end_of_word_suffix") == END_OF_WORD
    if not right or model.get("type") != "BPE" or model.get("dropout"):
        raise UserError("only BPE tokenizers of lower-case words that end in </w> are supported, such as GPT-1's")
    if UNKNOWN not in model.get("vocab", {}):
        raise UserError(f"the tokenizer has no token {UNKNOWN} for characters that it does not know")
