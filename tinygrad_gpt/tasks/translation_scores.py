"""How good a translator is: how sure it is of the right translations, token by token, and BLEU of what it writes."""

import math
from typing import NamedTuple

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.parallel import PARALLEL, Translations
from tinygrad_gpt.data.token_batches import EncodedPairs, batches_in_order
from tinygrad_gpt.generate.translate import texts_of, translate_ids
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.scores import CorpusScores, corpus_scores

_LONGEST_LOSS = 700.0  # nats: e to a higher power is no float64
_TOKENISED = tuple(name for name in PARALLEL if name.startswith("multi30k-tok-"))  # spaces around each of their words


class TokenScores(NamedTuple):
    """Of the target's tokens, each after the right ones before it.

    loss      mean cross-entropy in nats, without label smoothing
    accuracy  share that has the highest score
    tokens    how many there are, the ends of sentences too
    """

    loss: float
    accuracy: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """e^loss: the model is as unsure as in a fair choice among this many tokens."""
        return math.exp(min(self.loss, _LONGEST_LOSS))


def token_scores(
    model, pairs: EncodedPairs, batch_tokens: int, pad_id: int, progress: Progress = no_progress
) -> TokenScores:
    """The scores of a Transformer on pairs, one at least.

    batch_tokens  tokens that it reads at once, with padding, or one pair
    progress      called with (tokens of the target so far, all)
    """
    loss, right, count, total = 0.0, 0, 0, int(pairs.lengths[:, 1].sum())
    room, start = max(batch_tokens, int(pairs.lengths.max())), model.config.decoder_start_token_id
    with model.evaluating(), no_grad():
        for _, (source_ids, source_mask, decoder_input_ids, labels) in batches_in_order(pairs, room, pad_id, start):
            encoded = model.encode(source_ids, source_mask)
            logits = model.logits(model.decode(decoder_input_ids, encoded, source_mask))
            counts = labels != IGNORE_INDEX
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            right += int((to_numpy(logits.data).argmax(axis=-1) == labels)[counts].sum())
            count += int(counts.sum())
            progress(count, total)
    return TokenScores(loss / count, right / count, count)


def written_scores(
    model, tokenizer, pairs: EncodedPairs, references: Translations, tokenize: str, lowercase: bool = False, **how
) -> CorpusScores:
    """BLEU of what the model writes for the sources of pairs, beside the sentences that the pairs were made of.

    tokenize, lowercase  see corpus_scores
    how                  the settings of translate_ids
    """
    with model.evaluating(), no_grad():
        texts = texts_of(tokenizer, translate_ids(model, pairs.sources, **how))
    return corpus_scores(texts, [references.target[place] for place in pairs.places], tokenize, lowercase)


def words_of(corpus: str) -> str:
    """How BLEU finds words in the sentences of the corpus with this name or path: see TOKENIZERS in scores/bleu.py."""
    return "none" if corpus in _TOKENISED else "13a"
