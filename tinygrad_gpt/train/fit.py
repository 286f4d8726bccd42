"""`fit`: train a model on arrays of one's own.

    from tinygrad_gpt.train import fit

    history = fit(model, (x, y), steps=500, batch_size=32, lr=1e-3, val=(x_val, y_val))
    history[-1]["val_loss"]

`log` is called with each row of metrics, a dictionary of numbers. So TensorBoard and W&B are a line each:

    log=lambda row: [writer.add_scalar(name, value, row["step"]) for name, value in row.items()]
    log=lambda row: wandb.log(row, step=row["step"])

A callback is called after each step with the Trainer: its `step`, `model`, `losses` (those since the last row) and
`row` (the last row of metrics). One that returns True, or raises StopTraining, ends the training:

    callbacks=[lambda trainer: trainer.row.get("accuracy", 0) > 0.99]
"""

import dataclasses
import difflib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_gpt import memory
from tinygrad_gpt.arguments import number, shown
from tinygrad_gpt.array import Array, place
from tinygrad_gpt.autograd import Tensor
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.xlnet import XLNet
from tinygrad_gpt.models.xlnet_heads import XLNetPreTrainedModel
from tinygrad_gpt.nn import Module
from tinygrad_gpt.ops.cross_entropy import IGNORE_INDEX
from tinygrad_gpt.settings import kept_settings, made_from
from tinygrad_gpt.tasks.arrays import LossFunction, Pairs, Windows
from tinygrad_gpt.tasks.source_targets import SourceTargets, is_translator
from tinygrad_gpt.tasks.task import Task
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.non_finite import NotFinite
from tinygrad_gpt.train.reporter import Reporter, describe, make_reporter
from tinygrad_gpt.train.run import Run, begin, reopen
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.trainer import Callback, Log, Trainer, as_functions

_SETTINGS = [f.name for f in dataclasses.fields(TrainConfig) if f.name != "dtype"]  # that is the model's


