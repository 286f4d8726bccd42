"""How fast are the models that look by distance and remember, Transformer-XL and XLNet, here and in Hugging Face
transformers?

    python benchmarks/relative.py                                           # table in benchmarks/results/
    python benchmarks/relative.py --transfo-xl-python other/bin/python      # with Transformer-XL's peer
    python benchmarks/relative.py --rounds 40 --only XLNet --threads 1

Both models have 4 layers, 256 channels, 4 heads, 1,024 channels inside the feed-forward and a vocabulary of 8,192. They
read 8 texts, 128 tokens at a time, with a memory of the 128 before.

A training step is forward, backward, the gradient clipped to norm 1, AdamW; dropout is 0.1. An evaluation is the loss
without gradients. The memory that each returns goes into the next.

    Transformer-XL  TransfoXLLMHeadModel, its labels the tokens themselves. The last transformers whose class runs is
                    4.35.2: --transfo-xl-python names the Python of an environment that has it. Without that, this
                    model is left out
    XLNet           XLNetLMHeadModel, two streams: 21 tokens of each text (about 85 of 512, as its authors) are told in
                    a drawn order, of two segments

Both sides load one folder, are called alike, and must give the same losses before anything is timed, to 1e-4: three
updates without dropout, and three evaluations, the first without memory. Each side lives in a process of its own
(harness.py). They take many short turns, so that other work on the machine meets all of them. Times are medians over
rounds, "times as fast" is the median of the ratios round by round. Beside it stands the same of the processor time of
all threads together, which other work hardly changes (but threads that wait for each other may use it up).
--threads 1 makes both agree.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import harness
import numpy as np
import reporting

OURS, THEIRS = "tinygrad_gpt", "transformers"
XL, XLNET = "Transformer-XL", "XLNet"
CLASSES = {XL: "TransfoXLLMHeadModel", XLNET: "XLNetLMHeadModel"}
SHAPE = dict(vocab_size=8192, d_model=256, n_layer=4, n_head=4, d_inner=1024, mem_len=128)
B, T = 8, 128
TOLD = 85 / 512  # of XLNet's tokens
ADAMW = dict(lr=1e-4, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01)
MAX_NORM, DROPOUT = 1.0, 0.1
TOLERANCE = 1e-4


# --- the sides ---------------------------------------------------------------------------------------------------


def write_random(folder: Path, model: str, shape: dict) -> None:
    """Write a Hugging Face folder with random weights, large enough that all of them show in the losses."""
    from tinygrad_gpt import models, random_stream

    random_stream.manual_seed(0)
    std = shape["d_model"] ** -0.5
    if model == XL:
        config = models.TransformerXLConfig(**shape, init_std=std)
    else:
        config = models.XLNetConfig(**shape, initializer_range=std, use_mems_train=True)
    getattr(models, CLASSES[model])(config).save_pretrained(folder)


def batches(model: str, batch: int, length: int, vocab_size: int) -> list[dict[str, np.ndarray]]:
    """Three segments of each text, one after the other, by the names of the model's arguments."""
    rng = np.random.default_rng(0)
    return [segment(model, rng.integers(vocab_size, size=(batch, length)), rng) for _ in range(3)]


def segment(model: str, ids: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """ids (B, T), and what else the model asks for."""
    if model == XL:
        return dict(input_ids=ids, labels=ids)
    b, t = ids.shape
    order = rng.permuted(np.tile(np.arange(t), (b, 1)), axis=1)  # when each place is told
    places = np.argsort(order, axis=1)[:, t - round(TOLD * t) :]  # (B, N): the last ones to be told
    return dict(
        input_ids=ids,
        perm_mask=(order[:, np.newaxis] >= order[:, :, np.newaxis]).astype(np.float32),  # 1: i may not see j
        target_mapping=(places[:, :, np.newaxis] == np.arange(t)).astype(np.float32),
        token_type_ids=(np.arange(t) >= rng.integers(1, t, size=(b, 1))).astype(np.int64),
        labels=np.take_along_axis(ids, places, axis=1),
    )


def requests(model: str, folder: Path, start: Callable[..., Callable]) -> dict[str, Callable]:
    """What a side answers.

    start(dropout=p), start(dropout=None)  loads the model, to train it or to evaluate it; returns the function that
                                           does so with a segment, behind those before, and returns its loss

    Asked to `check`, a side returns three losses instead of a time.
    """
    vocab_size = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]

    @cache
    def running(training: bool, batch: int, length: int):
        return start(dropout=DROPOUT if training else None), itertools.cycle(batches(model, batch, length, vocab_size))

    def answer(training: bool, batch: int, length: int, check: bool = False) -> list[float] | dict[str, float]:
        if check:
            step = start(dropout=0.0 if training else None)
            return [step(given) for given in batches(model, batch, length, vocab_size)]
        step, turns = running(training, batch, length)
        given = next(turns)
        return harness.timed(lambda: step(given))

    peak = {"forget_peak": harness.forget_peak, "peak": harness.peak_mib}
    return {"train": partial(answer, True), "evaluate": partial(answer, False)} | peak


