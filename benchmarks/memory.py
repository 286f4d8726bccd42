"""Does a memory help? The same weights of a Transformer-XL, measured with memories of several lengths.

    python benchmarks/memory.py                      # trains three seeds, then measures; tables in benchmarks/results/
    python benchmarks/memory.py --seeds 1 --steps 50 --json some.json                       # to try it
    python benchmarks/memory.py --train memory=128 --train clamp=192 --runs runs/memory-128

Each seed is a run of `tinygrad-gpt train shakespeare --preset transformer-xl-char --seed N` in a folder of its own. A
run that is there is used; one that was stopped goes on, so the whole may be stopped at any time, and started again.

Measured is the validation text as one stream, in segments of 64 characters: bits per character, and the loss at each
place of a segment. Without a memory, the first characters of each segment are predicted from little, and the loss falls
from there to the last. With one, each place has as much behind it. Before that, the model must compute the same with a
memory as without segments: the losses of a text in segments with a memory of all of it are those of one long reading.

Training and measuring use the same length of segments. A memory longer than that of training holds distances that the
model has never seen: `clamp` counts them as the longest one that it has.
"""

import argparse
import statistics
import time
from pathlib import Path

import harness
import numpy as np
import reporting

from tinygrad_gpt.errors import UserError
from tinygrad_gpt.settings import value_type
from tinygrad_gpt.tasks.perplexity import remembering, segment_losses
from tinygrad_gpt.train.any_run import SETTINGS, choose_settings, resume, start
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.run_folder import RunFolder

PRESET = "transformer-xl-char"
WINDOW = 64  # tokens of a segment
MEMORIES = (0, 64, 256)
GROUPS = ((1, 1), (2, 4), (5, 16), (17, 32), (33, 64))  # places of a segment, the first one 1
TOLERANCE = 1e-4


def trained(folder: Path, seed: int, given: dict):
    """The run of a seed in this folder: as it is there, or trained first."""
    if RunFolder(folder).config.exists():
        run = resume(folder, given=given)  # raises UserError for other settings
    else:
        run = start(choose_settings(PRESET, {"corpus": "shakespeare", "seed": seed} | given), folder)
    if run.trainer.ended:
        run.close()
    elif not run.train():
        raise SystemExit(f"{folder}: stopped at step {run.trainer.step}; the same command goes on")
    return run


def validate(model, tokens: np.ndarray) -> None:
    """Raise SystemExit unless a text in segments, all of it remembered, has the losses of one long reading."""
    text = tokens[: 4 * WINDOW + 1]
    with remembering(model, len(text)):
        segments = np.concatenate(list(segment_losses(model, text, 1, WINDOW)), axis=1)
        whole = np.concatenate(list(segment_losses(model, text, 1, len(text))), axis=1)
    if np.abs(segments - whole).max() > TOLERANCE:
        raise SystemExit("segments with a memory have other losses than one long reading: nothing is measured")


def measure(model, tokens: np.ndarray, memory: int) -> dict:
    """Bits per character of a text as one stream, and the mean loss in nats at each place of a whole segment."""
    with remembering(model, memory):
        losses = list(segment_losses(model, tokens, 1, WINDOW))
    everything = np.concatenate([part[0] for part in losses]).astype(np.float64)  # (N - 1,)
    whole = np.concatenate([part for part in losses if part.shape[1] == WINDOW])  # (segments, T)
    by_place = whole.mean(axis=0, dtype=np.float64)
    return {"bits_per_character": everything.mean() / np.log(2), "nats_by_place": by_place.tolist()}


def record(seed: int, run) -> dict:
    """All that is measured of a run."""
    model, tokens, rows = run.model.eval(), run.task.tokens.val, read_metrics(run.folder.metrics)
    validate(model, tokens)
    began = time.perf_counter()
    measured = {str(memory): measure(model, tokens, memory) for memory in MEMORIES}
    return {
        "seed": seed,
        "parameters": model.num_parameters(),
        "steps": run.trainer.step,
        "trained_with": {"window": run.task.window, "memory": run.model.mem_len, "clamp": run.model.clamp_len},
        "characters": len(tokens),
        "measured": measured,
        "seconds": {"training": rows[-1]["elapsed_s"], "measuring": round(time.perf_counter() - began, 1)},
    }


def table(records: list[dict]) -> str:
    """What is measured, over the seeds."""

    def spread(numbers: list[float]) -> str:
        deviation = f" ± {statistics.stdev(numbers):.4f}" if len(numbers) > 1 else ""
        return f"{statistics.mean(numbers):.4f}{deviation}"

    bits = {m: [r["measured"][str(m)]["bits_per_character"] for r in records] for m in MEMORIES}
    header = ["bits per character", *[f"seed {r['seed']}" for r in records], "mean ± s.d.", "less than without"]
    rows = []
    for memory in MEMORIES:
        less = [without - with_it for without, with_it in zip(bits[0], bits[memory], strict=True)]
        rows.append([f"memory {memory}", *[f"{x:.4f}" for x in bits[memory]], spread(bits[memory])])
        rows[-1].append(spread(less) if memory else "")
    places = [f"{first}" if first == last else f"{first} to {last}" for first, last in GROUPS]
    by_place = [
        [f"memory {memory}", *[f"{np.mean([_nats(r, memory, *group) for r in records]):.4f}" for group in GROUPS]]
        for memory in MEMORIES
    ]
    first = records[0]
    with_ = first["trained_with"]
    note = (
        f"{first['parameters']:,} parameters, {first['steps']} steps on segments of {with_['window']} with a memory of "
        f"{with_['memory']}, distances to {with_['clamp']}; measured on {first['characters']:,} characters as one "
        f"stream, in segments of {WINDOW}."
    )
    beside = "Nats at the places of a segment, mean of the seeds:"
    tables = harness.markdown_table(header, rows), harness.markdown_table(["place", *places], by_place)
    return f"{tables[0]}\n\n{note} {beside}\n\n{tables[1]}"


def _nats(record: dict, memory: int, first: int, last: int) -> float:
    """The mean loss at the places `first` to `last` of a segment, the first one 1."""
    return float(np.mean(record["measured"][str(memory)]["nats_by_place"][first - 1 : last]))


def as_settings(texts: list[str]) -> dict:
    """NAME=VALUE as settings by name."""
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in SETTINGS or not value:
            raise SystemExit(f"--train wants NAME=VALUE with the name of a setting, such as memory=128, not {text}")
        kind, _ = value_type(SETTINGS[name].type)
        found[name] = value == "True" if kind is bool else kind(value)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many runs (default 3)")
    parser.add_argument("--steps", type=int, help="of each run (default: the preset's)")
    parser.add_argument(
        "--train", action="append", default=[], metavar="NAME=VALUE", help="another setting of the runs"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/memory"), help="where they are kept (runs/memory)")
    parser.add_argument("--json", type=Path, help="write the records to this file instead of benchmarks/results/")
    options = parser.parse_args()
    given = as_settings(options.train) | ({"steps": options.steps} if options.steps else {})
    facts = harness.machine("numpy", "numba") | {name: str(value) for name, value in given.items()}
    print(harness.one_line(facts))
    records = []
    for seed in range(1, options.seeds + 1):
        try:
            run = trained(options.runs / f"seed-{seed}", seed, given)
        except UserError as error:
            raise SystemExit(f"error: {error}") from None
        records.append(record(seed, run))
        print(f"\n{table(records)}", flush=True)
    reporting.write_results("memory", facts, records, table, ("seed", "steps"), options.json)


if __name__ == "__main__":
    main()
