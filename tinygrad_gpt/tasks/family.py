"""A family of models, as the tasks of fine-tuning know it: how it reads an example, and its models with a head.

    reads      examples -> sequences of ids -> arrays for a batch           gpt1_family.py, bert_family.py, ...
    models     the trained body, and a new layer for the task on it
    defaults   the settings of its paper

Data flows one way: an example becomes a sequence, sequences become the model's input arrays, and the model's scores and
the right answers become a loss. The tasks (fine_tuning.py and its neighbours) know the examples and the scores; all
that depends on the model's family stands in here.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.data.tokenizers import Tokenizer
from tinygrad_gpt.data.windows import Window
from tinygrad_gpt.nn import Module
from tinygrad_gpt.tasks.task import Arrays, Loss

# Of all papers of fine-tuning. (Norms and biases do not decay; see optim.)
_DEFAULTS = dict(batch_size=32, min_lr=0.0, schedule="linear", beta2=0.999, weight_decay=0.01)


class Words(NamedTuple):
    """A sequence made of words.

    places  (W,) int64: where the model's score for each word is read; NO_PLACE for a word that was cut off
    """

    sequence: Any
    places: np.ndarray


class Passage(NamedTuple):
    """A question and a text, as a sequence for each window of the text.

    sequences  one for each window
    windows    their pieces of the text (data/windows.py)
    before     places of a sequence before its first piece of the text
    offsets    (N, 2) int64: the characters of each piece of the text
    """

    sequences: list
    windows: list[Window]
    before: int
    offsets: np.ndarray


class Family(ABC):
    """What the tasks need to know of a family of models, with a tokenizer and a shape.

    name     in config.json of a run
    called   "a BERT"
    inputs   how many arrays the model reads
    lm_weights  λ, the weights of a language model's loss beside the task's, that are tried by default; () for a family
             without a language model
    defaults  of settings, by name, where they differ from those of the dataclasses that hold them

    shape    the config of the model that reads, with the tokens that fine-tuning adds to its vocabulary
    head_dropout  on what the head reads, in training
    longest  tokens of a sequence at most, special ones included; longer examples are cut, or read in windows
    """

    name: str
    called: str
    inputs: int
    lm_weights: tuple[float, ...] = ()
    defaults: dict[str, Any] = _DEFAULTS

    shape: Any
    head_dropout: float

    def __init__(self, tokenizer: Tokenizer, longest: int):
        self.tokenizer, self.longest = tokenizer, longest

    @classmethod
    @abstractmethod
    def saved(
        cls,
        tokenizer: Tokenizer,
        shape: dict[str, Any],
        vocab_size: int,
        head_dropout: float | None,
        max_length: int | None,
    ) -> "Family":
        """That of a fine-tuned model, from what config.json of its run holds.

        Raises UserError or TypeError for a shape that no model has, and what `__init__` raises.
        """

    @staticmethod
    @abstractmethod
    def body(source, seed: int) -> Module:
        """What fine-tuning begins with: the trained model, without a head, of a TrainedModel (train/loadable.py).
        `seed` decides the weights that its files lack. Raises UserError for damaged files."""

    @property
    def has_language_model(self) -> bool:
        """Whether the loss may include that of a language model."""
        return bool(self.lm_weights)

    # --- what it reads -------------------------------------------------------------------------------------------

    @abstractmethod
    def text(self, text: str, other: str | None = None) -> Any:
        """A text, or a text and another one that belongs after it, as a sequence. Raises UserError for a text that the
        tokenizer cannot encode, as all of these methods do."""

    def symmetric(self, a: str, b: str) -> Any:
        """Two texts without an order, as a sequence."""
        return self.text(a, b)

    @abstractmethod
    def words(self, words: Sequence[str]) -> Words:
        """The words of a text."""

    @abstractmethod
    def passage(self, question: str, text: str) -> Passage:
        """A question and the text that answers it, in windows if it is long. Raises UserError for a family that cannot
        mark answers."""

    @abstractmethod
    def length(self, sequence) -> int:
        """Tokens of a sequence."""

    def is_cut(self, sequence, *texts: str) -> bool:
        """Whether a sequence of `text` or `symmetric` leaves out a part of its texts."""
        if self.length(sequence) < self.longest:
            return False
        return sum(len(self.tokenizer.encode(text)) for text in texts) + len(texts) + 1 > self.longest  # [CLS] a [SEP]

    @abstractmethod
    def pad(self, sequences: Sequence) -> Arrays:
        """Sequences side by side, as the arrays that the model reads. The first one is of ids, (B, ..., T)."""

    # --- the models with a head ----------------------------------------------------------------------------------

    @abstractmethod
    def model_for(self, kind: str, outputs: int) -> Module:
        """A model for this kind of task, with new weights; `outputs` of its head. Raises UserError for a kind that the
        family cannot learn."""

    @abstractmethod
    def first_model(self, body: Module, kind: str, outputs: int, pretrained: bool, seed: int) -> Module:
        """The model before its first step; `body` is not changed. Raises UserError as `model_for` does.

        pretrained  whether it begins with the weights of `body`; if not, with random ones
        seed        decides the weights that are drawn
        """

    @abstractmethod
    def scores(self, model: Module, *inputs) -> Tensor:
        """(B, K): the scores of a text. For words (B, T, K); for spans (B, T, 2), of the start and of the end."""

    @abstractmethod
    def loss(self, model: Module, inputs: Arrays, targets: Arrays, lm_weight: float) -> Loss:
        """The mean loss of a batch with these right answers.

        targets  classes: (B,) integers. Similarity: (B,) floats. Words: (B, T) integers, -100 where nothing is asked.
                 Spans: (B,) and (B,) integers, the places of the first and the last token
        """
