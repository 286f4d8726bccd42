"""The mean loss of a language model on a text that it was not trained on.

evaluate          in neighbouring blocks. Quick, but the first tokens of each block are predicted from little context
evaluate_sliding  in overlapping windows, so every token is predicted from much context, as for published perplexities
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.batches import check_length, sequential_batches
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.nn.language_model import logits_of, loss_of
from tinygrad_gpt.progress import Progress, no_progress


@dataclass(frozen=True)
class Score:
    """loss    mean cross-entropy in nats per token
    tokens  number of tokens in the mean
    """

    loss: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """e^loss: the model is as unsure as in a fair choice among this many tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def perplexity_per_word(self, tokens: int, words: int) -> float:
        """The perplexity of a text with `tokens` tokens for each of its words; comparable between tokenizers."""
        return Score(self.loss * tokens / words, words).perplexity

    def bits_per_byte(self, tokens: int, text_bytes: int) -> float:
        """The loss in bits per byte of a text with `tokens` tokens; comparable between tokenizers."""
        return self.loss / math.log(2) * tokens / text_bytes


def evaluate(
    model,
    tokens: np.ndarray,
    batch_size: int,
    limit: int | None = None,
    block_size: int | None = None,
    progress: Progress = no_progress,
) -> Score:
    """The model's mean loss on a token stream, cut into neighbouring blocks.

    tokens      (N,) integers
    limit       about how many tokens to score, spread evenly over the stream; None means all
    block_size  tokens in a block; by default the model's block_size

    Deterministic: no dropout, no random choice of blocks. Raises UserError for a stream shorter than one block.
    """
    block_size = block_size or model.config.block_size
    batches = None if limit is None else max(1, round(limit / (batch_size * block_size)))
    in_all = min(len(tokens) - 1, (batches or len(tokens)) * batch_size * block_size)
    total, count = 0.0, 0
    with model.evaluating(), no_grad():
        for x, y in sequential_batches(tokens, batch_size, block_size, limit=batches):
            total += loss_of(model, x, y).item() * y.size  # the last batch may have fewer blocks
            count += y.size
            progress(count, in_all)
    return Score(total / count, count)


class Window(NamedTuple):
    """The model reads tokens[begin:end], and predicts tokens[first:end]: begin < first < end."""

    begin: int
    end: int
    first: int


def sliding_windows(length: int, block_size: int, stride: int) -> Iterator[Window]:
    """Windows of `block_size` tokens, each `stride` tokens after the previous one; the last one may be shorter.

    Each token of the stream except the first is predicted once, in the first window that contains it. There it follows
    at least block_size - stride tokens (in the first window: all tokens before it).
    """
    first = 1
    for begin in range(0, length, stride):
        end = min(begin + block_size, length)
        yield Window(begin, end, first)
        first = end
        if end == length:
            return


def evaluate_sliding(
    model, tokens: np.ndarray, block_size: int, stride: int, batch_size: int = 1, progress: Progress = no_progress
) -> Score:
    """The model's mean loss on a token stream, in overlapping windows (see sliding_windows).

    The windows are those of https://huggingface.co/docs/transformers/perplexity, which computes GPT-2's published
    perplexities. (That page takes the mean over windows; this one is over tokens.)

    tokens      (N,) integers, N >= 2
    batch_size  windows that go through the model at once

    Raises UserError for a stride that leaves a token without context, and for a stream that is too short.
    """
    if not 1 <= stride < block_size:
        raise UserError(
            f"the stride should be at least 1 and less than the block size, which is {block_size}, not {stride}: "
            "without a stride, blocks do not overlap"
        )
    check_length(tokens, 1)
    total, count = 0.0, 0
    with model.evaluating(), no_grad():
        for windows in _alike(sliding_windows(len(tokens), block_size, stride), batch_size):
            ids = np.stack([tokens[w.begin : w.end] for w in windows]).astype(np.int64)  # (B, T)
            first = windows[0].first - windows[0].begin
            logits = logits_of(model, ids[:, :-1], first - 1)  # position t predicts token t + 1: (B, predicted, V)
            targets = ids[:, first:]
            total += F.cross_entropy(logits, targets, reduction="sum").item()
            count += targets.size
            progress(count, len(tokens) - 1)
    return Score(total / count, count)


def _alike(windows: Iterator[Window], most: int) -> Iterator[list[Window]]:
    """Groups of at most `most` neighbouring windows that have the same length and predict as many tokens."""
    for _, group in groupby(windows, key=lambda w: (w.end - w.begin, w.end - w.first)):
        while batch := list(islice(group, most)):
            yield batch
