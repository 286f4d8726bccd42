"""`tinygrad-gpt bench`: how fast this machine trains, in less than a minute.

The folder `benchmarks` of the repository compares with other frameworks.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np
import typer

from tinygrad_gpt.cli.inspecting import facts, versions_on
from tinygrad_gpt.data import CharTokenizer, TokenSet
from tinygrad_gpt.devices import device
from tinygrad_gpt.kernels import compiling, registry
from tinygrad_gpt.memory import keep_freed_memory
from tinygrad_gpt.models.gpt import GPT, count_parameters
from tinygrad_gpt.random_stream import normal
from tinygrad_gpt.tasks.next_token import NextToken
from tinygrad_gpt.train.reporter import COMPILING, thousands
from tinygrad_gpt.train.text_settings import resolve
from tinygrad_gpt.train.trainer import Trainer

SECONDS = 3.0  # for each number
CHARACTERS = 65  # of tiny Shakespeare
ADVICE = "The environment variable NUMBA_NUM_THREADS sets the number of threads."


def bench(
    preset: Annotated[
        str, typer.Option(help="recipe to time a training step of; see `tinygrad-gpt presets`")
    ] = "nanogpt-char-cpu",
):
    """Measure how fast this machine trains a GPT, multiplies matrices, and attends."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    settings = resolve(preset)
    console = Console(highlight=False)
    keep_freed_memory()
    with compiling.watched_by(lambda: console.print(COMPILING)):
        table = Table(show_header=False, box=None)
        for name, value in facts("tinygrad-gpt", "numpy", "numba").items():
            table.add_row(name, escape(value))
        table.add_row("kernels", _by_version(versions_on(device("cpu"))))
        console.print(table)
        table = Table("what", "size", "milliseconds", "speed")
        measured = [training_step(settings), *beside_other_work(settings), matrix_product(), attention()]
        for what, size, ms, speed in measured:
            table.add_row(what, size, f"{ms:,.2f}", speed)
        console.print(table)
    console.print(ADVICE)


def median_ms(function: Callable[[], object], seconds: float | None = None) -> float:
    """Median milliseconds of a call of `function`: two calls to warm up, then calls for this long (default SECONDS)."""
    function()
    function()
    times, end = [], time.perf_counter() + (SECONDS if seconds is None else seconds)
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def training_step(settings) -> tuple[str, str, float, str]:
    """What is measured, its size, milliseconds and speed: the trainer's own step, on random characters."""
    vocabulary = settings.task.vocab if settings.task.tokenizer == "bpe" else CHARACTERS
    config, train = settings.model_config(vocabulary), settings.train
    stream = np.random.default_rng(0).integers(vocabulary, size=100_000).astype(np.uint16)
    tokens = TokenSet(stream, stream, len(stream), len(stream))
    task = NextToken(settings.task, tokens, CharTokenizer("\n"), settings.window, train.batch_size, train.accumulate)
    ms = median_ms(Trainer(train, GPT(config), task, folder=None).train_step)
    size = f"{thousands(count_parameters(config))} parameters, {train.batch_size} x {settings.window} tokens"
    return "training step", size, ms, f"{1e3 * task.rows * settings.window / ms:,.0f} tokens/s"


def beside_other_work(settings) -> Iterator[tuple[str, str, float, str]]:
    """The training step while another process keeps a core busy, on all threads and on one fewer. Nothing where there
    is but one thread."""
    missing = registry.no_kernels("cpu")
    if missing:
        return
    from tinygrad_gpt.kernels.numba.machine import threads

    most = threads.count()
    for number in (most, most - 1) if most > 1 else ():
        with threads.limited_to(number), _a_busy_core():
            _, _, ms, speed = training_step(settings)
        yield "the same beside a busy core", f"on {number} thread{'s' if number > 1 else ''}", ms, speed


@contextmanager
def _a_busy_core() -> Iterator[None]:
    """Another process that computes for as long as the block takes."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def matrix_product() -> tuple[str, str, float, str]:
    """The product inside a linear layer, forward."""
    rows, c_in, c_out = 2048, 1024, 1024
    x, weight = normal((rows, c_in)), normal((c_out, c_in))
    version = registry.choose("linear", (x, weight), {})
    ms = median_ms(lambda: version.forward(x, weight))
    return "matrix product", f"({rows}, {c_in}) @ ({c_in}, {c_out})", ms, _gflops(2 * rows * c_in * c_out, ms)


def attention() -> tuple[str, str, float, str]:
    """Causal attention, forward and backward: six matrix products, of which causal attention needs half."""
    b, h, t, d = 16, 6, 256, 64
    q, k, v = normal((b, t, 3, h, d)).transpose(2, 0, 3, 1, 4)  # (3, B, H, T, D), as one linear layer makes them
    version = registry.choose("attention", (q, k, v), {"causal": True})
    dy = normal((b, t, h, d)).swapaxes(1, 2)

    def forward_and_backward():
        _, saved = version.forward(q, k, v, causal=True)
        return version.backward(dy, saved)

    ms = median_ms(forward_and_backward)
    return "attention and its gradient", f"{(b, h, t, d)} causal", ms, _gflops(6 * b * h * t * t * d, ms)


def _gflops(operations: float, ms: float) -> str:
    return f"{operations / ms / 1e6:,.0f} GFLOP/s"


def _by_version(versions) -> str:
    """The ops that each version runs; the reference, which is NumPy, runs all others."""
    ops: dict[str, list[str]] = {}
    for op, version, _ in versions:
        ops.setdefault(version, []).append(op)
    kernels = [f"{version}: {', '.join(names)}" for version, names in ops.items() if version != "reference"]
    return "; ".join([*kernels, "reference: the other ops" if kernels else "reference: all ops"])
