"""How do time and memory grow with the length of the text, the width and the depth of the model?

    python benchmarks/scaling.py                          # tables and scaling.png in benchmarks/results/
    python benchmarks/scaling.py --sweep T --sweep attention --rounds 3 --json result.json

From one model (4 sequences of 256 characters, 128 channels, 4 layers), one number at a time is made larger: T, C, or
layers. Each size is a training step as in `train_step.py`, against PyTorch with its fused AdamW.

The sweep `attention` takes that op alone, forward and backward, at 4,096 tokens in sequences of different lengths. A
causal query meets T/2 keys in the mean, so its time for each token should grow like T, and no faster: `growth` is how
its time per token grows from the shortest sequence on, divided by how T does.
"""

import argparse
from pathlib import Path

import harness
import op_cases
import ops
import reporting
import train_step
from sizes import Config

BASE = Config("base", B=4, T=256, C=128, layers=4, heads=4, V=65, bias=True)
SWEEPS = {"T": (64, 128, 256, 512, 1024), "C": (64, 128, 256, 512), "layers": (2, 4, 8, 16)}
PEER = "pytorch-eager-fused"


def sweep(letter: str, rounds: int) -> list[dict]:
    """One record of train_step for each value of the letter, with the value and the time for each token."""
    records = []
    for value in SWEEPS[letter]:
        config = BASE.but(**{letter: value})
        r = train_step.measure(config, rounds, [PEER])
        tokens = config.B * config.T
        records.append(r | {"sweep": letter, "value": value, "ours_us_per_token": 1e3 * r["ours_ms"] / tokens})
        print(f"{letter} = {value}: {r['ours_ms']:.1f} ms", flush=True)
    return records


def sweep_attention(rounds: int) -> list[dict]:
    """The records of ops.py for attention at each length; the kernels' and, under the name reference, NumPy's."""
    sides = ops.Sides()
    records = []
    for case in op_cases.ATTENTION_BY_LENGTH:
        b, _, t, _ = case.arrays()[0].shape
        for r in ops.measure(op_cases.ALL.index(case), sides, rounds):
            ms = r["forward_ms"] + r["backward_ms"]
            theirs = r.get("pytorch_forward_ms", float("nan")) + r.get("pytorch_backward_ms", float("nan"))
            more = {"ours_us_per_token": 1e3 * ms / (b * t), "peer_us_per_token": 1e3 * theirs / (b * t)}
            records.append(r | {"sweep": "attention", "value": t} | more)
        print(f"attention over {t}: {records[-1]['ours_us_per_token']:.2f} us per token", flush=True)
    sides.close()
    first = {r["version"]: r for r in reversed(records)}
    for r in records:
        base = first[r["version"]]
        r["growth"] = r["ours_us_per_token"] / base["ours_us_per_token"] / (r["value"] / base["value"])
    return records


def step_table(letter: str, records: list[dict]) -> str:
    rows = []
    for r in records:
        peer = r["peers"].get(PEER, {"ms": float("nan"), "peak_mib": float("nan"), "ratio": float("nan")})
        numbers = [r["ours_ms"], peer["ms"], r["ours_us_per_token"], r["ours_peak_mib"], peer["peak_mib"]]
        rows.append([str(r["value"]), *(f"{n:.1f}" for n in numbers), f"{peer['ratio']:.2f}"])
    header = [letter, "ms", "PyTorch's", "µs per token", "peak MiB", "PyTorch's", "times as fast"]
    return harness.markdown_table(header, rows)


def attention_table(records: list[dict]) -> str:
    rows = [
        [
            f"{r['case']}, {r['version']}",
            *(f"{r[key]:.2f}" for key in ("ours_us_per_token", "peer_us_per_token", "growth", "peak_mib")),
            f"{r.get('ratio', float('nan')):.2f}",
        ]
        for r in records
    ]
    return harness.markdown_table(["attention", "µs per token", "PyTorch's", "growth", "MiB", "times as fast"], rows)


def by_sweep(records: list[dict]) -> dict[str, list[dict]]:
    """The records of each sweep, smallest value first."""
    names = dict.fromkeys(r["sweep"] for r in records)
    return {name: sorted((r for r in records if r["sweep"] == name), key=lambda r: r["value"]) for name in names}


def tables(records: list[dict]) -> str:
    sweeps = by_sweep(records).items()
    return "\n\n".join(attention_table(r) if name == "attention" else step_table(name, r) for name, r in sweeps)


def plot(records: list[dict], file: Path) -> None:
    """A column for each sweep: time above, memory below, ours and PyTorch's."""
    sweeps = by_sweep(records)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(sweeps), figsize=(3.5 * len(sweeps), 6), squeeze=False, layout="constrained")
    for (time, memory), (name, records) in zip(axes.T, sweeps.items(), strict=True):
        for label, style, times, mib in lines(name, records):
            values = sorted({r["value"] for r in records})
            time.plot(values, times, style, label=label)
            memory.plot(values, mib, style, label=label)
        for axis, what in ((time, "µs per token" if name == "attention" else "ms per step"), (memory, "peak MiB")):
            axis.set(xscale="log", yscale="log", xlabel="T" if name == "attention" else name, ylabel=what)
            axis.set_xticks(values, [str(v) for v in values])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        time.legend()
        time.set_title("attention, forward and backward" if name == "attention" else "training step")
    figure.savefig(file, dpi=110)


def lines(name: str, records: list[dict]):
    """(label, style, times, MiB) for each line of a sweep's plots."""
    if name != "attention":
        peers = [r["peers"].get(PEER, {"ms": float("nan"), "peak_mib": float("nan")}) for r in records]
        yield "tinygrad_gpt", "o-", [r["ours_ms"] for r in records], [r["ours_peak_mib"] for r in records]
        yield "PyTorch", "s--", [p["ms"] for p in peers], [p["peak_mib"] for p in peers]
        return
    kernel = [r for r in records if r["version"] != ops.REFERENCE] or records
    reference = [r for r in records if r["version"] == ops.REFERENCE]
    yield "tinygrad_gpt", "o-", [r["ours_us_per_token"] for r in kernel], [r["peak_mib"] for r in kernel]
    theirs = [r.get("pytorch_peak_mib", float("nan")) for r in kernel]
    yield "PyTorch", "s--", [r["peer_us_per_token"] for r in kernel], theirs
    yield "reference", "^:", [r["ours_us_per_token"] for r in reference], [r["peak_mib"] for r in reference]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", action="append", choices=[*SWEEPS, "attention"], help="(default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds after one to warm up (default 3)")
    options = harness.parse(parser)

    facts = harness.machine("numpy", "numba", "torch")
    print(harness.one_line(facts), flush=True)
    records = []
    for name in options.sweep or [*SWEEPS, "attention"]:
        records += sweep_attention(options.rounds) if name == "attention" else sweep(name, options.rounds)
    print(f"\n{tables(records)}")
    key = ("sweep", "value", "version")
    reporting.write_results("scaling", facts, records, tables, key, options.json, (".png", plot))


if __name__ == "__main__":
    main()
