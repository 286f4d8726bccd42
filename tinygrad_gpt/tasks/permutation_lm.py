"""The task that XLNet is pre-trained on: tell tokens in an order that is drawn, each from the context and those before.

input_ids, token_type_ids  (B, T)      see data/permutations.py
may_see                    (B, T, T)
targets, labels            (B, N)
loss        mean cross-entropy of the query stream over the targets, in nats

(Yang et al., "XLNet", 2019, equations 4 and 5.)
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.data.corpora import Corpus
from tinygrad_gpt.data.permutations import (
    SHORTEST,
    Batch,
    Lines,
    encode_lines,
    make_batch,
    target_count,
    word_beginnings,
)
from tinygrad_gpt.nn.head_loss import head_loss
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.settings import advanced, check_settings, setting
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.task import Loss, Task

_HELD_OUT_SEED = 2**31 - 1  # of the held-out sequences, which are the same in all runs, so that their scores compare
_PROBE_ROWS = 32  # of the health check
_SAMPLED, _GAP = 2, "___"


@dataclass(frozen=True)
class PermutationLMConfig:
    """The text, its tokens, and how many are predicted. Raises UserError for a value that is not allowed."""

    corpus: str = setting("sentences", "Data", "name of a corpus, or path of a text file or a folder of text files")
    tokenizer: str = setting(
        "unigram",
        "Data",
        "unigram (trained on the corpus), own (that of the --from model), or the path of a saved one",
    )
    vocab: int = advanced(4000, "Data", "tokens that a unigram tokenizer learns", low=100)
    from_: str = setting(
        "",
        "Data",
        "XLNet to start from, keeping its shape: a run folder, a Hugging Face folder, or a name on their hub",
    )
    block_size: int = setting(64, "XLNet", "tokens of a sequence", low=SHORTEST)
    target_share: float = advanced(0.166, "XLNet", "share of the tokens that are predicted", above=0, below=0.5)
    eval_tokens: int = advanced(
        50_000,
        "Run",
        "held-out tokens per evaluation (the last evaluation uses all)",
        low=1,
        free=True,
        free_unless="patience",
    )

    def __post_init__(self):
        check_settings(self)


class PermutationLM(Task):
    """Tokens in an order that is drawn, for an XLNet with a head of tokens.

    corpus      the text, a sentence on each line
    tokenizer   an XLNet's
    batch_size  sequences that go through the model at once; a step has `accumulate` times as many
    seed        decides the sequences, targets and orders of each step

    targets             N, of each sequence
    held_out_sequences  their number

    metrics, on sequences of the validation text that are drawn once, in a random order: the first of them, as many as
    eval_tokens says, and the last time all:
        val_loss  the loss as in training
        accuracy  share of the targets whose likeliest token is the right one

    Raises UserError for a text that is too short.
    """

    name = "permutation-lm"
    metrics = {"val_loss": False, "accuracy": True}  # noqa: RUF012 - read only

    def __init__(
        self,
        config: PermutationLMConfig,
        corpus: Corpus,
        tokenizer,
        batch_size: int = 32,
        accumulate: int = 1,
        seed: int = 1,
    ):
        self.config, self.tokenizer, self.length, self.seed = config, tokenizer, config.block_size, seed
        self.batch_size, self.rows = batch_size, accumulate * batch_size
        self.train = encode_lines(corpus.train(), tokenizer, self.length, "training text")
        self.held_out = encode_lines(corpus.val(), tokenizer, self.length, "validation text")
        self._begins, self.targets = word_beginnings(tokenizer), target_count(self.length, config.target_share)

    def batch(self, step):
        rng = np.random.default_rng([self.seed, step])
        return self._batch(self.train, rng.integers(self.train.places(self.length), size=self.rows), rng)

    def _batch(self, text: Lines, firsts, rng: np.random.Generator) -> Batch:
        return make_batch(text, firsts, self.length, self.targets, self.tokenizer, self._begins, rng)

    def loss(self, model, *arrays):
        features, labels = self._read(model, *arrays)  # (B, N, C), (B, N)
        return Loss(head_loss(model.head, features, labels))

    def answers(self, model, *arrays) -> tuple[Tensor, np.ndarray]:
        features, labels = self._read(model, *arrays)
        return model.head(features), labels  # (B, N, C) -> (B, N, V)

    def _read(self, model, *arrays) -> tuple[Tensor, np.ndarray]:
        """What the head makes scores of, and the tokens that are to score best."""
        batch = Batch(*arrays)
        streams = model.read(
            batch.input_ids,
            mask=batch.may_see,
            segments=batch.token_type_ids,
            targets=batch.targets,
            content=False,
            remember=False,
        )
        return streams.query, batch.labels

    @property
    def held_out_sequences(self) -> int:
        return len(self._firsts)

    @cached_property
    def _firsts(self) -> np.ndarray:
        """Where the held-out sequences begin, one behind the other, in a random order."""
        firsts = np.arange(0, self.held_out.places(self.length), self.length)
        return np.random.default_rng(_HELD_OUT_SEED).permutation(firsts)

    def _held_out_batch(self, first: int, end: int) -> Batch:
        """The held-out sequences number first .. end - 1, each drawn as always, whatever the batches."""
        rows = [
            self._batch(self.held_out, [place], np.random.default_rng([_HELD_OUT_SEED, place]))
            for place in self._firsts[first:end]
        ]
        return Batch(*map(np.concatenate, zip(*rows, strict=True)))

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        limit = self.held_out_sequences if last else max(1, self.config.eval_tokens // self.length)
        count, loss, right = min(limit, self.held_out_sequences), 0.0, 0
        with model.evaluating(), no_grad():
            for first in range(0, count, self.batch_size):
                end = min(first + self.batch_size, count)
                logits, labels = self.answers(model, *self._held_out_batch(first, end))
                loss += F.cross_entropy(logits, labels, reduction="sum").item()
                right += int(np.sum(to_numpy(logits.data).argmax(axis=-1) == labels))
                progress(end, count)
        return {"val_loss": loss / (count * self.targets), "accuracy": right / (count * self.targets)}

    def guesses(self):
        facts = text_facts(self.train.tokens)
        return {"val_loss": facts["unigram_entropy"], "accuracy": facts["commonest_share"]}

    def sample(self, model) -> Iterator[str]:
        """The first held-out sequences: their texts with gaps, and what the model puts there."""
        batch = self._held_out_batch(0, _SAMPLED)
        with model.evaluating(), no_grad():
            logits, labels = self.answers(model, *batch)
        predicted = to_numpy(logits.data).argmax(axis=-1)
        for row, ids in enumerate(batch.input_ids):
            yield f"{self._with_gaps(ids, batch.targets[row])}\n  gaps: {self._said(predicted[row], labels[row])}\n\n"

    def _with_gaps(self, ids: np.ndarray, targets: np.ndarray) -> str:
        """The text of a sequence, with ___ for each target."""
        first, *others = np.split(ids, targets)
        return f" {_GAP} ".join(map(self.tokenizer.decode, (first, *(piece[1:] for piece in others))))

    def _said(self, predicted: np.ndarray, labels: np.ndarray) -> str:
        pairs = (
            (self.tokenizer.decode([a]), self.tokenizer.decode([b])) for a, b in zip(predicted, labels, strict=True)
        )
        return ", ".join(guess if guess == right else f"{guess} (was: {right})" for guess, right in pairs)

    def probe(self):
        return self._held_out_batch(0, _PROBE_ROWS)

    def data(self):
        return (
            f"{len(self.train.tokens):,} tokens of {self.config.corpus} ({len(self.held_out.tokens):,} to validate), "
            f"{self.targets} of {self.length} to predict"
        )

    def settings(self):
        return dataclasses.asdict(self.config)

    def facts(self, model):
        return {"choices": model.config.vocab_size} | text_facts(self.train.tokens)
