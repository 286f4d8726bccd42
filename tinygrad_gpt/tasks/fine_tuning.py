"""Fine-tuning: a trained model learns a task from labelled examples. What all kinds of tasks have in common.

each example as a sequence                      the model's family (gpt1_family.py, bert_family.py)
batches of sequences of similar length          here
right answers, metrics, what a score says       the kind of task: text_classes.py, similarity.py, token_labels.py,
                                                spans.py
"""

import copy
import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np

from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.examples import LabelledPairs, LabelledTask, LabelledTexts
from tinygrad_gpt.data.wordpiece_tokenizer import SHORTEST_PAIR
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.settings import advanced, check_settings, setting
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.family import Family
from tinygrad_gpt.tasks.scores import score, scores_of_task
from tinygrad_gpt.tasks.task import Arrays, Loss, Task

EVAL_BATCH = 64
_POOL = 16  # batches whose examples are sorted by length together
SAMPLE = 5  # dev examples


@dataclass(frozen=True)
class FineTuneConfig:
    """Which model is fine-tuned on what. Raises UserError for a value that is not allowed."""

    data: str = setting("cola", "Fine-tuning", "name of a task, or path of labelled examples")
    from_: str = setting("", "Fine-tuning", "the pre-trained model")
    lm_weight: float = setting(
        0.5, "Fine-tuning", "λ: weight of the language model's loss beside the task's; of a GPT", low=0
    )
    epochs: int = setting(3, "Fine-tuning", "times that all training examples are read", low=1)
    max_length: int | None = advanced(
        None,
        "Fine-tuning",
        "tokens of an example; longer ones are cut (texts that answer questions are read in windows); by default all "
        "the model's positions",
        low=SHORTEST_PAIR,
    )
    warmup_share: float = advanced(
        0.002, "Fine-tuning", "share of the steps over which the learning rate rises from 0", low=0, below=1
    )
    head_dropout: float | None = advanced(
        None,
        "Fine-tuning",
        "dropout on the input of the last linear layer; by default 0.1, of a BERT the encoder's own",
        low=0,
        below=1,
    )
    pretrained: bool = advanced(
        True, "Fine-tuning", "start from the trained weights; if not, from random ones, for comparison"
    )

    def __post_init__(self):
        check_settings(self)


