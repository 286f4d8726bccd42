"""How good is the model: mean loss over text that it was not trained on."""

import math
from dataclasses import dataclass

import numpy as np

from tinygrad_gpt.autograd import no_grad
from tinygrad_gpt.data.batches import sequential_batches


@dataclass(frozen=True)
class Score:
    """loss    mean cross-entropy in nats per token
    tokens  how many tokens it is the mean of
    """

    loss: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """e^loss: as unsure as a fair choice among that many tokens."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def bits_per_byte(self, tokens: int, text_bytes: int) -> float:
        """The loss as bits per byte of a text with `tokens` tokens; comparable between tokenizers."""
        return self.loss / math.log(2) * tokens / text_bytes


def evaluate(
    model, tokens: np.ndarray, batch_size: int, limit: int | None = None, block_size: int | None = None
) -> Score:
    """The model's mean loss on a token stream, cut into neighbouring blocks.

    tokens      (N,) integers
    limit       about how many tokens to look at, spread evenly over the stream; None means all
    block_size  tokens in a block; by default the model's block_size

    Deterministic: no dropout, no random choice of blocks. Raises UserError for a stream shorter than one block.
    """
    block_size = block_size or model.config.block_size
    batches = None if limit is None else max(1, round(limit / (batch_size * block_size)))
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    try:
        with no_grad():
            for x, y in sequential_batches(tokens, batch_size, block_size, limit=batches):
                total += model.loss(x, y).item() * y.size  # blocks of equal length, but the last batch may have fewer
                count += y.size
    finally:
        model.train(was_training)
    return Score(total / count, count)
