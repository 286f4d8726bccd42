"""Fine-tuning a pre-trained GPT as a classifier (Radford et al., 2018, sections 3.2, 3.3 and 4.1).

    body + three new tokens + a linear head            models/gpt1_heads.py
    for each epoch, for each batch of the training texts in a new order:
        each text as  start text extract               data/gpt1_inputs.py
        L3 = L2 + λ L1                                 forward, backward
        clip, AdamW, lr up over 0.2 % of the steps and then down to 0 in a straight line
    accuracy and Matthews' correlation on the dev texts after each epoch

The defaults are the paper's, and the gradient's limit and Adam's other settings those of the code published with it.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_gpt import array, random_stream
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data import gpt1_inputs
from tinygrad_gpt.data.classification import ClassificationTask
from tinygrad_gpt.data.gpt1_inputs import TaskTokens
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.devices import NAMES as DEVICES
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPT
from tinygrad_gpt.models.gpt1_heads import GPT1ForClassification, with_new_tokens
from tinygrad_gpt.optim import AdamW, clip_scale, grad_norm, warmup_linear
from tinygrad_gpt.settings import check_settings, setting
from tinygrad_gpt.tasks.scores import accuracy, matthews

_EVAL_BATCH = 64
_POOL = 16  # batches whose texts are sorted by length together


@dataclass(frozen=True)
class FinetuneConfig:
    """How to fine-tune. Raises UserError for a value that cannot be."""

    epochs: int = setting(3, "Fine-tuning", "how often all training texts are read", low=1)
    batch_size: int = setting(32, "Fine-tuning", "texts per step", low=1)
    lr: float = setting(6.25e-5, "Fine-tuning", "learning rate after the warm-up", above=0)
    warmup_share: float = setting(
        0.002, "Fine-tuning", "part of the steps over which the learning rate rises from 0", low=0, below=1
    )
    weight_decay: float = setting(0.01, "Fine-tuning", "AdamW: decay of matrices towards zero, times lr", low=0)
    grad_clip: float = setting(1.0, "Fine-tuning", "greatest norm of the gradient; 0 for no limit", low=0)
    head_dropout: float = setting(0.1, "Fine-tuning", "dropout on what the linear layer reads", low=0, below=1)
    seed: int = setting(1, "Fine-tuning", "of new weights, order of the texts, dropout", low=0, below=2**63)
    device: str = setting(
        "cpu", "Fine-tuning", "where to compute; auto: on the GPU where one can be used", choices=DEVICES
    )
    pretrained: bool = setting(
        True,
        "Fine-tuning",
        "whether to start from the trained weights; without: random ones, to see what they are worth",
    )

    def __post_init__(self):
        check_settings(self)


class FineTuner:
    """One model in fine-tuning.

    model   the classifier
    step    how many updates have been made, of `steps`
    """

    def __init__(
        self, body: GPT, tokenizer: Tokenizer, task: ClassificationTask, config: FinetuneConfig, lm_weight: float
    ):
        """See `new_classifier`."""
        self.config, self.lm_weight = config, lm_weight
        self.model = new_classifier(body, task, config).to(config.device)
        self.labels = task.train.labels
        self.sequences = sequences_of(task.train.texts, tokenizer, self.model)
        self.dev_labels = task.dev.labels
        self.dev_sequences = sequences_of(task.dev.texts, tokenizer, self.model)
        self.steps = config.epochs * -(-len(self.labels) // config.batch_size)
        self.step = 0
        self.optimizer = AdamW(self.model.named_parameters(), lr=config.lr, weight_decay=config.weight_decay)

    def run(self, on_step: Callable[[int, float], None], stop: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Train; a row of metrics after each epoch, and where `stop` said so, the last of a part of one.

        step, epoch                       where it stands
        train_loss, task_loss, lm_loss    means of L3, L2 and L1 since the last row; lm_loss only where λ is not 0
        lr, grad_norm                     of the last step
        accuracy, matthews                on the dev texts
        seconds                           since the beginning
        """
        began = time.perf_counter()
        self.model.train()
        for epoch in range(1, self.config.epochs + 1):
            losses = []
            for which in self._batches(epoch):
                losses.append(self.train_step(which))
                on_step(self.step, losses[-1]["train_loss"])
                if stop():
                    break
            row = {"step": self.step, "epoch": epoch}
            row |= {name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]}
            row |= {"lr": self.optimizer.lr, "grad_norm": losses[-1]["grad_norm"]}
            yield row | self.evaluate() | {"seconds": round(time.perf_counter() - began, 1)}
            if stop():
                return

    def train_step(self, which: np.ndarray) -> dict[str, float]:
        """One update on the training texts with these numbers. Raises UserError, with the weights as they were, where
        the loss or the gradient's norm is not finite."""
        batch = gpt1_inputs.pad([self.sequences[i] for i in which])
        loss = self.model.loss(batch.ids, batch.last, self.labels[which], self.lm_weight)
        loss.total.backward()
        norm = grad_norm(self.optimizer.parameters())
        values = {"train_loss": loss.total.item(), "task_loss": loss.task.item(), "grad_norm": norm}
        if loss.language is not None:
            values["lm_loss"] = loss.language.item()
        if not (math.isfinite(values["train_loss"]) and math.isfinite(norm)):
            raise UserError(
                f"step {self.step + 1} of fine-tuning: the loss is {values['train_loss']:.4g} and the gradient's norm "
                f"{norm:.4g}; a smaller --lr may help"
            )
        plan = dict(lr=self.config.lr, warmup=round(self.config.warmup_share * self.steps), total=self.steps)
        self.optimizer.lr = warmup_linear(self.step, **plan)
        self.optimizer.step(clip_scale(norm, self.config.grad_clip or math.inf))
        self.optimizer.zero_grad()
        self.step += 1
        return values

    def evaluate(self) -> dict[str, float]:
        """accuracy and matthews on the dev texts (see scores.py)."""
        predicted = scores_of(self.model, self.dev_sequences).argmax(axis=1)
        return {"accuracy": accuracy(self.dev_labels, predicted), "matthews": matthews(self.dev_labels, predicted)}

    def _batches(self, epoch: int) -> list[np.ndarray]:
        """The numbers of all training texts, in a new order, cut into batches of texts of like length: a batch is
        padded to its longest, and half of it would be padding if chance alone put the texts together."""
        rng, size = np.random.default_rng([self.config.seed, epoch]), self.config.batch_size
        order = rng.permutation(len(self.labels))
        batches = []
        for pool in np.split(order, range(_POOL * size, len(order), _POOL * size)):
            by_length = sorted(pool, key=lambda i: len(self.sequences[i]))
            batches += [np.array(by_length[first : first + size]) for first in range(0, len(pool), size)]
        return [batches[i] for i in rng.permutation(len(batches))]


