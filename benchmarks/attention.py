"""How near does each rung of the ladder of attention come to what a matrix product reaches?

    python benchmarks/attention.py --rounds 5              # table and picture in benchmarks/results/
    python benchmarks/attention.py --length 256 --json result.json

Causal float32 attention, forward, on every rung (tinygrad_gpt/kernels/numba/flash/ladder.py), in turns. Before that,
each rung's y and log-sum-exp are held against the reference's in float64. In each round NumPy's sgemm has its turn too,
on one thread and on as many as the kernel uses, in processes of its own (peers/peaks.py): attention is two matrix
products with a softmax between them, and a rung's share is of the rate that these reach on as many threads. Work that
causal queries don't need is not counted, whether a rung does it or not.

The picture shows the shares for sequences of other lengths too, with as many heads as make up the same number of
tokens: the longer a sequence, the more it matters what is held.
"""

import argparse
import functools
import statistics
import time
from pathlib import Path

import harness
import isa
import numpy as np
import op_cases
import reporting

from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.flash.ladder import LADDER, Rung
from tinygrad_gpt.kernels.numba.machine import threads
from tinygrad_gpt.memory import keep_freed_memory

LENGTHS = (64, 128, 256, 512, 1024, 2048)  # of the picture
SECONDS = 0.05  # of a turn
TOLERANCE = 1e-5


# --- measuring ---------------------------------------------------------------------------------------------------


def draw(heads: int, length: int, head_size: int) -> list[np.ndarray]:
    """q, k and v: (H, T, D) each."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((heads, length, head_size), np.float32) for _ in range(3)]


def attend(rung: Rung, qkv: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return rung.attend(*qkv, True, qkv[0].shape[-1] ** -0.5)


def validate(rung: Rung, qkv: list[np.ndarray]) -> None:
    """Raises SystemExit unless y and lse are float64's, but for the rounding of sums."""
    q, k, v = (x.astype(np.float64) for x in qkv)
    y, _ = registry.reference("attention").forward(q[None], k[None], v[None], causal=True)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1])
    lse = np.log(np.sum(np.exp(scores) * np.tri(len(scores[0])), axis=-1))
    for name, got, right in zip(("y", "lse"), attend(rung, qkv), (y[0], lse), strict=True):
        error = np.linalg.norm(got - right) / np.linalg.norm(right)
        if not error < TOLERANCE:
            raise SystemExit(f"{rung.name} computes another {name}: relative error {error:.1e}")


def turn(rung: Rung, qkv: list[np.ndarray]) -> list[float]:
    """Seconds of each call, one at least."""
    seconds = []
    while sum(seconds) < SECONDS:
        start = time.perf_counter()
        attend(rung, qkv)
        seconds.append(time.perf_counter() - start)
    return seconds


def products_on(count: int) -> harness.Peer:
    """A process whose matrix products run on so many threads."""
    libraries = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return harness.Peer(f"sgemm on {count}", harness.PEERS / "peaks.py", env=dict.fromkeys(libraries, str(count)))


def measure(shapes: list[tuple[int, int, int]], rounds: int) -> list[dict]:
    """A record for each rung and shape (H, T, D)."""
    arrays = {shape: draw(*shape) for shape in shapes}
    for rung in LADDER.values():
        validate(rung, draw(2, 200, 40))
        for shape in shapes:
            validate(rung, [x[:1] for x in arrays[shape]])
    most = threads.count()
    peers = {count: products_on(count) for count in sorted({1, most})}
    rates = {count: [] for count in peers}
    times = {(name, shape): [] for shape in shapes for name in LADDER}
    for _ in range(rounds):
        for count, peer in peers.items():
            rates[count].append(peer.ask("gflops"))
        harness.rest()
        for name, shape in times:
            times[name, shape] += turn(LADDER[name], arrays[shape])
    for peer in peers.values():
        peer.close()
    sgemm = {count: statistics.median(found) for count, found in rates.items()}
    return [record(*key, statistics.median(found), most, sgemm) for key, found in times.items()]


def record(name: str, shape: tuple[int, int, int], seconds: float, most: int, sgemm: dict[int, float]) -> dict:
    """What is known of a rung on a shape, from the seconds of a call and the GFLOP/s of sgemm on so many threads."""
    operations, _ = op_cases.work(op_cases.attention(1, *shape), 0)
    count, gflops = most if LADDER[name].parallel else 1, operations / seconds / 1e9
    result = {"rung": name, "shape": list(shape), "threads": count, "holds": LADDER[name].holds, "ms": 1e3 * seconds}
    return result | {"gflops": gflops, "sgemm_gflops": sgemm[count], "share_of_sgemm": gflops / sgemm[count]}


# --- reporting ---------------------------------------------------------------------------------------------------


def table(records: list[dict], shape: tuple[int, int, int]) -> str:
    """The rungs on one shape."""
    header = ["rung", "holds, of a head", "threads", "ms", "GFLOP/s", "share of sgemm on those threads"]
    rows, sgemm = [], {}
    for r in (r for r in records if r["shape"] == list(shape)):
        sgemm[r["threads"]] = r["sgemm_gflops"]
        share = f"{100 * r['share_of_sgemm']:.0f} %"
        rows.append([r["rung"], r["holds"], str(r["threads"]), f"{r['ms']:.2f}", f"{r['gflops']:.1f}", share])
    peaks = ", ".join(f"{rate:.0f} GFLOP/s on {count}" for count, rate in sorted(sgemm.items()))
    return (
        f"Causal attention, forward, float32, (H, T, D) = {shape}. NumPy's sgemm in the same run, by threads: {peaks}."
        f"\n\n{harness.markdown_table(header, rows)}"
    )


def draw_shares(records: list[dict], file: Path) -> None:
    """The shares of the rungs over the length of the sequence."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for name in LADDER:
        points = sorted((r["shape"][1], 100 * r["share_of_sgemm"]) for r in records if r["rung"] == name)
        axes.plot(*zip(*points, strict=True), "o-", label=name)
    lengths = sorted({r["shape"][1] for r in records})
    axes.set(xscale="log", xlabel="length of the sequence", ylabel="% of sgemm's rate on as many threads")
    axes.set_xticks(lengths, map(str, lengths))
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1, 1))  # the last rung on top
    axes.set_title("Causal attention, forward: the rungs of the ladder")
    figure.tight_layout()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--length", type=int, default=1024, help="of the sequences in the table (default 1024)")
    parser.add_argument("--heads", type=int, default=12, help="of them (default 12)")
    parser.add_argument("--head-size", type=int, default=64, help="numbers of a head at each place (default 64)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, in which rungs take turns (default 5)")
    options = harness.parse(parser)

    keep_freed_memory()
    threads.start()
    facts = harness.machine("numpy", "numba")
    print(harness.one_line(facts))
    shape, tokens = (options.heads, options.length, options.head_size), options.heads * options.length
    others = [(max(1, tokens // length), length, options.head_size) for length in LENGTHS]
    records = measure(list(dict.fromkeys([shape, *others])), options.rounds)
    if isa.pinned():
        harness.SEEN["tinygrad_gpt"] = isa.seen()  # all rungs run in this process
    of_shape = functools.partial(table, shape=shape)
    print(f"\n{of_shape(records)}")
    picture = (".svg", draw_shares)
    reporting.write_results("attention", facts, records, of_shape, ("rung", "shape"), options.json, picture)


if __name__ == "__main__":
    main()
