"""Tasks on plain arrays.

Pairs    x (N, ...) -> y (N, ...): any model, and any loss of its output and y
Windows  the next token of a stream of ids (N,): a language model

The loss of a batch, in this order: the function that the user gave, of (what the model returns, y); the model's own
`loss(x, y)`; for integers y, the mean cross-entropy of the model's scores (..., K) with the right ones y (...); for
floats y, the mean squared error.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import FLOATS, Array, to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.data.batches import check_length, random_batch, sequential_batches
from tinygrad_gpt.nn.language_model import logits_of
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.task import Arrays, Loss, Task

_PROBE_ROWS, _PROBE_TOKENS = 64, 512  # of held-out data for the health check

LossFunction = Callable[[Any, np.ndarray], Tensor]


class _ArrayTask(Task):
    """What the two have in common.

    like             an array of the model's: floats get its dtype and its device
    cross_entropy    whether that is the loss
    label_smoothing  of the cross-entropy, in training
    """

    def __init__(
        self,
        like: Array,
        loss: LossFunction | None,
        cross_entropy: bool,
        batch_size: int,
        rows: int,
        seed: int,
        label_smoothing: float,
    ):
        if label_smoothing and not cross_entropy:
            raise TypeError("fit: label_smoothing is of a cross-entropy, and the loss is another one: leave it out")
        self._like, self._given_loss, self._cross_entropy = like, loss, cross_entropy
        self.batch_size, self.rows, self.seed, self.label_smoothing = batch_size, rows, seed, label_smoothing

    def loss(self, model, x, y) -> Loss:
        return Loss(self._scored(model, x, y)[0])

    def _scored(self, model, x, y) -> tuple[Tensor, Tensor | None]:
        """(the mean loss, the model's scores where the loss is their cross-entropy with y)."""
        x, y = self._on_device(x), self._on_device(y)
        if self._given_loss is not None:
            return _checked(self._given_loss(model(x), y)), None
        if self._cross_entropy:
            scores = logits_of(model, x)
            if not isinstance(scores, Tensor):
                raise TypeError(
                    f"fit: expected a model that returns scores (..., K), a Tensor, for the cross-entropy with y, got "
                    f"{type(scores).__name__}: give a loss function of (output, y)"
                )
            if scores.shape in (y.shape, (*y.shape, 1)):
                raise ValueError(
                    f"fit: integers y ask for the cross-entropy of scores (..., K), and the model gives one number for "
                    f"each, {scores.shape}: use float y for the squared error, or a model with an output for each class"
                )
            return F.cross_entropy(scores, y, **self._smoothing(model)), scores
        if hasattr(model, "loss"):
            return _checked(model.loss(x, y)), None
        output = model(x)
        if getattr(output, "shape", None) != y.shape:
            raise ValueError(
                f"fit: expected a model whose output has the shape of y, {y.shape}, for the mean squared error, got "
                f"{shown(output)}: reshape one of them, or give a loss function of (output, y)"
            )
        difference = output - y
        return (difference * difference).mean(), None

    def _smoothing(self, model) -> dict[str, float]:
        """The cross-entropy's label_smoothing in training; {} for none."""
        return {"label_smoothing": self.label_smoothing} if self.label_smoothing and model.training else {}

    def _on_device(self, a: np.ndarray) -> Array:
        return np.asarray(a, like=self._like) if a.dtype in FLOATS else a

    def _held_out(self) -> Iterator[Arrays]:
        """The batches of the held-out data; none if there are none."""
        raise NotImplementedError

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        """The mean loss on all held-out data; with cross-entropy, the share of right answers too."""
        total, count, right, rows = 0.0, 0, 0, 0
        with model.evaluating(), no_grad():
            for x, y in self._held_out():
                rows += len(y)
                progress(rows, self._held_out_rows)
                targets = self._targets(y)
                if targets == 0:
                    continue
                loss, scores = self._scored(model, x, y)
                total, count = total + loss.item() * targets, count + targets
                if scores is not None:
                    right += int((to_numpy(scores.data).argmax(-1) == y).sum())
        if not count:
            return {}
        return {"val_loss": total / count} | ({"accuracy": right / count} if self._cross_entropy else {})

    def _targets(self, y: np.ndarray) -> int:
        """How many targets the mean loss is over; cross-entropy leaves out those of -100."""
        return int((y >= 0).sum()) if self._cross_entropy else len(y)

    def answers(self, model, x, y):
        return logits_of(model, self._on_device(x)), y

    def settings(self):
        return {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}


class Pairs(_ArrayTask):
    """x (N, ...) -> y (N, ...). Each row is read once in an epoch, in a new order each time; the last rows of an epoch,
    too few for a batch, are left out.

    x, y        arrays of floats, of the model's dtype, or of integers
    val         (x, y) of held-out data, or None
    like        an array of the model's
    loss        a function of (the model's output, y), or None
    own_loss    whether the model has a `loss` of its own
    batch_size  rows that go through the model at once; a step has `accumulate` times as many
    """

    name = "pairs"

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray,
        val: Arrays | None,
        like: Array,
        loss: LossFunction | None = None,
        own_loss: bool = False,
        batch_size: int = 32,
        accumulate: int = 1,
        seed: int = 1,
        label_smoothing: float = 0.0,
    ):
        cross_entropy = y.dtype.kind in "iu" and loss is None and not own_loss
        rows = min(accumulate * batch_size, len(x))
        super().__init__(like, loss, cross_entropy, batch_size, rows, seed, label_smoothing)
        self.x, self.y, self.val = x, y, val
        self.fixed_shapes = x.dtype.kind != "f" and y.dtype.kind != "f"  # what a GPU may record
        self.unit = "rows" if x.dtype.kind == "f" else "tokens"
        self._epoch: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))  # the last one that was shuffled

    def batch(self, step):
        epoch, number = divmod(step, len(self.x) // self.rows)
        if self._epoch[0] != epoch:
            self._epoch = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.x))
        which = self._epoch[1][number * self.rows : (number + 1) * self.rows]
        return self.x[which], self.y[which]

    def count(self, x, y) -> int:
        return len(x) if self.unit == "rows" else x.size

    @property
    def _held_out_rows(self) -> int:
        return len(self.val[0]) if self.val else 0

    def _held_out(self):
        x, y = self.val or (self.x[:0], self.y[:0])
        for first in range(0, len(x), self.batch_size):
            yield x[first : first + self.batch_size], y[first : first + self.batch_size]

    def probe(self):
        x, y = self.val or (self.x, self.y)
        if not self._cross_entropy or y.min() < 0:
            return None
        which = np.linspace(0, len(x) - 1, min(_PROBE_ROWS, len(x))).astype(int)
        return x[which], y[which]

    def facts(self, model):
        if not self._cross_entropy or self.y.min() < 0:
            return {}
        return {"choices": int(self.y.max()) + 1} | text_facts(self.y.reshape(-1))

    def settings(self):
        return super().settings() | {"rows": len(self.x), "sha256": _sha256(self.x, self.y)}