def new_classifier(body: GPT, task: ClassificationTask, config: FinetuneConfig) -> GPT1ForClassification:
    """The classifier before its first step; `body` itself stays as it is.

    Raises UserError for a body whose sequences have no room for a text between start and extract.
    """
    if body.config.block_size < TaskTokens.COUNT:
        raise UserError(f"the model's block_size is {body.config.block_size}: start, a text and extract take 3 places")
    random_stream.manual_seed(config.seed)
    if not config.pretrained:
        body = type(body)(body.config)
    return GPT1ForClassification(with_new_tokens(body, TaskTokens.COUNT), len(task.classes), config.head_dropout)


def sequences_of(texts: list[str], tokenizer: Tokenizer, model: GPT1ForClassification) -> list[np.ndarray]:
    """start text extract, as ids, of each text; cut to the model's block_size."""
    config = model.body.config
    tokens = TaskTokens.after(config.vocab_size - TaskTokens.COUNT)
    return [gpt1_inputs.classification(tokenizer.encode(text), tokens, config.block_size) for text in texts]


def scores_of(model: GPT1ForClassification, sequences: list[np.ndarray]) -> np.ndarray:
    """(N, classes): the model's scores for each sequence, without dropout."""
    scores = []
    with model.evaluating(), no_grad():
        for first in range(0, len(sequences), _EVAL_BATCH):
            batch = gpt1_inputs.pad(sequences[first : first + _EVAL_BATCH])
            scores.append(array.to_numpy(model(*batch).data))  # (B, classes)
    return np.concatenate(scores)
