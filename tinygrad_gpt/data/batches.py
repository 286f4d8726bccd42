"""Batches: windows of a token stream. The target of each token is the next one.

    stream   t0 t1 t2 t3 t4 ...
    x        t0 t1 t2 t3          (B, T) int64
    y           t1 t2 t3 t4       (B, T) int64: y[b, t] is what the model should expect after x[b, :t+1]

Training reads random windows, so that neighbouring batches have little in common. Or it reads blocks that lie side by
side, each once per epoch, as is usual for a few passes over a text. Or, for a model that remembers, each row of the
batches is a stream of its own, read in order. Evaluation reads the stream once, from end to end.
No window has padding: the texts of a corpus follow one another in one stream. A window has T + 1 tokens, so a stream
must have at least as many.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from tinygrad_gpt.errors import UserError


def random_batch(
    tokens: np.ndarray, batch_size: int, block_size: int, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Batch number `step` of the training run with this seed: (x, y), each (batch_size, block_size) int64.

    tokens  (N,) of any integer dtype; may be memory-mapped: only the windows are read

    The windows begin at independent, uniformly drawn places, and may overlap. The batch depends on the arguments alone,
    not on batches drawn before, so a resumed run reads exactly what an uninterrupted one would.

    Raises UserError for a stream shorter than block_size + 1.
    """
    check_length(tokens, block_size)
    rng = np.random.default_rng([seed, step])
    starts = rng.integers(0, len(tokens) - block_size, size=batch_size)
    return _windows(tokens, starts, block_size)


def epoch_batch(
    tokens: np.ndarray, batch_size: int, block_size: int, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Batch number `step` of blocks that lie side by side: (x, y), each (batch_size, block_size) int64.

    Each pass over the stream (an epoch) reads every block once, in a new order. One batch may hold the end of an epoch
    and the start of the next. The rest after the last whole block is not read. The arguments alone decide.
    """
    check_length(tokens, block_size)
    blocks = (len(tokens) - 1) // block_size
    places = range(step * batch_size, (step + 1) * batch_size)  # in the sequence of all epochs' blocks
    starts = [_shuffled(blocks, seed, place // blocks)[place % blocks] * block_size for place in places]
    return _windows(tokens, np.array(starts), block_size)


ORDERS = {"random": random_batch, "epochs": epoch_batch}  # the orders in which a training text may be read


@lru_cache(maxsize=2)  # a batch is part of one epoch or of two
def _shuffled(blocks: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the blocks in an epoch, (blocks,) int64."""
    return np.random.default_rng([seed, epoch]).permutation(blocks)


def stream_batch(
    tokens: np.ndarray, rows: int, window: int, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Batch number `step` of streams side by side: (x, y, fresh), x and y (rows, window) int64.

        step        0          1          2
        row 0   t0 .. t3   t4 .. t7   t8 .. t11      each row goes on where it stopped,
        row 1   t12 ..     t16 ..     t20 ..         until the streams end together: an epoch
        fresh     True       False      False        whether they begin: nothing comes before

    Each epoch begins at another place, so that segments end elsewhere; what is left before and after the streams, less
    than rows · window + window tokens, is not read in it. The arguments alone decide.

    Raises UserError for a text too short for a segment in each row.
    """
    segments = stream_segments(tokens, rows, window)
    epoch, segment = divmod(step, segments)
    length = segments * window  # of each stream
    first = np.random.default_rng([seed, epoch]).integers(0, len(tokens) - rows * length)
    starts = first + np.arange(rows) * length + segment * window
    return *_windows(tokens, starts, window), segment == 0


def stream_segments(tokens: np.ndarray, rows: int, window: int) -> int:
    """How many segments of `window` tokens each of `rows` streams has: the steps of an epoch.

    Raises UserError for a text too short for one.
    """
    segments = (len(tokens) - window) // (rows * window)  # with up to a window to spare, which moves them
    if segments < 1:
        raise UserError(
            f"the training text has {len(tokens)} tokens: too few for {rows} stream{'s' * (rows > 1)} of it with a "
            f"window of {window} each: take a smaller window, fewer rows (batch_size) or a longer text"
        )
    return segments


def sequential_batches(
    tokens: np.ndarray, batch_size: int, block_size: int, limit: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The stream cut into neighbouring blocks, each predicted once: pairs (x, y), each (B, block_size) int64.

    B is batch_size, or less in the last batch. The rest after the last whole block (fewer than block_size targets) is
    not read. With `limit`, there are at most that many batches, and their blocks are spread evenly over the stream.

    Raises UserError for a stream shorter than block_size + 1, at the call and not at the first batch.
    """
    check_length(tokens, block_size)
    blocks = np.arange((len(tokens) - 1) // block_size)
    if limit is not None and limit * batch_size < len(blocks):
        wanted = limit * batch_size
        blocks = np.arange(wanted) * len(blocks) // wanted
    return (
        _windows(tokens, blocks[first : first + batch_size] * block_size, block_size)
        for first in range(0, len(blocks), batch_size)
    )


def check_length(tokens: np.ndarray, block_size: int, what: str = "text", setting: str = "block_size") -> None:
    """Raise UserError unless `tokens` holds at least one window. The message names the text, and the setting that says
    how long a window is."""
    if len(tokens) > block_size:
        return
    has = f"the {what} has {len(tokens)} token{'s' * (len(tokens) != 1)}"
    if block_size == 1:
        raise UserError(f"{has}: nothing follows it: use a longer text")
    raise UserError(
        f"{has}, but {setting} {block_size} needs at least {block_size + 1}: use a longer text or a smaller {setting}"
    )


def _windows(tokens: np.ndarray, starts: np.ndarray, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    places = starts[:, None] + np.arange(block_size + 1)  # (B,) -> (B, T + 1)
    window = np.asarray(tokens)[places].astype(np.int64)
    return np.ascontiguousarray(window[:, :-1]), np.ascontiguousarray(window[:, 1:])
