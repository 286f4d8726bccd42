"""How near does each rung of the ladder of matrix products come to what the machine can do?

    python benchmarks/matmul.py --size 768 --rounds 5      # table and roofline in benchmarks/results/
    python benchmarks/matmul.py --json result.json

Multiplies two square float32 matrices on every rung (tinygrad_gpt/kernels/numba/product/ladder.py), in turns. Before
that, each rung's product is held against float64's. The peaks are measured: multiply-adds, and dot products of bfloat16
where the processor has them, on numbers that never leave the registers; and memory, by a sum over arrays that no cache
holds. A rung's share is of the peak of as many threads as it uses.

The roofline (S. Williams, A. Waterman and D. Patterson, 2009) sets these figures in one picture: operations per second
over operations per byte that has to come from memory. Under the slope memory is the limit, under the flat roof the
arithmetic is. `packed` is drawn for smaller and larger matrices too.
"""

import argparse
import statistics
from pathlib import Path

import harness
import isa
import numba
import numpy as np
import reporting
from roofs import fastest, peak_gbytes, peak_gflops, seconds

from tinygrad_gpt.kernels.numba.machine import threads
from tinygrad_gpt.kernels.numba.product.ladder import LADDER
from tinygrad_gpt.memory import keep_freed_memory

SIZES = (32, 64, 128, 256, 512, 1024, 1536)  # of `packed` in the roofline


# --- the ladder --------------------------------------------------------------------------------------------------


def validate(name: str, a: np.ndarray, b: np.ndarray) -> None:
    """The rung's product is float64's, but for the rounding of sums, or of what is multiplied."""
    right = a.astype(np.float64) @ b.astype(np.float64)
    error = np.linalg.norm(LADDER[name].multiply(a, b) - right) / np.linalg.norm(right)
    if not error < (2**-8 if name == "bfloat16" else 1e-5):
        raise SystemExit(f"{name} computes another product: relative error {error:.1e}")


def measure(size: int, rounds: int) -> list[dict]:
    """Times of every rung that runs here, with the peaks."""
    rng = np.random.default_rng(0)
    draw = lambda n: (rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))  # noqa: E731
    a, b = draw(size)
    names = [name for name, rung in LADDER.items() if rung.missing(a.dtype) is None]
    for name in names:
        validate(name, a, b)
        validate(name, a[: size // 2 + 1], b[:, : size // 3 + 1].copy())
    threads = numba.get_num_threads()
    peaks = {"threads": threads, "float32": peak_gflops(threads), "float32_one_thread": peak_gflops(1)}
    if "bfloat16" in names:
        peaks["bfloat16"] = peak_gflops(threads, bfloat16=True)
    peaks["gbytes"] = peak_gbytes()
    times = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            repeats = 20 if LADDER[name].parallel else 1
            times[name] += [seconds(lambda name=name: LADDER[name].multiply(a, b)) for _ in range(repeats)]
    records = []
    for name in names:
        gflops = 2 * size**3 / statistics.median(times[name]) / 1e9
        parallel = LADDER[name].parallel
        peak = peaks["bfloat16" if name == "bfloat16" else "float32" if parallel else "float32_one_thread"]
        record = {"rung": name, "size": size, "rounds": rounds, "threads": threads if parallel else 1, "gflops": gflops}
        records.append(record | {"share_of_peak": gflops / peak, "ms": 1e3 * statistics.median(times[name])})
    if "packed" in names:
        for n in SIZES:
            x, y = draw(n)
            gflops = 2 * n**3 / fastest(lambda x=x, y=y: LADDER["packed"].multiply(x, y), 20) / 1e9
            peaks.setdefault("packed_by_size", {})[n] = gflops
    return [r | {"peaks": peaks} for r in records]


def table(records: list[dict]) -> str:
    peaks = records[-1]["peaks"]
    header = ["rung", "threads", "ms", "GFLOP/s", "share of those threads' peak"]
    rows = [
        [r["rung"], str(r["threads"]), f"{r['ms']:.2f}", f"{r['gflops']:.1f}", f"{100 * r['share_of_peak']:.0f} %"]
        for r in records
    ]
    bfloat16 = f", {peaks['bfloat16']:.0f} of bfloat16" if "bfloat16" in peaks else ""
    return (
        f"{records[0]['size']} x {records[0]['size']} float32. Peaks measured in registers: {peaks['float32']:.0f} "
        f"GFLOP/s of float32 on {peaks['threads']} threads, {peaks['float32_one_thread']:.0f} on one{bfloat16}; "
        f"memory {peaks['gbytes']:.0f} GB/s.\n\n{harness.markdown_table(header, rows)}"
    )


def draw_roofline(records: list[dict], file: Path) -> None:
    """The figures as a picture. An n x n product does 2n³ operations and cannot do without 3n² numbers of 4 bytes."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    peaks = records[-1]["peaks"]
    figure, axes = plt.subplots(figsize=(8, 5))
    intensity = np.geomspace(1, 1000, 200)
    roofs = [("float32, all threads", "float32", "-"), ("float32, one thread", "float32_one_thread", "--")]
    for label, key, style in [*roofs, ("bfloat16, all threads", "bfloat16", ":")]:
        if key in peaks:
            roof = np.minimum(peaks["gbytes"] * intensity, peaks[key])
            axes.plot(intensity, roof, style, color="0.4", label=f"{label}: {peaks[key]:.0f} GFLOP/s")
    for record in records:
        place = (record["size"] / 6, record["gflops"])
        axes.plot(*place, "o", color="C0" if record["threads"] == 1 else "C1")
        axes.annotate(record["rung"], place, textcoords="offset points", xytext=(8, -4))
    if by_size := peaks.get("packed_by_size"):
        axes.plot(
            [int(n) / 6 for n in by_size], list(by_size.values()), ".-", color="C1", alpha=0.5, label="packed, by size"
        )
    axes.set(xscale="log", yscale="log", xlabel="operations per byte from memory", ylabel="GFLOP/s")
    axes.set_title(f"memory: {peaks['gbytes']:.0f} GB/s; blue: one thread, orange: {peaks['threads']}")
    axes.legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=768, help="rows and columns of the matrices (default 768)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, in which rungs take turns (default 5)")
    options = harness.parse(parser)

    keep_freed_memory()
    threads.start()
    facts = harness.machine("numpy", "numba") | {"size": str(options.size)}
    print(harness.one_line(facts))
    records = measure(options.size, options.rounds)
    if isa.pinned():
        harness.SEEN["tinygrad_gpt"] = isa.seen()  # all rungs run in this process
    print(f"\n{table(records)}")
    picture = (".svg", draw_roofline)
    reporting.write_results("matmul", facts, records, table, ("rung", "size"), options.json, picture)


if __name__ == "__main__":
    main()
