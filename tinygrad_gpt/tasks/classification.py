"""Classification of texts with a pre-trained GPT, as GPT-1's paper fine-tunes it.

    each text as  start text extract               data/gpt1_inputs.py
    scores of the classes, read at extract         models/gpt1_heads.py
    L3 = L2 + λ L1                                 the task's loss, and λ times the language model's on the same texts

(Radford et al., "Improving language understanding by generative pre-training", 2018, sections 3.2 and 3.3.)
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.array import to_numpy
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data import gpt1_inputs
from tinygrad_gpt.data.examples import LabelledTask
from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification, with_new_tokens
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.settings import advanced, check_settings, setting
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.scores import accuracy, cross_entropy, matthews
from tinygrad_gpt.tasks.task import Loss, Task

_EVAL_BATCH = 64
_POOL = 16  # batches whose texts are sorted by length together
_SAMPLE = 5  # dev texts


@dataclass(frozen=True)
class ClassificationConfig:
    """Which model is fine-tuned on which texts. Raises UserError for a value that is not allowed."""

    data: str = setting("cola", "Fine-tuning", "name of a task, or path of texts with labels")
    from_: str = setting("", "Fine-tuning", "the pre-trained model")
    lm_weight: float = setting(0.5, "Fine-tuning", "λ: weight of the language model's loss beside the task's", low=0)
    epochs: int = setting(3, "Fine-tuning", "times that all training texts are read", low=1)
    warmup_share: float = advanced(
        0.002, "Fine-tuning", "share of the steps over which the learning rate rises from 0", low=0, below=1
    )
    head_dropout: float = advanced(0.1, "Fine-tuning", "dropout on the input of the last linear layer", low=0, below=1)
    pretrained: bool = advanced(
        True, "Fine-tuning", "start from the trained weights; if not, from random ones, for comparison"
    )

    def __post_init__(self):
        check_settings(self)


class TextClassification(Task):
    """Prediction of the class of a text.

    data        texts with their labels, to train on and to test on (dev)
    shape       of the pre-trained model: sequences are cut to its block_size, start and extract follow its vocabulary
    rows        texts of a step
    seed        decides the order of the texts

    Raises UserError for texts that the tokenizer cannot encode.
    """

    name = "classification"
    metrics = {"matthews": True, "accuracy": True, "val_loss": False}  # noqa: RUF012 - read only
    fixed_shapes = False  # a batch is as long as its longest text

    def __init__(
        self,
        config: ClassificationConfig,
        data: LabelledTask,
        tokenizer: Tokenizer,
        shape: GPTConfig,
        rows: int = 32,
        seed: int = 1,
    ):
        self.config, self.data, self.rows, self.seed = config, data, rows, seed
        tokens = TaskTokens.after(shape.vocab_size)
        self.sequences, self.dev_sequences = (
            sequences_of(part.texts, tokenizer, tokens, shape.block_size) for part in (data.train, data.dev)
        )
        self._epoch: tuple[int, list[np.ndarray]] = (-1, [])  # the last one that was shuffled

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.sequences) // self.rows)

    def batch(self, step):
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = epoch, self._shuffled(epoch + 1)
        which = self._epoch[1][number]
        batch = gpt1_inputs.pad([self.sequences[i] for i in which])
        return batch.ids, batch.last, self.data.train.labels[which]

    def loss(self, model, ids, last, labels) -> Loss:
        total, task, language = model.loss(ids, last, labels, self.config.lm_weight)
        return Loss(total, {"task": task} | ({} if language is None else {"lm": language}))

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        labels, scores = self.data.dev.labels, scores_of(model, self.dev_sequences, progress)
        predicted = scores.argmax(axis=1)
        loss = cross_entropy(labels, scores)
        return {"matthews": matthews(labels, predicted), "accuracy": accuracy(labels, predicted), "val_loss": loss}

    def probe(self):
        count = len(self.dev_sequences)
        which = np.linspace(0, count - 1, min(_EVAL_BATCH, count)).astype(int)
        batch = gpt1_inputs.pad([self.dev_sequences[i] for i in which])
        return batch.ids, batch.last, self.data.dev.labels[which]

    def answers(self, model, ids, last, labels):
        return model(ids, last), labels

    def sample(self, model) -> Iterator[str]:
        """Some of the dev texts: the predicted class, the right one, the text."""
        classes, dev = self.data.classes, self.data.dev
        scores = scores_of(model, self.dev_sequences[:_SAMPLE])
        for best, label, text in zip(scores.argmax(axis=1), dev.labels, dev.texts, strict=False):
            yield f"{classes[best]}\t{classes[label]}\t{text}\n"

    def facts(self, model):
        if self.config.lm_weight:
            return {}  # the loss is a weighted sum, which has no baseline
        return {"choices": len(self.data.classes)} | text_facts(self.data.train.labels)

    def settings(self):
        return dataclasses.asdict(self.config) | {"classes": list(self.data.classes)}

    def _shuffled(self, epoch: int) -> list[np.ndarray]:
        """The indices of all training texts in the order of this epoch (1, 2, ...), in batches of texts of similar
        length: a batch is padded to its longest text, and in batches of random texts half would be padding."""
        rng, size = np.random.default_rng([self.seed, epoch]), self.rows
        order = rng.permutation(len(self.sequences))
        batches = []
        for pool in np.split(order, range(_POOL * size, len(order), _POOL * size)):
            by_length = sorted(pool, key=lambda i: len(self.sequences[i]))
            batches += [np.array(by_length[first : first + size]) for first in range(0, len(pool), size)]
        return [batches[i] for i in rng.permutation(len(batches))]


def new_classifier(body: GPT, classes: int, config: ClassificationConfig, seed: int) -> GPT1ForClassification:
    """The classifier before its first step; `body` is not changed.

    Raises UserError if the body's block_size leaves no room for a text between start and extract.
    """
    if body.config.block_size < TaskTokens.COUNT:
        raise UserError(f"the model's block_size is {body.config.block_size}: start, a text and extract take 3 places")
    random_stream.manual_seed(seed)
    if not config.pretrained:
        body = type(body)(body.config)
    return GPT1ForClassification(with_new_tokens(body, TaskTokens.COUNT), classes, config.head_dropout)


def sequences_of(texts: list[str], tokenizer: Tokenizer, tokens: TaskTokens, block_size: int) -> list[np.ndarray]:
    """The ids of "start text extract" for each text, cut to block_size."""
    return [gpt1_inputs.classification(tokenizer.encode(text), tokens, block_size) for text in texts]


def scores_of(model: GPT1ForClassification, sequences: list[np.ndarray], progress: Progress = no_progress):
    """(N, classes): the model's scores for each sequence, without dropout."""
    scores = []
    with model.evaluating(), no_grad():
        for first in range(0, len(sequences), _EVAL_BATCH):
            batch = gpt1_inputs.pad(sequences[first : first + _EVAL_BATCH])
            scores.append(to_numpy(model(*batch).data))  # (B, classes)
            progress(min(first + _EVAL_BATCH, len(sequences)), len(sequences))
    return np.concatenate(scores)
