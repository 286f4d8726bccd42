"""One vocabulary for two languages: what a translator reads, and what it writes.

A name, a number or a word that both languages share is then the same tokens on both sides, and one matrix of embeddings
serves the encoder, the decoder and the output (Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words
with Subword Units", 2016, section 3.2, "joint BPE"; Vaswani et al., "Attention Is All You Need", 2017, section 3.4).

    kind       what comes back after encoding and decoding
    bpe        the text, whatever it holds
    unigram    the text, normalised: see unigram_tokenizer.py; <unk> for a character that training never showed
    wordpiece  words and punctuation marks with other spaces, "t-shirt" as "t - shirt" and " ." as ".", so it is for
               plain text, not for tokenised; [UNK] for a word with a rare character. Case and accents stay
"""

from tinygrad_gpt.data.bpe_tokenizer import BPETokenizer
from tinygrad_gpt.data.library_tokenizer import END, SENTENCE_TOKENS, LibraryTokenizer
from tinygrad_gpt.data.parallel import Parallel
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.data.unigram_tokenizer import UnigramTokenizer
from tinygrad_gpt.data.wordpiece_tokenizer import WordPieceTokenizer
from tinygrad_gpt.errors import UserError, did_you_mean, in_short

VOCABULARIES = ("bpe", "unigram", "wordpiece")


def train_vocabulary(corpus: Parallel, kind: str, vocab_size: int) -> LibraryTokenizer:
    """The tokenizer of this kind, one of VOCABULARIES, with `vocab_size` tokens or fewer that it learns from the
    training pairs of a corpus, from both languages. It has a pad_id and an end_id.

    Equal pairs give equal tokenizers. Raises UserError for another kind, a vocabulary that is too small, or if the
    library `tokenizers` is not installed.
    """
    if kind == "bpe":
        return BPETokenizer.train(corpus.text(), vocab_size, SENTENCE_TOKENS)
    if kind == "unigram":
        return UnigramTokenizer.train(corpus.text(), vocab_size, SENTENCE_TOKENS)
    if kind == "wordpiece":
        return WordPieceTokenizer.train(corpus.text(), vocab_size, lowercase=False, special_tokens=[END])
    raise UserError(
        f"there is no kind of vocabulary {in_short(kind)!r}{did_you_mean(kind, VOCABULARIES)}: expected "
        f"{', '.join(VOCABULARIES)}"
    )


def check_vocabulary(tokenizer: Tokenizer, name: str) -> None:
    """Raise UserError, naming the tokenizer, unless it has what a translator needs: a token for padding, and one that
    ends a sentence."""
    if getattr(tokenizer, "pad_id", None) is None or getattr(tokenizer, "end_id", None) is None:
        raise UserError(
            f"{name}: expected a vocabulary of sentences, with tokens for padding and for a sentence's end (such as "
            f"{' and '.join(SENTENCE_TOKENS)}), got {tokenizer}, which has not both"
        )


def check_is_the_models(tokenizer: Tokenizer, config, name: str = "the tokenizer") -> None:
    """Raise UserError, naming the tokenizer, unless it gives padding and a sentence's end the ids that a translator
    with this TransformerConfig has for them, and has a text for each token that the model may write, and no more."""
    check_vocabulary(tokenizer, name)
    wanted = config.pad_token_id, config.eos_token_id, config.vocab_size
    got = tokenizer.pad_id, tokenizer.end_id, tokenizer.vocab_size
    if got != wanted:
        raise UserError(
            f"{name} is not the model's: expected the ids of padding and end, and a vocabulary, of "
            f"{wanted[0]}, {wanted[1]} and {wanted[2]}, got {got[0]}, {got[1]} and {got[2]}"
        )