class Windows(_ArrayTask):
    """The token that follows, in windows of `window` tokens at random places of a stream.

    ids  (N,) integers
    val  (M,) integers of held-out data, or None

    The others are those of Pairs. Raises UserError for streams shorter than a window.
    """

    name = "windows"

    def __init__(
        self,
        ids: np.ndarray,
        val: np.ndarray | None,
        window: int,
        like: Array,
        loss: LossFunction | None = None,
        own_loss: bool = False,
        batch_size: int = 32,
        accumulate: int = 1,
        seed: int = 1,
        label_smoothing: float = 0.0,
    ):
        cross_entropy = loss is None and not own_loss
        super().__init__(like, loss, cross_entropy, batch_size, accumulate * batch_size, seed, label_smoothing)
        self.ids, self.val, self.window = ids, val, window
        for tokens, what in ((ids, "training data"), (val, "validation data")):
            if tokens is not None:
                check_length(tokens, window, what)

    def batch(self, step):
        return random_batch(self.ids, self.rows, self.window, self.seed, step)

    @property
    def _held_out_rows(self) -> int:
        return 0 if self.val is None else (len(self.val) - 1) // self.window

    def _held_out(self):
        if self.val is None:
            return iter(())
        return sequential_batches(self.val, self.batch_size, self.window)

    def probe(self):
        if self._given_loss is not None:
            return None
        tokens = self.ids if self.val is None else self.val
        return next(sequential_batches(tokens, max(1, _PROBE_TOKENS // self.window), self.window, limit=1))

    def facts(self, model):
        return {"choices": int(self.ids.max()) + 1} | text_facts(self.ids) if self._given_loss is None else {}

    def settings(self):
        return super().settings() | {"window": self.window, "tokens": len(self.ids), "sha256": _sha256(self.ids)}


def _checked(loss) -> Tensor:
    if not isinstance(loss, Tensor) or loss.size != 1:
        raise TypeError(f"fit: expected a loss that is a Tensor with one element, got {shown(loss)}: take its .mean()")
    return loss


def _sha256(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for a in arrays:
        digest.update(f"{a.dtype} {a.shape}".encode())
        digest.update(np.ascontiguousarray(a).data)
    return digest.hexdigest()
