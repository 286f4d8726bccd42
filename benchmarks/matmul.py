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
import json
import statistics
import time
from pathlib import Path

import harness
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tinygrad_gpt.kernels.numba.machine import threads
from tinygrad_gpt.kernels.numba.product import registers
from tinygrad_gpt.kernels.numba.product.ladder import LADDER
from tinygrad_gpt.memory import keep_freed_memory

CHAINS = 16  # sums that go on side by side: more than fit in the time that an instruction takes
TURNS = 1_000_000
SIZES = (32, 64, 128, 256, 512, 1024, 1536)  # of `packed` in the roofline


# --- what the machine can do -------------------------------------------------------------------------------------


def in_registers(bfloat16: bool):
    """A function for kernels, spin(turns, address): CHAINS multiply-adds per turn, on vectors that stay in registers.

    It is built by hand, because a compiler that sees what is computed would find a way to compute less.
    """
    lanes = 16 if registers.AVX_512 else 8
    floats, words, count = ir.VectorType(ir.FloatType(), lanes), ir.VectorType(ir.IntType(32), lanes), ir.IntType(64)

    @intrinsic
    def spin(typingctx, turns, address):
        def codegen(context, builder, signature, args):
            turns, address = args
            place = builder.inttoptr(address, floats.as_pointer())
            x = builder.load(place, align=4)
            if bfloat16:
                name, x_as = "llvm.x86.avx512bf16.dpbf16ps.512", builder.bitcast(x, words)
                kind = ir.FunctionType(floats, (floats, words, words))
            else:
                name, x_as, kind = f"llvm.fma.v{lanes}f32", x, ir.FunctionType(floats, 3 * (floats,))
            step = builder.module.declare_intrinsic(name, (), kind)
            before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(loop)
            builder.position_at_end(loop)
            turn = builder.phi(count)
            sums = [builder.phi(floats) for _ in range(CHAINS)]
            added = [builder.call(step, (s, x_as, x_as) if bfloat16 else (x_as, x_as, s)) for s in sums]
            next_turn = builder.add(turn, ir.Constant(count, 1))
            builder.cbranch(builder.icmp_signed("<", next_turn, turns), loop, after)
            for phi, new in zip([turn, *sums], [next_turn, *added], strict=True):
                phi.add_incoming(x if phi is not turn else ir.Constant(count, 0), before)
                phi.add_incoming(new, loop)
            builder.position_at_end(after)
            total = added[0]
            for more in added[1:]:
                total = builder.fadd(total, more)
            builder.store(total, place, align=4)  # so that none of it is for nothing
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    operations = 2 * (2 if bfloat16 else 1) * lanes * CHAINS
    return spin, operations


def peak_gflops(threads: int, bfloat16: bool = False) -> float:
    """Billions of operations per second on numbers in registers."""
    spin, operations = in_registers(bfloat16)

    @numba.njit(parallel=True, nogil=True)
    def run(turns, places):
        for thread in numba.prange(places.shape[0]):
            spin(turns, places[thread].ctypes.data)

    places = np.zeros((threads, 64), np.float32)
    run(1, places)
    return threads * operations * TURNS / fastest(lambda: run(TURNS, places), 60) / 1e9


@numba.njit(parallel=True, nogil=True, fastmath=True)
def triad(a, b, c):
    for i in numba.prange(a.size):
        a[i] = b[i] + 0.5 * c[i]


def peak_gbytes(size: int = 1 << 25) -> float:
    """Billions of bytes per second read and written on all threads (the triad of J. McCalpin's STREAM, 1995)."""
    a, b, c = (np.ones(size, np.float32) for _ in range(3))
    triad(a[:8], b[:8], c[:8])
    return 3 * a.nbytes / fastest(lambda: triad(a, b, c), 5) / 1e9


def fastest(function, calls: int) -> float:
    """Seconds of the fastest of some calls."""
    return min(seconds(function) for _ in range(calls))


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


# --- the ladder --------------------------------------------------------------------------------------------------


def validate(name: str, a: np.ndarray, b: np.ndarray) -> None:
    """The rung's product is float64's, but for the rounding of sums, or of what is multiplied."""
    right = a.astype(np.float64) @ b.astype(np.float64)
    error = np.linalg.norm(LADDER[name].multiply(a, b) - right) / np.linalg.norm(right)
    if not error < (2**-8 if name == "bfloat16" else 1e-5):
        raise SystemExit(f"{name} computes another product: relative error {error:.1e}")


def measure(size: int, rounds: int) -> tuple[list[dict], dict]:
    """Times of every rung that runs here, and the peaks."""
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
        record = {"rung": name, "size": size, "threads": threads if parallel else 1, "gflops": gflops}
        records.append(record | {"share_of_peak": gflops / peak, "ms": 1e3 * statistics.median(times[name])})
    if "packed" in names:
        for n in SIZES:
            x, y = draw(n)
            gflops = 2 * n**3 / fastest(lambda x=x, y=y: LADDER["packed"].multiply(x, y), 20) / 1e9
            peaks.setdefault("packed_by_size", {})[n] = gflops
    return records, peaks


def table(records: list[dict], peaks: dict) -> str:
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


def draw_roofline(records: list[dict], peaks: dict, file: Path) -> None:
    """The figures as a picture. An n x n product does 2n³ operations and cannot do without 3n² numbers of 4 bytes."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

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
            [n / 6 for n in by_size], list(by_size.values()), ".-", color="C1", alpha=0.5, label="packed, by size"
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
    parser.add_argument("--json", type=Path, help="write the records to this file instead of benchmarks/results/")
    options = parser.parse_args()

    keep_freed_memory()
    threads.start()
    facts = harness.machine("numpy", "numba")
    print(harness.one_line(facts))
    records, peaks = measure(options.size, options.rounds)
    print(f"\n{table(records, peaks)}")
    if options.json:
        options.json.write_text(json.dumps({"peaks": peaks, "records": records}, indent=2) + "\n", encoding="utf-8")
        return
    picture = harness.RESULTS / "matmul.svg"
    harness.RESULTS.mkdir(exist_ok=True)
    try:
        draw_roofline(records, peaks, picture)
    except ImportError:
        print('no picture: it takes matplotlib (pip install "tinygrad-gpt[plot]")')
    text = table(records, peaks) + f"\n\n![Roofline]({picture.name})"
    harness.write_results("matmul", facts, [*records, {"peaks": peaks}], text)


if __name__ == "__main__":
    main()