def fit(
    model: Module,
    data,
    *,
    steps: int = 1000,
    batch_size: int = 32,
    lr: float = 1e-3,
    val=None,
    loss: LossFunction | None = None,
    label_smoothing: float = 0.0,
    block_size: int | None = None,
    callbacks: Callback | Sequence[Callback] = (),
    log: Log | Sequence[Log] = (),
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    **settings,
) -> list[dict[str, Any]]:
    """Train `model` on arrays, and return the rows of metrics: step, train_loss, val_loss, ... (train/metrics.py).

    data        (x, y), arrays with as many rows, or one row of token ids, whose next token is learned. For a model that
                translates, such as a Transformer, (source, target): ids padded on the right with its pad_token_id, or
                the target with -100, each target with its end and without a start. Rows of metrics then hold
                train_accuracy
    steps       updates; each reads batch_size rows
    val         held-out data of the same form; evaluated ten times, and at the end
    loss        a function of (what the model returns, y) that returns a Tensor with one element. None: the model's own
                `loss(x, y)` if it has one; for integers y the cross-entropy of the model's scores (..., K) with them;
                for floats y the mean squared error
    label_smoothing  of a cross-entropy, in training alone: the share of each target that is spread over all choices
    block_size  tokens of a window, for token ids; None: the model's. A model with a memory reads each window without it
    callbacks   called with the Trainer after each step; one that returns True, or raises StopTraining (of
                tinygrad_gpt.train), ends the training
    log         called with each row of metrics, a dictionary of numbers
    out         a run folder to make, with checkpoints, metrics.jsonl and loss.png; None: nothing is written
    resume      whether to go on from the checkpoint in `out`, if there is a run, to the same weights as without a stop;
                the rows returned include those made before
    progress    whether to show a bar in a terminal, and lines elsewhere
    settings    those of TrainConfig: weight_decay, warmup, schedule, grad_clip, seed, eval_interval, accumulate, ...

    Arrays of floats take the model's dtype. The optimiser is AdamW; warmup is a tenth of the steps but at most 100,
    min_lr a tenth of lr, weight_decay 0.01. Frozen Parameters (requires_grad = False) stay as they are. The first
    Ctrl-C ends the training after the step. Afterwards the model is in evaluation mode.

    Raises TypeError and ValueError for arguments that do not go together, UserError for a loss that is not finite.
    """
    if not isinstance(model, Module) or next(model.parameters(), None) is None:
        raise TypeError(f"fit: expected a Module with Parameters as model, got {shown(model)}")
    unknown = [name for name in settings if name not in _SETTINGS]
    if unknown:
        near = difflib.get_close_matches(unknown[0], _SETTINGS, n=1)
        advice = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(_SETTINGS)}"
        if unknown[0] in ("epochs", "epoch", "n_epochs", "num_epochs"):
            advice = "give steps, which are epochs * rows / batch_size"
        raise TypeError(f"fit: there is no setting {unknown[0]}: {advice}")
    like = next(model.parameters()).data
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("fit: all Parameters of the model are frozen (requires_grad = False): nothing can be learned")
    for argument, value, kind in (("steps", steps, int), ("batch_size", batch_size, int), ("lr", lr, int | float)):
        if not isinstance(value, kind | np.generic):
            what = "an integer" if kind is int else "a number"
            raise TypeError(f"fit: expected {what} as {argument}, got {shown(value)}")
    every = max(1, steps // 10) if val is not None else 0
    plan = {"warmup": min(100, steps // 10), "min_lr": lr / 10, "weight_decay": 0.01, "eval_interval": every}
    plan |= {"device": place(like), "dtype": like.dtype.name} | settings
    config = made_from(TrainConfig, plan | {"steps": steps, "batch_size": batch_size, "lr": lr})
    model.to(config.device)
    smoothing = number("fit", "label_smoothing", label_smoothing, low=0, below=1)
    task = _task(model, data, val, loss, block_size, config, smoothing)
    memory.keep_freed_memory()
    history: list[dict[str, Any]] = []
    hooks = [history.append, *as_functions("log", log)]
    reporter = make_reporter() if progress else Reporter(io.StringIO())
    warn = reporter.warn
    reporter.warn = lambda text: warn(_in_python(text))
    how = {"log": hooks, "callbacks": as_functions("callbacks", callbacks)}
    if resume and out is None:
        raise TypeError("fit: resume=True goes on with the run in `out`: give its folder")
    folder = None if out is None else RunFolder(Path(out))
    if resume and folder is not None and folder.config.exists():
        run = _reopened(folder, task, model, config)
        before = [row for row in read_metrics(folder.metrics) if row["step"] <= run.trainer.step]
        history += [{name: value for name, value in row.items() if name != "health"} for row in before]
    else:
        run = None if folder is None else begin(task, model, config, folder.path)
    trainer = run.trainer if run else Trainer(config, model, task)
    try:
        (run.train if run else trainer.run)(reporter, **how)
    except NotFinite as error:
        raise NotFinite(_in_python(str(error))) from None
    if history and "val_loss" not in history[-1]:
        reporter.note(describe(history[-1], {}, steps, task.unit, smoothed=bool(smoothing)))
    if trainer.step < steps:
        reporter.note(f"stopped after {trainer.step} of {steps} steps")
    model.eval()
    return history


def _reopened(folder: RunFolder, task: Task, model: Module, config: TrainConfig) -> Run:
    """The run in a folder, where its checkpoint left it. Raises UserError for other arrays or settings than its own."""
    lock = folder.hold()
    written = folder.read_config(task.name, f"one of {task.name}")
    if written["task"] != {"name": task.name} | task.settings():
        raise UserError(f"fit: the run {folder.path} learns other data: give the same, or another folder as out")
    kept_settings(written["train"], dataclasses.asdict(config), {f.name: f for f in dataclasses.fields(TrainConfig)})
    run = reopen(folder, task, model, config)
    del lock  # `run` holds it now
    return run


def _in_python(advice: str) -> str:
    """Advice that names options of the command, --grad-clip 1, as arguments of `fit`: grad_clip=1."""

    def argument(option: re.Match) -> str:
        name, value = option[1].replace("-", "_"), option[2]
        return f"{name}={value}" if value else name

    return re.sub(r"--([a-z][a-z0-9-]*)(?: (\d(?:[\d.e-]*\d)?))?", argument, advice)


def _task(model: Module, data, val, loss, block_size: int | None, config: TrainConfig, label_smoothing: float) -> Task:
    """The task of these data."""
    if loss is not None and not callable(loss):
        raise TypeError(f"fit: expected a function of (output, y) as loss, got {shown(loss)}")
    like = next(model.parameters()).data
    common: dict[str, Any] = dict(
        like=like,
        loss=loss,
        own_loss=hasattr(model, "loss"),
        label_smoothing=label_smoothing,
        batch_size=config.batch_size,
        accumulate=config.accumulate,
        seed=config.seed,
    )
    if isinstance(data, tuple | list) and len(data) == 2 and not _is_number(data[0]):
        if block_size is not None:
            raise TypeError("fit: block_size is for a row of token ids: (x, y) has its own")
        x, y = _pair("data", data, like)
        held_out = None if val is None else _pair("val", val, like)
        if loss is None and is_translator(model):
            x, y = _checked_ids((x, y), model.config)
            held_out = _checked_ids(held_out, model.config) if held_out else None
            return SourceTargets(x, y, held_out, model.config, **common | {"own_loss": False})
        return Pairs(x, y, held_out, **common)
    if isinstance(data, tuple | list) and not all(map(_is_number, data)):
        raise TypeError(f"fit: expected (x, y), or one row of token ids, as data, got {len(data)} arrays")
    ids = _ids("data", data)
    if loss is None and isinstance(model, XLNet | XLNetPreTrainedModel):
        raise TypeError(
            "fit: an XLNet learns tokens in orders that are drawn, not each from those before: train it with "
            "`tinygrad-gpt train` and --preset xlnet-small, or give a loss of (output, y)"
        )
    shape = getattr(model, "config", None)
    window = block_size or getattr(shape, "block_size", None)
    if window is None:
        why = "this model reads any length" if hasattr(shape, "block_size") else "the model has no config with one"
        raise TypeError(f"fit: give block_size, the tokens of a window: {why}")
    return Windows(ids, None if val is None else _ids("val", val), window, **common)


def _pair(name: str, pair, like: Array) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) as NumPy arrays, floats in the dtype of `like`."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"fit: expected (x, y) as {name}, got {shown(pair)}")
    x, y = [_array(f"{part} of {name}", a, like) for part, a in zip("xy", pair, strict=True)]
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise ValueError(f"fit: expected x and y of {name} with as many rows, got shapes {x.shape} and {y.shape}")
    return x, y


def _is_number(part) -> bool:
    """Whether this is one number, and not a row of them, or several."""
    return not isinstance(part, Sequence) and np.ndim(part) == 0


def _checked_ids(pair: tuple[np.ndarray, np.ndarray], config) -> tuple[np.ndarray, np.ndarray]:
    """(source, target) of a translator with this config, both with its padding. Raises ValueError for what is none, and
    for a config whose sentences end with padding, which the loss leaves out: no model would learn to end."""
    pad = config.pad_token_id
    if pad == config.eos_token_id:
        raise ValueError(
            f"fit: expected a config whose eos_token_id is another than its pad_token_id, got {pad} for both: "
            "give padding an id of its own"
        )
    source, target = pair
    target = np.where(target == IGNORE_INDEX, pad, target)
    for side, ids in (("source", source), ("target", target)):
        if ids.ndim != 2 or ids.dtype.kind not in "iu" or not ids.shape[1]:
            raise ValueError(f"fit: expected token ids (N, T) as {side}, got {shown(ids)}")
        if ids.min() < 0 or ids.max() >= config.vocab_size:
            raise ValueError(
                f"fit: expected ids 0 .. {config.vocab_size - 1} as {side}, got {ids.min()} .. {ids.max()}"
            )
        if (ids[:, 0] == pad).any() or ((ids[:, :-1] == pad) & (ids[:, 1:] != pad)).any():
            raise ValueError(
                f"fit: expected a token or more in each row of {side}, and padding ({pad}) after them alone"
            )
    return source, target


def _ids(name: str, ids) -> np.ndarray:
    ids = _as_numpy(name, ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise TypeError(f"fit: expected (x, y), or one row of token ids, as {name}, got {shown(ids)}")
    if ids.size and ids.min() < 0:
        raise ValueError(f"fit: expected token ids of 0 or more as {name}, got {ids.min()}")
    return ids


def _as_numpy(name: str, a) -> np.ndarray:
    try:
        return np.asarray(a.numpy() if isinstance(a, Tensor) else a)
    except ValueError:  # NumPy speaks of an inhomogeneous shape
        raise ValueError(
            f"fit: expected rows of one length as {name}, got unequal ones: pad the shorter ones"
        ) from None


def _array(name: str, a, like: Array) -> np.ndarray:
    a = _as_numpy(name, a)
    if a.dtype.kind == "f":
        a = a.astype(like.dtype, copy=False)
        if bad := int(np.sum(~np.isfinite(a))):
            raise ValueError(f"fit: {name} holds values that are not finite ({bad} of {a.size}): replace or drop them")
    elif a.dtype.kind not in "iu":
        raise TypeError(f"fit: expected numbers as {name}, got {shown(a)}: convert with .astype()")
    return a
