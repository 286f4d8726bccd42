"""The task of a language model with a memory: the next token, over streams of a text that each row reads in order.

Dai et al., "Transformer-XL: Attentive language models beyond a fixed-length context", 2019, section 3.2: a text is cut
into as many streams as a batch has rows, and a stream into segments. Step after step reads the streams' next segments,
with what the model remembers of those before.

x       (B, T)  a segment of each stream
y       (B, T)  the token after each: y[b, t] follows x[b, :t+1], and all earlier segments of the stream
stream  (B,)    which stream a row is of: `accumulate` cuts a batch into parts, and each finds its memory by it
fresh   (B,)    whether the streams begin here, and nothing is remembered
loss            mean cross-entropy of the model's logits with y, in nats per token

The batches follow from the seed and the step alone; the memory, from the steps before. It is part of a run's state.
"""

from dataclasses import dataclass

import numpy as np

from tinygrad_gpt.array import Array
from tinygrad_gpt.data.batches import check_length, stream_batch, stream_segments
from tinygrad_gpt.data.tokenizers import CharTokenizer
from tinygrad_gpt.progress import Progress, no_progress
from tinygrad_gpt.settings import advanced, setting
from tinygrad_gpt.tasks.next_token import NextToken, TextConfig
from tinygrad_gpt.tasks.perplexity import evaluate_streams, remembering
from tinygrad_gpt.tasks.task import Loss

GROUP = "Transformer-XL"
Memory = tuple[Array, ...]  # (B, M, C) of each layer


@dataclass(frozen=True)
class StreamConfig(TextConfig):
    """The text, and how it is read. Raises UserError for a value that is not allowed."""

    window: int = setting(64, "Data", "tokens of a segment", low=1)
    eval_window: int | None = advanced(
        None, GROUP, "tokens of a segment in evaluations; by default window", low=1, free=True, free_unless="patience"
    )
    eval_memory: int | None = advanced(
        None, GROUP, "memory in evaluations; by default memory", low=0, free=True, free_unless="patience"
    )


class Streams(NextToken):
    """Prediction of the next token of a text by a model with a memory.

    window      T, tokens of a segment
    batch_size  streams that go through the model at once; a step has `accumulate` times as many

    Raises UserError for a text too short for a segment in each stream, and as NextToken does.
    """

    name = "stream"
    fixed_shapes = False  # the memory grows at first, so a GPU could not repeat a step

    def __init__(self, config: StreamConfig, tokens, tokenizer, window, batch_size, accumulate=1, seed=1):
        super().__init__(config, tokens, tokenizer, window, batch_size, accumulate, seed)
        if isinstance(tokenizer, CharTokenizer):
            self.metrics = {"val_loss": False, "bits_per_character": False}
        self._memory: Memory | None = None  # of all streams, before the next step
        self._read: dict[int, Memory] = {}  # what this step's parts leave, by the first stream of each

    def check_lengths(self) -> None:
        stream_segments(self.tokens.train, self.rows, self.window)
        check_length(self.tokens.val, self.window, "validation text", "window")

    def batch(self, step):
        x, y, fresh = stream_batch(self.tokens.train, self.rows, self.window, self.seed, step)
        return x, y, np.arange(self.rows), np.full(self.rows, fresh)

    def loss(self, model, x, y, stream, fresh) -> Loss:
        memory = None
        if self._memory is not None and not fresh.any():
            memory = tuple(layer[stream[0] : stream[-1] + 1] for layer in self._memory)  # a part has neighbouring rows
        features, after = model.read(x, memory)
        if model.training:  # a health check leaves no trace
            self._read[int(stream[0])] = after
        return Loss(model.loss_of(features, y))

    def after_step(self) -> None:
        if self._read:
            parts = [after for _, after in sorted(self._read.items())]  # the streams in their order
            self._memory = tuple(np.concatenate(layers) for layers in zip(*parts, strict=True))
            self._read = {}

    def state(self) -> dict[str, Array]:
        return {f"memory.{i}": layer for i, layer in enumerate(self._memory or ())}

    def load_state(self, arrays: dict[str, Array], model, step: int) -> None:
        begun = model.new_memory(self.rows) if step > 0 else ()
        segments = stream_segments(self.tokens.train, self.rows, self.window)
        m = min(model.mem_len, self.window * ((step - 1) % segments + 1))  # what the epoch so far has left
        wanted = {f"memory.{i}": ((self.rows, m, a.shape[2]), a.dtype) for i, a in enumerate(begun)}
        found = {name: (a.shape, a.dtype) for name, a in arrays.items()}
        for name in sorted(wanted.keys() | found.keys()):
            if found.get(name) != wanted.get(name):
                expected, got = (_described(of.get(name)) for of in (wanted, found))
                raise ValueError(f"expected {expected} as {name} (B, M, C) after step {step}, got {got}")
        self._memory = tuple(arrays[name] for name in wanted) or None

    def evaluate(self, model, last: bool = False, progress: Progress = no_progress) -> dict[str, float]:
        config = self.config
        limit = None if last else config.eval_tokens
        with remembering(model, config.eval_memory):
            score = evaluate_streams(
                model, self.tokens.val, self.batch_size, config.eval_window or self.window, limit, progress
            )
        return {name: score.loss if name == "val_loss" else score.bits for name in self.metrics}

    def probe(self):
        """As NextToken's, each row the beginning of a stream."""
        x, y = super().probe()
        return x, y, np.arange(len(x)), np.full(len(x), True)

    def answers(self, model, x, y, stream, fresh):
        return super().answers(model, x, y)

    def data(self):
        length = self.window * stream_segments(self.tokens.train, self.rows, self.window)
        return f"{super().data()} in {self.rows} streams of {length:,}"

    def facts(self, model):
        """With what the evaluations' losses were measured, beside what NextToken says."""
        config = self.config
        memory = model.mem_len if config.eval_memory is None else config.eval_memory
        how = {"window": config.eval_window or self.window, "memory": memory, "clamp": model.clamp_len}
        return super().facts(model) | {"evaluated": how}


def _described(array: tuple[tuple[int, ...], np.dtype] | None) -> str:
    return "nothing" if array is None else f"{array[1].name} of shape {tuple(array[0])}"