class FineTuning(Task):
    """What the kinds of tasks have in common.

    data    labelled examples, to train on and to test on (dev); kept as `labelled`
    family  that of the model
    rows    examples of a step
    seed    decides their order

    A subclass reads the examples in `_read`, and says what the model's scores mean in `_judge` and `_lines`.

    Raises UserError for examples that the tokenizer cannot encode.
    """

    fixed_shapes = False  # a batch is as long as its longest example

    def __init__(self, config: FineTuneConfig, data: LabelledTask, family: Family, rows: int = 32, seed: int = 1):
        self.config, self.labelled, self.family, self.rows, self.seed = config, data, family, rows, seed
        self.outputs = self.outputs_for(data.classes)
        self.metrics = dict.fromkeys(scores_of_task(data.kind, data.name), True) | {"val_loss": False}
        self.sequences, self.targets = self._read(data.train)
        self.dev_sequences, self.dev_targets = self._read(data.dev)
        self._epoch: tuple[int, list[np.ndarray]] = (-1, [])  # the last one that was shuffled

    # --- of the kind of task -------------------------------------------------------------------------------------

    guess: str  # what is answered without a look at the example (LabelledTask.guess), in words

    @classmethod
    def outputs_for(cls, classes: Sequence[str]) -> int:
        """How many numbers the model's head gives: by default one for each class."""
        return len(classes)

    @abstractmethod
    def _read(self, examples) -> tuple[list, Any]:
        """(sequences, one for each example or several, the right answers in the form that `_right` takes)."""

    @abstractmethod
    def _right(self, targets, which: np.ndarray, length: int) -> Arrays:
        """The right answers of the examples `which`, as the arrays that `loss` takes beside the model's inputs; a
        sequence has `length` places."""

    @abstractmethod
    def _judge(self, scores: list[np.ndarray]) -> tuple[Any, float]:
        """(what is predicted for each dev example, as tasks/scores takes it, the mean loss), from the model's scores
        (K,), (T, K) or (T, 2) of each."""

    @abstractmethod
    def _lines(self, scores: list[np.ndarray]) -> Iterator[str]:
        """A line for each of the first dev examples: what the model says of it, and what is right."""

    def remark(self) -> str:
        """What one should know of the examples as this model reads them, in a line; "" if there is nothing."""
        sequences = [*self.sequences, *self.dev_sequences]
        return remark_on_cut(self.family, sequences, [*texts_of(self.labelled.train), *texts_of(self.labelled.dev)])

    @abstractmethod
    def example(self) -> list[str]:
        """The texts of a dev example, to try the model on."""

    # --- what they share -----------------------------------------------------------------------------------------

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.sequences) // self.rows)

    def batch(self, step):
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = epoch, self._shuffled(epoch + 1)
        return self._arrays(self.sequences, self.targets, self._epoch[1][number])

    def _arrays(self, sequences, targets, which: np.ndarray) -> Arrays:
        inputs = self.family.pad([sequences[i] for i in which])
        return (*inputs, *self._right(targets, which, inputs[0].shape[-1]))

    def loss(self, model, *arrays) -> Loss:
        n = self.family.inputs
        return self.family.loss(model, arrays[:n], arrays[n:], self.config.lm_weight)

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        return self.measure(scores_of(self.family, model, self.dev_sequences, progress))

    def measure(self, scores: list[np.ndarray]) -> dict[str, float]:
        """The numbers that `metrics` names, from the model's scores of each dev example."""
        predicted, loss = self._judge(scores)
        return score(self.labelled, self.labelled.dev, predicted) | {"val_loss": loss}

    def baseline(self) -> dict[str, float]:
        """The scores on the dev examples of `guess`, the deciding one first."""
        return score(self.labelled, self.labelled.dev, self.labelled.guess(self.labelled.dev))

    def with_settings(self, config: FineTuneConfig, seed: int) -> Self:
        """The same task with other settings than those that decide how the examples are read: they are not read again,
        as all of them would be by `__init__`."""
        other = copy.copy(self)
        other.config, other.seed, other._epoch = config, seed, (-1, [])
        return other

    def probe(self):
        count = len(self.dev_sequences)
        which = np.linspace(0, count - 1, min(EVAL_BATCH, count)).astype(int)
        return self._arrays(self.dev_sequences, self.dev_targets, which)

    def answers(self, model, *arrays):
        n = self.family.inputs
        return self.family.scores(model, *arrays[:n]), arrays[n]

    def _facts_of(self, labels: np.ndarray) -> dict[str, Any]:
        """`facts` of a task that chooses one of the classes: `labels` (N,) are the right ones in training."""
        part = {"part": "task"} if self.config.lm_weight else {}  # the other one is the language model's
        return {"choices": self.outputs} | text_facts(labels) | part

    def sample(self, model) -> Iterator[str]:
        """Some of the dev examples: what the model says of each, what is right, the example."""
        return islice(self._lines(scores_of(self.family, model, self.dev_sequences[:SAMPLE])), SAMPLE)

    def settings(self):
        return dataclasses.asdict(self.config) | {"kind": self.labelled.kind, "classes": list(self.labelled.classes)}

    def _shuffled(self, epoch: int) -> list[np.ndarray]:
        """The indices of all training examples in the order of this epoch (1, 2, ...), in batches of examples of
        similar length: a batch is padded to its longest, and in batches of random examples half would be padding."""
        rng, size = np.random.default_rng([self.seed, epoch]), self.rows
        order = rng.permutation(len(self.sequences))
        batches = []
        for pool in np.split(order, range(_POOL * size, len(order), _POOL * size)):
            by_length = sorted(pool, key=lambda i: self.family.length(self.sequences[i]))
            batches += [np.array(by_length[first : first + size]) for first in range(0, len(pool), size)]
        return [batches[i] for i in rng.permutation(len(batches))]


def scores_of(family: Family, model, sequences: list, progress: Progress = no_progress) -> list[np.ndarray]:
    """The model's scores for each sequence, without dropout: (K,) of a text; (T, K) of words, (T, 2) of spans, without
    padding."""
    with model.evaluating(), no_grad():
        return by_length(family, lambda *inputs: to_numpy(family.scores(model, *inputs).data), sequences, progress)


def by_length(
    family: Family, scores: Callable[..., np.ndarray], sequences: list, progress: Progress = no_progress
) -> list[np.ndarray]:
    """What `scores` makes of each sequence, (K,) or, without padding, (T, K). Those of similar length go together.

    scores  the arrays that the family's models read, of B sequences -> (B, K) or (B, T, K)
    """
    order = sorted(range(len(sequences)), key=lambda i: family.length(sequences[i]))
    found: list[Any] = [None] * len(sequences)
    for first in range(0, len(order), EVAL_BATCH):
        which = order[first : first + EVAL_BATCH]
        batch = scores(*family.pad([sequences[i] for i in which]))
        for i, row in zip(which, batch, strict=True):
            found[i] = row[: family.length(sequences[i])] if batch.ndim == 3 else row
        progress(first + len(which), len(order))
    return found


def texts_of(examples: LabelledTexts | LabelledPairs) -> list[tuple[str, ...]]:
    """(text,) or (first, second) of each example."""
    if isinstance(examples, LabelledPairs):
        return list(zip(examples.first, examples.second, strict=True))
    return [(text,) for text in examples.texts]


def remark_on_cut(family: Family, sequences: Sequence, texts: Sequence[tuple[str, ...]]) -> str:
    """A line if some of the sequences leave out a part of their texts; else ""."""
    cut = sum(family.is_cut(sequence, *each) for sequence, each in zip(sequences, texts, strict=True))
    what = "pairs of texts" if len(texts[0]) == 2 else "texts"
    return f"{cut:,} of {len(texts):,} {what} are cut at {family.longest} tokens" if cut else ""
