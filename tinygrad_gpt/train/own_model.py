"""A model of the user's own: `tinygrad-gpt train --model llama.py`. The file defines `Model`:

    from tinygrad_gpt.nn import Embedding, Linear, Module

    class Model(Module):
        def __init__(self, config):             # a GPTConfig: vocab_size, block_size, n_layer, n_head, n_embd, ...
            self.embedding = Embedding(config.vocab_size, config.n_embd)
            self.head = Linear(config.n_embd, config.vocab_size)

        def forward(self, ids):                 # integers (B, T), T from 1 to block_size
            return self.head(self.embedding(ids))   # logits (B, T, vocab_size): scores of the token after each

No position may look at later ones. The loss is the mean cross-entropy of the logits; a method `loss(ids, targets)`
replaces it. A GPT with other blocks is a model too: `class Model(GPT)`. `Model` may also be a function of the config.

A run keeps a copy of the file, and opens without the original. So the file may import what is installed, but no files
beside it. To open such a run is to run its own_model.py, and the files of new ops that --with made: do so
only where you trust who made it.
"""

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt import random_stream
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import default_dtype, to_numpy
from tinygrad_gpt.autograd import Tensor, no_grad
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.files.storage import replacing
from tinygrad_gpt.generate.session import DecodingSession
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.nn import Module
from tinygrad_gpt.nn.language_model import loss_of
from tinygrad_gpt.precision import using_matmul_precision
from tinygrad_gpt.train.user_files import UserFile, run_file

CONTRACT = "a class Model(Module) whose __init__ takes a GPTConfig and whose forward(ids) gives logits (B, T, V)"
_ROWS, _LENGTH = 2, 6  # tokens that a new model is tried on
_READ = (3, 1, 1, 1)  # of these, how many at a time, with a cache
_SAME = 2e-5  # logits that differ by less than this share of the largest are the same
_LISTED = 3  # parameters that a note names


class OwnModel:
    """A model's file, and the `Model` that it defines.

    name  of the file, as its author called it
    """

    def __init__(self, file: UserFile, name: str):
        self.file, self.name = file, name
        if not callable(getattr(file.module, "Model", None)):
            raise UserError(f"{file.path} defines no Model: expected {CONTRACT}")
        made = file.module.Model
        if isinstance(made, type) and not issubclass(made, Module):
            raise UserError(f"{file.path}: class Model is no Module: expected {CONTRACT}")

    @property
    def sha256(self) -> str:
        return self.file.sha256

    def record(self) -> dict[str, str]:
        """What config.json keeps."""
        return {"file": self.name, "sha256": self.sha256}

    def not_used(self, settings: Iterable[str]) -> list[str]:
        """Those of the GPTConfig's settings that the file never names. A GPT in it may use any of them; block_size is
        the window of training, too."""
        nodes = [vars(node) for node in ast.walk(ast.parse(self.file.source))]
        words = {word for node in nodes for word in node.values() if isinstance(word, str)}
        if "GPT" in words:
            return []
        return [name for name in settings if name not in words and name != "block_size"]

    def save(self, path: Path) -> None:
        """Write the file again, byte for byte."""
        with replacing(path) as file:
            file.write(self.file.source)

    def make(self, config: GPTConfig) -> Module:
        """A new model, in the run's dtype. Raises UserError if it is no Module."""
        self._check_takes(self.file.module.Model, "Model", config)
        model = self.file.module.Model(config)
        if not isinstance(model, Module):
            raise UserError(f"{self.name}: Model(config) gave {shown(model)}, which is no Module: expected {CONTRACT}")
        model.config = getattr(model, "config", config)
        if not isinstance(model.config, GPTConfig):
            raise UserError(
                f"{self.name}: Model has {shown(model.config)} as `config`, which should be the GPTConfig that it was "
                "made from: choose another name for it"
            )
        for method, given in (("forward", ("ids",)), ("loss", ("ids", "targets"))):
            if callable(getattr(model, method, None)):
                self._check_takes(getattr(model, method), method, *given)
        return model.to(default_dtype())

    def _check_takes(self, function: Callable, name: str, *given) -> None:
        """Raise UserError for a function of the file that cannot be called with these arguments."""
        with suppress(ValueError):  # for what has no signature
            signature = inspect.signature(function)
            try:
                signature.bind(*given)
            except TypeError as error:
                called = f"{name}({', '.join(x if isinstance(x, str) else 'config' for x in given)})"
                raise UserError(
                    f"{self.name}: {called} cannot be called, {name} takes {signature} ({error}): expected {CONTRACT}"
                ) from None


def load_own_model(path: str | Path) -> OwnModel:
    """The model in a file that the user names. Raises UserError for a file that is missing, is not valid Python or
    defines no Model; an exception of its own code passes through."""
    path = Path(path)
    return OwnModel(run_file(path, "model"), path.name)


def own_model_of(path: Path, written: dict[str, Any]) -> OwnModel | None:
    """The model that a run keeps at `path`; None if config.json, which says `written`, names none.

    Raises UserError if the file is missing, or is not the one that the run was started with.
    """
    record = written.get("own_model")
    if record is None:
        return None
    return OwnModel(run_file(path, "model", record["sha256"]), record["file"])


