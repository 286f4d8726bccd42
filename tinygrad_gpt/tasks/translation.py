"""The task of a translator: given a sentence, and what is written of its translation so far, which token follows?

source_ids, source_mask       (B, Ts)   see data/token_batches.py
decoder_input_ids, labels     (B, Tt)
tokens_per_row                (B,)      labels in a row, the mean over the whole step
loss        mean cross-entropy over the target's tokens, in nats, in training with label smoothing

In training the model reads the right translation, whatever it would have written itself ("teacher forcing"). So the
loss says little about what it writes alone, where one wrong word leads to the next: BLEU does, of whole translations.

(Vaswani et al., "Attention is all you need", 2017, section 5.)
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.parallel import PARALLEL, Parallel
from tinygrad_gpt.data.token_batches import EncodedPairs, TokenBatches, encode_pairs, make_batch
from tinygrad_gpt.data.translation_vocabulary import VOCABULARIES
from tinygrad_gpt.generate.translate import texts_of, translate_ids
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.settings import SettingError, advanced, check_settings, setting
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.scores import corpus_bleu, repeats
from tinygrad_gpt.tasks.task import Loss, Task
from tinygrad_gpt.tasks.translation_scores import token_scores, words_of

_PROBE_ROWS = 32  # of the health check
_SHOWN = 2  # held-out sentences of a sample


@dataclass(frozen=True)
class TranslationConfig:
    """The sentences, their tokens, and what is measured. Raises UserError for a value that is not allowed."""

    corpus: str = setting(
        "multi30k-tok-en-de",
        "Data",
        f"{', '.join(PARALLEL)}, a folder with train.SOURCE and train.TARGET, or what two files' names begin with",
    )
    source: str = advanced("", "Data", "language to translate from, the ending of its files' names; for your own files")
    target: str = advanced("", "Data", "language to translate into, the ending of its files' names; for your own files")
    lowercase: bool = advanced(False, "Data", "of translations: whether upper case becomes lower case")
    tokenizer: str = setting(
        "bpe",
        "Data",
        f"{', '.join(VOCABULARIES)} (learned from both languages), own (that of the --from model), or the path of a "
        "saved one",
    )
    vocab: int = advanced(10_000, "Data", "tokens that a tokenizer learns", low=10)
    from_: str = setting(
        "",
        "Data",
        "translator to start from, keeping its shape: a run folder; with a tokenizer.json, a Marian folder or a name "
        "on their hub",
    )
    batch_tokens: int = advanced(
        4096,
        "Optimiser",
        "of a translator, in place of batch_size: tokens of the longer side that go through it at once, with padding",
        low=2,
    )
    label_smoothing: float = advanced(
        0.1, "Optimiser", "of a translator: share of each target that is spread over all tokens", low=0, below=1
    )
    decides: str = advanced(
        "val_loss", "Run", "by what a translator is better than another one", choices=("val_loss", "bleu")
    )
    eval_pairs: int = advanced(
        1000,
        "Run",
        "of a translator, in place of eval_tokens: held-out pairs per evaluation (the last one uses all)",
        low=1,
        free=True,
        free_unless="patience",
    )
    bleu_pairs: int = advanced(
        0,
        "Run",
        "of a translator: held-out sentences that each evaluation translates, for BLEU (the last one: all)",
        low=0,
        free=True,
        free_unless="patience",
    )

    def __post_init__(self):
        check_settings(self)
        if self.decides == "bleu" and not self.bleu_pairs:
            raise SettingError("bleu_pairs", "should be greater than 0 where BLEU decides: some hundreds")


class Translation(Task):
    """Translation of sentences, for a Transformer.

    corpus      the sentences
    tokenizer   of both languages, with a pad_id and an end_id
    positions   the longest sentence in tokens; pairs with a longer one are left out
    accumulate  batches of a step: they have batch_tokens each, in sentences of like length
    seed        decides the pairs of each step

    metrics, on held-out pairs that are the same in all runs: eval_pairs of them, and the last time all:
        val_loss        mean cross-entropy per token, without label smoothing
        perplexity      e to that power
        token_accuracy  share of the tokens that are the likeliest after the right ones before
        bleu            of what the model writes alone, the likeliest token at each place; of the first bleu_pairs, and
                        the last time of all. Words are those of 13a, of a corpus that is tokenised its own
        repeats         share of the runs of three words there that stood in their sentence before
    The first of them is the one that `decides`.

    Raises UserError if all sentences of a part are too long, and for a batch that has no room for the longest.
    """

    name = "translation"
    metrics = {  # noqa: RUF012 - read only
        "val_loss": False,
        "perplexity": False,
        "token_accuracy": True,
        "bleu": True,
        "repeats": False,
    }
    left_to_right = 2  # the decoder's input
    fixed_shapes = False

    def __init__(
        self,
        config: TranslationConfig,
        corpus: Parallel,
        tokenizer,
        positions: int,
        accumulate: int = 1,
        seed: int = 1,
    ):
        self.config, self.corpus, self.tokenizer, self.positions = config, corpus, tokenizer, positions
        self.pad_id, self.accumulate, self.label_smoothing = tokenizer.pad_id, accumulate, config.label_smoothing
        self.train = encode_pairs(corpus.train, tokenizer, positions, corpus.name)
        self.held_out = encode_pairs(corpus.valid, tokenizer, positions, f"{corpus.name}, the part to validate on")
        self._batches = TokenBatches(self.train, accumulate * config.batch_tokens, seed, self.pad_id)
        self.metrics = {config.decides: Translation.metrics[config.decides]} | Translation.metrics

    def batch(self, step):
        batch = self._batches.batch(step)
        return *batch, np.full(len(batch.labels), _counted(batch.labels).mean())

    def count(self, source_ids, source_mask, decoder_input_ids, labels, tokens_per_row):
        """Tokens on both sides, without padding."""
        return int(source_mask.sum() + _counted(labels).sum())

    def loss(self, model, source_ids, source_mask, decoder_input_ids, labels, tokens_per_row) -> Loss:
        smoothing = self.label_smoothing if model.training else 0.0
        total, accuracy = model.loss(source_ids, source_mask, decoder_input_ids, labels, smoothing)
        if self.accumulate > 1:  # a part of a step: the parts' means, by their rows, are to be the mean of all
            share = float(_counted(labels).mean() / tokens_per_row[0])
            total, accuracy = total * share, accuracy * share
        return Loss(total, scores={"accuracy": accuracy})

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        pairs = self._first(len(self.held_out) if last else self.config.eval_pairs)
        found = token_scores(model, pairs, self.config.batch_tokens, self.pad_id, progress)
        scores = {"val_loss": found.loss, "perplexity": found.perplexity, "token_accuracy": found.accuracy}
        translated = self._first(len(self.held_out) if last else self.config.bleu_pairs)
        if len(translated):
            scores |= self.written(model, translated)
        return {name: scores[name] for name in self.metrics if name in scores}

    def written(self, model, pairs: EncodedPairs) -> dict[str, float]:
        """The scores of what the model writes for held-out pairs."""
        references = [self.corpus.valid.target[place] for place in pairs.places]
        texts = self.translate(model, pairs)
        bleu = corpus_bleu(texts, references, tokenize=words_of(self.corpus.name)).score
        return {"bleu": bleu, "repeats": repeats(texts)}

    def translate(self, model, pairs: EncodedPairs) -> list[str]:
        """What the model writes for the sources of some pairs: the likeliest token at each place."""
        with model.evaluating(), no_grad():
            return texts_of(self.tokenizer, translate_ids(model, pairs.sources, beams=1))

    def _first(self, number: int) -> EncodedPairs:
        """The first held-out pairs."""
        all_of_them = self.held_out
        kept = (a[:number] for a in (all_of_them.sources, all_of_them.targets, all_of_them.places))
        return EncodedPairs(*kept, 0, self.positions)

    def sample(self, model) -> Iterator[str]:
        """Two held-out sentences: the source, what the model writes, and the translation beside it."""
        pairs = self._first(_SHOWN)
        for place, written in zip(pairs.places, self.translate(model, pairs), strict=True):
            yield f"{self.corpus.valid.source[place]}\n  model:     {written}\n"
            yield f"  reference: {self.corpus.valid.target[place]}\n"

    def probe(self):
        pairs = self._first(_PROBE_ROWS)
        batch = make_batch(pairs.sources, pairs.targets, self.pad_id)
        return *batch, _counted(batch.labels)  # so that its first row alone has its own mean loss

    def answers(self, model, source_ids, source_mask, decoder_input_ids, labels, *_):
        return model.logits(model.features(source_ids, decoder_input_ids, source_mask)), labels

    def data(self):
        left_out = f"; {note}" if (note := self.train.note()) else ""
        return (
            f"{len(self.train):,} pairs of {self.corpus.name}, {self.corpus.source} to {self.corpus.target} "
            f"({len(self.held_out):,} to validate){left_out}"
        )

    def guesses(self):
        labels = np.concatenate(self.held_out.targets)
        return {"token_accuracy": text_facts(labels)["commonest_share"]}

    @cached_property
    def _targets(self) -> np.ndarray:
        return np.concatenate(self.train.targets)

    def facts(self, model):
        return {"choices": model.config.vocab_size} | text_facts(self._targets)

    def settings(self):
        return dataclasses.asdict(self.config)


def _counted(labels: np.ndarray) -> np.ndarray:
    """labels (B, T) -> how many tokens of each row count (B,)."""
    return (labels != IGNORE_INDEX).sum(axis=1)
