"""How fast is fine-tuning a GPT-2 at its full length, and measuring it, here and in Hugging Face transformers?

    python benchmarks/finetune.py                        # 124M random weights; table in benchmarks/results/
    python benchmarks/finetune.py --model ../gpt2 --batch 4 --rounds 2

A training step is a batch of windows of T tokens: forward, backward, the gradient clipped to norm 1, AdamW at run_clm's
settings; without recomputation and with it (theirs: gradient_checkpointing_enable). Evaluation is the perplexity of
GPT-2's paper: windows of T tokens, each T/2 after the one before it, of which the second half is scored.

Both sides load the same folder, and must give the same loss, to 1e-4, before anything is timed, and at every step that
is: all steps read the same batch, so the loss of each shows what the updates before it did. Each side lives in a
process of its own (harness.py), a new one for each task; they run in turns, ratios are medians over rounds. Peak memory
is the most that a side's process has resident during the timed steps.
"""

import argparse
import contextlib
import statistics
import tempfile
from pathlib import Path

import harness
import numpy as np
import reporting

OURS, THEIRS = "tinygrad_gpt", "transformers"
SCRIPTS = {OURS: "ours_finetune.py", THEIRS: "hf_finetune.py"}
LR, BETAS, EPS, WEIGHT_DECAY, MAX_NORM = 5e-5, (0.9, 0.999), 1e-8, 0.0, 1.0  # of transformers' Trainer
WINDOWS = 3  # of an evaluation
TOLERANCE = 1e-4  # of a loss


def batch(batch_size: int, block_size: int, vocab_size: int) -> np.ndarray:
    """Random ids, (B, T + 1): what a step reads, and the token after each."""
    return np.random.default_rng(0).integers(vocab_size, size=(batch_size, block_size + 1))


def stream(block_size: int, vocab_size: int) -> np.ndarray:
    """Random ids that make WINDOWS windows with a stride of half a window."""
    return np.random.default_rng(1).integers(vocab_size, size=block_size + (WINDOWS - 1) * (block_size // 2))


def random_gpt2(folder: Path) -> None:
    """Write a folder with GPT-2's smallest shape and random weights."""
    from tinygrad_gpt import random_stream
    from tinygrad_gpt.models import GPT2, GPTConfig

    random_stream.manual_seed(0)
    shape = GPTConfig(vocab_size=50257, block_size=1024, n_layer=12, n_head=12, n_embd=768)
    GPT2(shape).save_pretrained(folder)


def tasks(block_size: int, batch_size: int) -> list[tuple[str, dict]]:
    """(name, request) of everything that is timed."""
    size = f"B={batch_size}, T={block_size}"
    return [
        (f"training step, {size}", {"call": "train", "batch_size": batch_size, "recompute": False}),
        (f"training step, {size}, recomputing", {"call": "train", "batch_size": batch_size, "recompute": True}),
        (f"evaluation, T={block_size}, stride {block_size // 2}", {"call": "evaluate"}),
    ]


def validate(answers: dict[str, list[dict]], name: str) -> None:
    """Raise SystemExit unless both sides gave the same losses."""
    losses = {side: [answer["loss"] for answer in given] for side, given in answers.items()}
    if not np.allclose(losses[OURS], losses[THEIRS], atol=TOLERANCE, rtol=0):
        raise SystemExit(f"{THEIRS} computes another {name} than {OURS}: losses {losses}")


def measure(folder: Path, block_size: int, request: dict, name: str, rounds: int) -> dict:
    """Time one task on both sides. Returns the record that goes into the JSON file."""
    with contextlib.ExitStack() as closing:
        sides = []
        for side, script in SCRIPTS.items():
            sides.append(harness.Peer(side, harness.PEERS / script, str(folder), str(block_size)))
            closing.callback(sides[-1].close)
        validate(harness.in_turns(sides, 1, request, warm_up=False), name)
        for side in sides:
            side.ask("forget_peak")
        answers = harness.in_turns(sides, rounds, request, warm_up=False)
        peaks = {side.name: side.ask("peak") for side in sides}
    validate(answers, name)
    seconds = {side: [answer["seconds"] for answer in given] for side, given in answers.items()}
    tokens = answers[OURS][0]["tokens"]
    return {
        "task": name,
        "rounds": rounds,
        "tokens": tokens,
        "tokens_per_s": {side: tokens / statistics.median(s) for side, s in seconds.items()},
        "peak_mib": peaks,
        "ratio": harness.median_ratio(seconds[THEIRS], seconds[OURS]),
    }


def table(records: list[dict]) -> str:
    """The records as Markdown: tokens per second and peak MiB of both sides, and how many times as fast ours is."""
    header = ["tokens/s (peak MiB)", OURS, THEIRS, "times as fast"]
    rows = []
    for r in records:
        cells = [f"{r['tokens_per_s'][side]:.0f} ({r['peak_mib'][side]:.0f})" for side in (OURS, THEIRS)]
        rows.append([r["task"], *cells, f"{r['ratio']:.2f}"])
    return harness.markdown_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="Hugging Face folder of a GPT-2 (default: 124M, random)")
    parser.add_argument("--batch", type=int, default=1, help="windows of a training step (default 1)")
    parser.add_argument("--T", type=int, default=1024, help="tokens of a window (default 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds after one that compares (default 3)")
    options = harness.parse(parser)

    facts = harness.machine("numpy", "numba", "torch", "transformers")
    print(harness.one_line(facts))
    records = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.model
        if folder is None:
            folder = Path(temporary) / "gpt2"
            random_gpt2(folder)
        for name, request in tasks(options.T, options.batch):
            records.append(measure(folder, options.T, request, name, options.rounds))
            print(f"\n{table(records[-1:])}", flush=True)
    suffix = "" if options.batch == 1 else f"_batch{options.batch}"
    reporting.write_results(f"finetune{suffix}", facts, records, table, ("task",), options.json)


if __name__ == "__main__":
    main()