def check_same_model(record: dict[str, str] | None, own: OwnModel) -> None:
    """Raise UserError unless the file given to a resumed run is the one that it was started with."""
    if record is None:
        raise UserError(f"this run was not started with {own.file.path}: leave out --model, or start a new run")
    if own.sha256 != record["sha256"]:
        raise UserError(
            f"{own.file.path} has changed since this run was started with it: leave out --model to go on with the "
            "model as it was, or start a new run"
        )


# --- a first try of a new model --------------------------------------------------------------------------------------


def try_model(own: OwnModel, model: Module, config: GPTConfig) -> list[str]:
    """Try a new model, made from `config`, on a few tokens, and return notes about what looks odd.

    Raises UserError for logits of another shape, for logits that depend on later tokens or on what a run does not keep,
    and for methods of the model that contradict its forward. The random numbers are afterwards where they were; its
    gradients are empty.
    """
    name = own.name
    length = min(_LENGTH, config.block_size)
    tokens = np.random.default_rng(0).integers(config.vocab_size, size=(_ROWS, length + 1))
    ids, targets = tokens[:, :-1], tokens[:, 1:]
    with _leaving_no_trace(model):
        with no_grad():
            logits = _logits(name, model, ids)
            if not _same(_logits(name, model, ids), logits):
                raise UserError(
                    f"{name}: in evaluation mode, forward gives other logits each time: nothing random may happen then "
                    "(nn.Dropout sees to that; F.dropout takes training=self.training)"
                )
            _check_causal(name, model, ids, logits)
            _check_methods(name, model, ids, logits)
            _check_kept(name, model, _again(own, model, config), ids, logits)
        loss = loss_of(model, ids, targets)
        if not isinstance(loss, Tensor) or loss.size != 1:
            raise UserError(f"{name}: expected a loss that is a Tensor with one element, got {shown(loss)}")
        if not loss.requires_grad:
            raise UserError(f"{name}: the loss depends on no parameter: layers and Parameters belong into __init__")
        loss.backward()
        return _notes(name, model)


def _logits(name: str, model: Module, ids: np.ndarray) -> np.ndarray:
    """The logits (B, T, V), after a look at them."""
    logits, shape = model(ids), (*ids.shape, model.config.vocab_size)
    logits = getattr(logits, "logits", logits)  # those of a CausalLM
    if not isinstance(logits, Tensor) or logits.shape != shape:
        raise UserError(
            f"{name}: expected forward to return logits of shape (B, T, V) = {shape} for ids of shape {ids.shape}, "
            f"got {shown(logits)}"
        )
    return to_numpy(logits.data)


def _check_causal(name: str, model: Module, ids: np.ndarray, logits: np.ndarray) -> None:
    for t in range(1, ids.shape[1]):
        alone = _logits(name, model, ids[:, :t])
        if not _same(alone, logits[:, :t]):
            raise UserError(
                f"{name}: the logits of the first {t} tokens change when others follow: a position may look at itself "
                "and at earlier ones only (attention with causal=True)"
            )


def _check_methods(name: str, model: Module, ids: np.ndarray, logits: np.ndarray) -> None:
    """Raise UserError where reading piece by piece, as generation does, gives other logits than forward."""
    if hasattr(model, "next_logits") and not _same(to_numpy(model.next_logits(ids).data), logits[:, -1]):
        raise UserError(
            f"{name}: next_logits, which generation asks, gives other logits than forward: a GPT computes them in "
            "`features`, so change that one, or derive from Module"
        )
    session, end = DecodingSession(model, len(ids)), 0
    for new in _READ:  # a text's first tokens at once, as generation reads a prompt
        begin, end = end, min(end + new, ids.shape[1])
        if begin < end and not _same(session.read(ids[:, begin:end]), logits[:, end - 1]):
            raise UserError(
                f"{name}: with a cache, reading {end - begin} more after {begin} tokens gives other logits than the "
                "whole text: with `cache`, x holds the positions from cache.length on, and attention needs causal=True "
                "too; without a `cache` in its forward, a block is always right"
            )


def _again(own: OwnModel, model: Module, config: GPTConfig) -> Module:
    """A second model with the state of the first, as one that is opened later."""
    with random_stream.uninitialised():
        again = own.make(config)
    again.load_state_dict(model.state_dict())
    return again.eval()


def _check_kept(name: str, model: Module, again: Module, ids: np.ndarray, logits: np.ndarray) -> None:
    if not _same(_logits(name, again, ids), logits):
        raise UserError(
            f"{name}: made again, with the same Parameters, it gives other logits: what is random must be a Parameter, "
            "or a buffer (register_buffer), or a run does not keep it"
        )


def _notes(name: str, model: Module) -> list[str]:
    idle = [path for path, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if not idle:
        return []
    more = f" and {len(idle) - _LISTED} more" if len(idle) > _LISTED else ""
    return [f"{name}: the loss does not depend on {', '.join(idle[:_LISTED])}{more}: not used, so not trained"]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.abs(a - b).max() <= _SAME * max(np.abs(b).max(), 1e-3))


@contextmanager
def _leaving_no_trace(model: Module) -> Iterator[None]:
    """Inside this block, the model is in evaluation mode, and products are not rounded."""
    before = random_stream.random_state()
    try:
        with model.evaluating(), using_matmul_precision("float32"):
            yield
    finally:
        model.zero_grad()
        random_stream.set_random_state(before)
