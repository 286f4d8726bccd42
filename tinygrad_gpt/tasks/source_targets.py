"""A translator's task on plain arrays: sources (N, Ts) -> targets (N, Tt) of token ids, for a model with an encoder and
a decoder.

Both are padded on the right with the model's pad_token_id; the target has no start token, and its sentences end with
the model's eos_token_id if it is to learn to end. The loss is the mean cross-entropy per token of the target, in nats,
in training with label smoothing if that is asked for; of each step, and of held-out data, the accuracy is measured too:
the share of these tokens that had the highest score.
"""

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.tasks.arrays import Pairs
from tinygrad_gpt.tasks.baselines import text_facts
from tinygrad_gpt.tasks.task import Loss

_PROBE_ROWS = 32  # of held-out data for the health check


def is_translator(model) -> bool:
    """Whether a model has what this task asks of it: encode, decode, and a config that says with which id it starts."""
    has_both = hasattr(model, "encode") and hasattr(model, "decode")
    return has_both and hasattr(getattr(model, "config", None), "decoder_start_token_id")


class SourceTargets(Pairs):
    """Pairs of a source and its target. The arguments are those of Pairs, and the model's config."""

    name = "source-targets"
    left_to_right = 1  # the labels: at each place, the model reads those before it

    def __init__(self, x, y, val, config, **others):
        self.config = config
        val = None if val is None else (val[0], self._labels(val[1]))
        super().__init__(x, self._labels(y), val, **others)
        self.unit, self.fixed_shapes = "tokens", False

    def _labels(self, y: np.ndarray) -> np.ndarray:
        """Targets (N, Tt), with IGNORE_INDEX at padding."""
        return np.where(y == self.config.pad_token_id, IGNORE_INDEX, y)

    def _read(self, x: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(the source's mask, what the decoder reads, the labels): the target shifted right by one."""
        pad, start = self.config.pad_token_id, self.config.decoder_start_token_id
        before = np.concatenate([np.full((len(labels), 1), start), labels[:, :-1]], axis=1)
        return (x != pad).astype(np.int64), np.where(before == IGNORE_INDEX, pad, before), labels

    def batch(self, step):
        x, labels = super().batch(step)
        return x, labels, np.full(len(labels), _tokens(labels).mean())

    def count(self, x, labels, *_) -> int:
        return int((x != self.config.pad_token_id).sum() + _tokens(labels).sum())

    def loss(self, model, x, labels, tokens_per_row) -> Loss:
        mask, before, labels = self._read(x, labels)
        total, accuracy = model.loss(x, mask, before, labels, **self._smoothing(model))
        if len(labels) != self.rows:  # a part of a step: the parts' means, by their rows, are to be the mean of all
            share = float(_tokens(labels).mean() / tokens_per_row[0])
            total, accuracy = total * share, accuracy * share
        return Loss(total, scores={"accuracy": accuracy})

    def _scored(self, model, x, labels):
        logits, labels = self.answers(model, x, labels)
        return F.cross_entropy(logits, labels), logits

    def answers(self, model, x, labels, *_):
        mask, before, labels = self._read(x, labels)
        return model.logits(model.features(x, before, mask)), labels

    def probe(self):
        x, labels = self.val or (self.x, self.y)
        which = np.linspace(0, len(x) - 1, min(_PROBE_ROWS, len(x))).astype(int)
        return x[which], labels[which], _tokens(labels[which])  # so that its first row alone has its own mean loss

    def facts(self, model):
        return {"choices": self.config.vocab_size} | text_facts(self.y[self.y != IGNORE_INDEX])


def _tokens(labels: np.ndarray) -> np.ndarray:
    """labels (B, T) -> how many tokens of each row count (B,)."""
    return (labels != IGNORE_INDEX).sum(axis=1)
