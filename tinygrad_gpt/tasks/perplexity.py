"""The mean loss of a language model on a text that it was not trained on.

evaluate          in neighbouring blocks. Quick, but the first tokens of each block are predicted from little context
evaluate_sliding  in overlapping windows, so every token is predicted from much context, as for published perplexities
evaluate_streams  in neighbouring segments, by a model that remembers those before
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np

from tinygrad_gpt import functional as F
from tinygrad_gpt.array import to_numpy
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

    @property
    def bits(self) -> float:
        """The loss in bits per token."""
        return self.loss / math.log(2)

    def perplexity_per_word(self, tokens: int, words: int) -> float:
        """The perplexity of a text with `tokens` tokens for each of its words; comparable between tokenizers."""
        return Score(self.loss * tokens / words, words).perplexity

    def bits_per_byte(self, tokens: int, text_bytes: int) -> float:
        """The loss in bits per byte of a text with `tokens` tokens; comparable between tokenizers."""
        return self.bits * tokens / text_bytes


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


def evaluate_streams(
    model,
    tokens: np.ndarray,
    rows: int,
    window: int,
    limit: int | None = None,
    progress: Progress = no_progress,
) -> Score:
    """The mean loss on a token stream of a model with a memory, as TransformerXL is; see segment_losses.

    progress  called with (tokens scored so far, in all)
    """
    total, count, in_all = 0.0, 0, min(len(tokens) - 1, limit or len(tokens))
    for losses in segment_losses(model, tokens, rows, window, limit):
        total += float(losses.sum(dtype=np.float64))
        count += losses.size
        progress(min(count, in_all), in_all)
    return Score(total / count, count)


def segment_losses(model, tokens: np.ndarray, rows: int, window: int, limit: int | None = None) -> Iterator[np.ndarray]:
    """Yield the losses (B, T) of the next tokens of segment after segment, in nats, each read with the memory that
    those before have left. The last segment may be shorter.

    tokens  (N,) integers
    rows    the text is cut into so many streams, which are read side by side: 1 is exact, more are quicker, and their
            first tokens lack what stood before. Of a short text there are fewer; see streams_in
    window  T, tokens of a segment
    limit   about how many tokens to score, the first ones of each stream; None means all

    How much is remembered, the model says (mem_len); see `remembering`. A mean over few tokens of each segment without
    its memory is a larger loss: a figure means little without both lengths. Raises UserError for a text too short.
    """
    check_length(tokens, 1)
    rows = streams_in(tokens, rows, window)
    length = (len(tokens) - 1) // rows
    starts = np.arange(rows)[:, None] * length  # (B, 1)
    if limit is not None:
        length = min(length, max(1, round(limit / rows)))
    memory = None
    for first in range(0, length, window):
        places = starts + np.arange(first, min(first + window, length) + 1)  # (B, T + 1)
        ids = tokens[places].astype(np.int64)
        with model.evaluating(), no_grad():
            features, memory = model.read(ids[:, :-1], memory)
            losses = model.loss_of(features, ids[:, 1:], reduction="none")
        yield to_numpy(losses.data)


def streams_in(tokens: np.ndarray, rows: int, window: int) -> int:
    """How many streams a text is cut into that `rows` are asked of: fewer if one would have less than a segment."""
    return max(1, min(rows, (len(tokens) - 1) // window))


@contextmanager
def remembering(model, memory: int | None = None, clamp: int | None = None) -> Iterator[None]:
    """Inside this block, a model remembers so many positions, and tells distances beyond `clamp` apart no longer
    (below 1: all apart); None: as it is."""
    before = model.mem_len, model.clamp_len
    try:
        model.mem_len = before[0] if memory is None else memory
        model.clamp_len = before[1] if clamp is None else clamp
        yield
    finally:
        model.mem_len, model.clamp_len = before
