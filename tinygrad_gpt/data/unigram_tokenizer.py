"""Unigram, SentencePiece's tokenizer: of all ways to cut a text into pieces of the vocabulary, the likeliest.

    "The unaffable cat's hat."  ->  ▁The ▁un aff able ▁cat ' s ▁hat .

A space is a character of its own, written ▁ (U+2581), and stands before each word, the first one too. So the pieces
joined are the text again, and words may be cut anywhere. Each piece has a probability; a text's pieces are independent,
so the likeliest ones have the greatest sum of log-probabilities, which dynamic programming finds (Viterbi's algorithm).

(Kudo, "Subword Regularization: Improving Neural Network Translation Models with Multiple Subword Candidates", 2018,
section 3.2; Kudo and Richardson, "SentencePiece", 2018.) unigram_training.py learns the pieces. The library
`tokenizers` has a trainer too, but that looks for pieces that stand in two different words, however frequent one word
is, and so misses most whole words.

Before it is cut, a text is normalised: compatible characters become one (Unicode's NFKC: … becomes ..., ½ becomes 1⁄2),
and white space, with ▁, becomes single spaces, with none at the ends. Case stays. A character that the vocabulary lacks
is the token <unk>, and neighbours of its kind are one <unk> with it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tinygrad_gpt.arguments import integer
from tinygrad_gpt.data.library_tokenizer import (
    LibraryTokenizer,
    cut_between_words,
    load_library,
    refusing,
    splitting_steps,
    training_texts,
)
from tinygrad_gpt.data.tokenizers import UNNAMED_CLASS, StreamDecoder, WordStreamDecoder
from tinygrad_gpt.data.unigram_training import learn_pieces
from tinygrad_gpt.errors import UserError

UNKNOWN = "<unk>"
SPACE = "▁"
_DIGITS = 4  # of a log-probability behind the point: enough to compare pieces, and no more than all machines agree on


class UnigramTokenizer(LibraryTokenizer):
    """SentencePiece's tokenizer: every text has ids, and decoding them gives a normalised text.

    unk_id  the id of <unk>, which the text "<unk>" has too
    """

    def __init__(self, backend):
        super().__init__(backend)
        self.unk_id: int = self._content()["model"]["unk_id"]

    @classmethod
    def train(cls, corpus, vocab_size: int, special_tokens: Sequence[str] = ()) -> "UnigramTokenizer":
        """Learn `vocab_size` tokens from the training part of a Corpus, or from an iterable of texts: <unk> (id 0), the
        pieces, the likeliest first, and the special ones, with the last ids. Equal texts give equal tokenizers.

        special_tokens  names of further tokens; SENTENCE_TOKENS for a vocabulary of sentences

        The most frequent characters are pieces, and take at most half of the vocabulary. A small corpus may have too
        few pieces; the tokenizer's vocab_size is then smaller than requested. Raises UserError for a vocabulary that is
        too small, for a text without words, or if the library `tokenizers` is not installed.
        """
        vocab_size = integer("train", "vocab_size", vocab_size)
        library, scores = load_library(), cls._learned(corpus, vocab_size, [UNKNOWN, *special_tokens])
        backend = cls._around(library, library.models.Unigram([(UNKNOWN, 0.0), *scores], 0, False))
        backend.add_special_tokens(list(special_tokens))
        return cls(backend)

    @classmethod
    def _learned(cls, corpus, vocab_size: int, names: Sequence[str]) -> list[tuple[str, float]]:
        """The pieces of a vocabulary of this size beside the tokens `names`, and their log-probabilities. Raises what
        `train` raises."""
        library, texts, room = load_library(), training_texts(corpus), vocab_size - len(names)
        if room < 2:
            raise UserError(
                f"a Unigram vocabulary needs at least {len(names) + 2} tokens ({UNKNOWN}, {len(names) - 1} special "
                f"ones, {SPACE} and a letter), not {vocab_size}"
            )
        normal, words = cls._around(library, library.models.Unigram()).normalizer.normalize_str, Counter()
        with refusing("the tokenizer cannot be trained"):
            for chunk in cut_between_words(texts()):
                words.update(SPACE + word for word in normal(chunk).split(" ") if word)
        if not words:
            raise UserError("a Unigram tokenizer cannot learn from a text without words")
        counts: Counter = Counter()
        for word, count in words.items():
            for character in word:
                counts[character] += count
        alphabet = sorted(counts, key=lambda c: (-counts[c], c))[: (room + 1) // 2]
        # What a text calls by the name of a special token is not to be that token.
        pieces = learn_pieces(words, set(alphabet), room, names=names)
        return [(piece, round(log_p, _DIGITS)) for piece, log_p in pieces.items()]

    def decode(self, ids) -> str:
        """The text of ids (N,), without the space before its first word. What was unknown is <unk>."""
        return super().decode(ids).removeprefix(" ")

    def decoder(self) -> StreamDecoder:
        return WordStreamDecoder(self)

    def _check_kind(self, content: dict) -> None:
        model, splits = content.get("model") or {}, content.get("pre_tokenizer") or {}
        marks = [step.get("replacement") for step in splitting_steps(splits) if step.get("type") == "Metaspace"]
        if model.get("type") != "Unigram" or marks != [SPACE]:
            raise UserError(f"only Unigram tokenizers that write a space as {SPACE} are supported, such as XLNet's")
        if model.get("unk_id") is None:
            raise UserError("the tokenizer has no token for characters that it does not know (unk_id)")
        if model.get("byte_fallback"):
            raise UserError("Unigram tokenizers that write unknown characters as bytes are not supported")

    def _bytes_of_tokens(self, written: list[str]) -> list[bytes]:
        return [token.replace(SPACE, " ").encode("utf-8") for token in written]

    def _for_transformers(self) -> dict[str, Any]:
        return {"tokenizer_class": UNNAMED_CLASS, "unk_token": UNKNOWN, "clean_up_tokenization_spaces": False}

    @classmethod
    def _around(cls, library, model):
        """A backend with this model, which normalises, splits and joins text as SentencePiece does."""
        backend, normalizers = library.Tokenizer(model), library.normalizers
        spaces = [normalizers.Replace(library.Regex(rf"[\s{SPACE}]+"), " "), normalizers.Strip()]
        backend.normalizer = normalizers.Sequence([*cls._normalizers(library), *spaces])
        backend.pre_tokenizer = library.pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")
        backend.decoder = library.decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
        return backend

    @staticmethod
    def _normalizers(library) -> list:
        """What is done to a text's characters, but for its spaces."""
        return [library.normalizers.NFKC()]