def start(side: str, model: str, folder: Path, python: str, threads: int | None) -> harness.Peer:
    """`python` runs transformers."""
    env = harness.on_threads(threads)
    if side == OURS:
        return harness.Peer(side, harness.PEERS / "ours_relative.py", str(folder), model, env=env)
    return harness.Peer(side, harness.PEERS / "hf_relative.py", str(folder), model, env=env, python=python)


# --- measuring ---------------------------------------------------------------------------------------------------


def tasks(models: list[str], batch: int = B, length: int = T, memory: int = SHAPE["mem_len"]) -> list[dict]:
    """What is timed: its name, the model's, and the request."""
    calls = {"training step": "train", "evaluation": "evaluate"}
    return [
        {
            "task": f"{what}, {model}, B={batch}, T={length}, memory {memory}",
            "model": model,
            "request": {"call": call, "batch": batch, "length": length},
        }
        for model in models
        for what, call in calls.items()
    ]


def measure(task: dict, folder: Path, python: str, rounds: int, threads: int | None = None) -> dict:
    """Compare, then time, one task on both sides; see harness.measure."""
    starts = [partial(start, side, task["model"], folder, python, threads) for side in (OURS, THEIRS)]
    return harness.measure(task["task"], starts, task["request"], rounds, TOLERANCE)


def table(records: list[dict]) -> str:
    """The records as Markdown."""
    header = ["ms (peak MiB)", OURS, THEIRS, "times as fast", "by processor time"]
    rows = []
    for r in records:
        cells = [f"{r['ms']['median'][side]:.1f} ({r['peak_mib'][side]:.0f})" for side in (OURS, THEIRS)]
        rows.append([r["task"], *cells, *[f"{r[kind]['ratio'][THEIRS]:.2f}" for kind in ("ms", "cpu_ms")]])
    return harness.with_loads(harness.markdown_table(header, rows), records)


def versions_in(python: str) -> str:
    """Of what Transformer-XL's peer runs on."""
    ask = "from importlib.metadata import version as v; print('transformers', v('transformers'), 'torch', v('torch'))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transfo-xl-python", help="the Python of an environment with transformers 4.35.2 and torch")
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds after one to warm up (default 20)")
    parser.add_argument("--threads", type=int, help="of every side (default: as many as there are cores)")
    parser.add_argument("--only", default="", help="those tasks only whose name has this in it")
    options = harness.parse(parser)

    facts, pythons = harness.machine_of(options.threads), {XL: options.transfo_xl_python, XLNET: sys.executable}
    if options.transfo_xl_python:
        facts[f"for {XL}"] = versions_in(options.transfo_xl_python)
    else:
        del pythons[XL]
        print(f"{XL} is left out: it needs --transfo-xl-python")
    print(harness.one_line(facts))
    records = []
    with tempfile.TemporaryDirectory() as temporary:
        for task in tasks(list(pythons)):
            if options.only in task["task"]:
                model = task["model"]
                folder = Path(temporary) / model
                write_random(folder, model, SHAPE)
                records.append(measure(task, folder, pythons[model], options.rounds, options.threads))
                print(f"\n{table(records[-1:])}", flush=True)
    suffix = "_one_thread" if options.threads == 1 else ""
    reporting.write_results(f"relative{suffix}", facts, records, table, ("task",), options.json)


if __name__ == "__main__":
    main()
