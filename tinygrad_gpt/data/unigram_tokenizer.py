"""Unigram, SentencePiece's tokenizer: of all ways to cut a text into pieces of the vocabulary, the likeliest.

    "The unaffable cat's hat."  ->  ▁The ▁un aff able ▁cat ' s ▁hat .

A space is a character of its own, written ▁ (U+2581), and stands before each word, the first one too. So the pieces
joined are the text again, and words may be cut anywhere. Each piece has a probability; a text's pieces are independent,
so the likeliest ones have the greatest sum of log-probabilities, which dynamic programming finds (Viterbi's algorithm).

(Kudo, "Subword Regularization: Improving Neural Network Translation Models with Multiple Subword Candidates", 2018,
section 3.2; Kudo and Richardson, "SentencePiece", 2018.) Training begins with all frequent pieces of words, fits their
probabilities (EM), drops the quarter whose loss costs the text least likelihood, and repeats that until `vocab_size`
are left. Single characters stay.

Before it is cut, a text is normalised: compatible characters become one (Unicode's NFKC: … becomes ..., ½ becomes 1⁄2),
and white space becomes single spaces, with none at the ends. Case stays. A character that training never showed is the
token <unk>, and neighbours of its kind are one <unk> with it.
"""

from collections.abc import Sequence
from typing import Any

from tinygrad_gpt.arguments import integer
from tinygrad_gpt.data.library_tokenizer import (
    LibraryTokenizer,
    load_library,
    refusing,
    train_backend,
    training_texts,
)
from tinygrad_gpt.data.tokenizers import UNNAMED_CLASS, StreamDecoder, WordStreamDecoder
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.json_files import parse_json

UNKNOWN = "<unk>"
_SPACE = "▁"
_DIGITS = 4  # of a log-probability behind the point: enough to compare pieces, and not more than training reproduces


class UnigramTokenizer(LibraryTokenizer):
    """SentencePiece's tokenizer: every text has ids, and decoding them gives a normalised text.

    unk_id  the id of <unk>
    """

    def __init__(self, backend):
        super().__init__(backend)
        self.unk_id: int = self._content()["model"]["unk_id"]

    @classmethod
    def train(cls, corpus, vocab_size: int, special_tokens: Sequence[str] = ()) -> "UnigramTokenizer":
        """Learn `vocab_size` tokens from the training part of a Corpus, or from an iterable of texts: <unk> (id 0), the
        pieces, the likeliest first, and the special ones, with the last ids. Equal texts give equal tokenizers.

        special_tokens  names of further tokens; SENTENCE_TOKENS for a vocabulary of sentences

        A small corpus may have too few pieces; the tokenizer's vocab_size is then smaller than requested. Raises
        UserError for a vocabulary without room for the text's characters, for a text without any, or if the library
        `tokenizers` is not installed. An iterator is read into memory, since the texts are read twice.
        """
        vocab_size = integer("train", "vocab_size", vocab_size)
        library, texts = load_library(), training_texts(corpus)
        backend = _around(library, library.models.Unigram())
        normal = backend.normalizer.normalize_str
        with refusing("the tokenizer cannot be trained"):
            characters = {c for text in texts() for c in normal(text)} - {" "} | {_SPACE}
        room = vocab_size - 1 - len(special_tokens)  # without <unk>
        if len(characters) == 1:
            raise UserError("a Unigram tokenizer cannot learn from a text without characters")
        if room < len(characters):
            raise UserError(
                f"a Unigram vocabulary has each of the text's {len(characters)} characters, <unk> and "
                f"{len(special_tokens)} special tokens: expected at least {vocab_size - room + len(characters)}, got "
                f"{vocab_size}"
            )
        trainer = library.trainers.UnigramTrainer(
            vocab_size=room + 1, show_progress=False, special_tokens=[UNKNOWN], unk_token=UNKNOWN
        )
        train_backend(backend, trainer, texts())
        learned = parse_json(backend.to_str(), "the tokenizer")["model"]["vocab"]
        # Two trainings sum in different orders, so that the last digits differ, and a tie is broken as it comes.
        pieces = {piece: round(score, _DIGITS) for piece, score in learned}
        # What the text calls by the name of a special token is not to be that token.
        for name in (UNKNOWN, *special_tokens):
            pieces.pop(name, None)
        ordered = sorted(pieces.items(), key=lambda item: (-item[1], item[0]))
        model = library.models.Unigram([(UNKNOWN, 0.0), *ordered], 0, False)
        backend = _around(library, model)
        backend.add_special_tokens(list(special_tokens))
        return cls(backend)

    def decode(self, ids) -> str:
        """The text of ids (N,), without the space before its first word. What was unknown is <unk>."""
        return super().decode(ids).removeprefix(" ")

    def decoder(self) -> StreamDecoder:
        return WordStreamDecoder(self)

    def _check_kind(self, content: dict) -> None:
        model, splits = content.get("model") or {}, content.get("pre_tokenizer") or {}
        steps = [splits, *splits.get("pretokenizers", ())]
        marks = [step.get("replacement") for step in steps if step.get("type") == "Metaspace"]
        if model.get("type") != "Unigram" or marks != [_SPACE]:
            raise UserError(f"only Unigram tokenizers that write a space as {_SPACE} are supported, such as XLNet's")
        if model.get("unk_id") is None:
            raise UserError("the tokenizer has no token for characters that it does not know (unk_id)")
        if model.get("byte_fallback"):
            raise UserError("Unigram tokenizers that write unknown characters as bytes are not supported")

    def _bytes_of_tokens(self, written: list[str]) -> list[bytes]:
        return [token.replace(_SPACE, " ").encode("utf-8") for token in written]

    def _for_transformers(self) -> dict[str, Any]:
        config = {"tokenizer_class": UNNAMED_CLASS, "unk_token": UNKNOWN}
        if self.end_id is not None:
            config |= {"pad_token": "<pad>", "eos_token": "</s>"}
        return config


def _around(library, model):
    """A backend with this model, which normalises, splits and joins text as SentencePiece does."""
    backend, normalizers = library.Tokenizer(model), library.normalizers
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(library.Regex(r"\s+"), " "), normalizers.Strip()]
    )
    backend.pre_tokenizer = library.pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always")
    backend.decoder = library.decoders.Metaspace(replacement=_SPACE, prepend_scheme="always")
    return backend
