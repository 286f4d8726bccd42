"""How long does each op take, in each of its versions, and in PyTorch?

    python benchmarks/ops.py                              # every op; table in benchmarks/results/
    python benchmarks/ops.py --op attention --op linear --rounds 5 --json result.json
    python benchmarks/ops.py --device cuda                # on an NVIDIA GPU, in other sizes

For each case in op_cases.py: forward and backward of the reference, of every kernel, and of PyTorch's op, from the same
arrays. Before anything is timed, all must agree on y and on every gradient. The reference, the kernels and PyTorch live
in processes of their own and run in turns (harness.py); times are medians over the rounds, "times as fast" is the
median of PyTorch's time over ours, forward and backward together, round by round.

The rate is that of the work that has to be done (op_cases.py says how it is counted), and its share is of what this
machine was measured to do in the same run (peers/peaks.py): matrix products of NumPy for ops that are made of products,
reading and writing of large arrays for all others. Arrays that fit in the cache can exceed the latter.

Memory is the peak of new arrays during forward and backward, y and gradients included.

On a GPU everything lies there before the clock starts, and each time ends when the GPU is done; what it takes to launch
is in it. A version that rounds (tf32, bfloat16) is compared with PyTorch's op in the same precision, and its products
with the peak of that precision: our call of cuBLAS on large matrices. The result is written after each case.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import harness
import numpy as np
import op_cases
import reporting
from op_cases import ALL, CASES, OpCase

REFERENCE, PYTORCH = "reference", "pytorch"
ROUNDING = {"bfloat16": 2e-2, "tf32": 5e-3}  # versions that round, and how far they may be off
PRODUCT, COPY = 8192, 1 << 29  # sizes from which a GPU's peaks are taken: of matrices (N, N), and of an array
SECONDS = 0.15  # of a turn


class Sides:
    """The processes that are asked: the reference, the kernels, PyTorch if it is installed, and the CPU's peaks."""

    def __init__(self, device: str = "cpu"):
        self.device = device
        self.reference = harness.Peer(REFERENCE, harness.PEERS / "ops_ours.py", device)
        self.kernels = harness.Peer("kernels", harness.PEERS / "ops_ours.py", device)
        self.peaks = harness.Peer("peaks", harness.PEERS / "peaks.py") if device == "cpu" else None
        try:
            self.pytorch = harness.Peer(PYTORCH, harness.PEERS / "ops_pytorch.py", device)
        except harness.PeerFailed as failed:
            print(f"without PyTorch: {failed.why}")
            self.pytorch = None

    def of(self, op: str) -> dict[str, harness.Peer]:
        """Version -> the process that runs it, the reference first."""
        kernels = [name for name in self.kernels.ask("versions", op=op) if name != REFERENCE]
        sides = {REFERENCE: self.reference} | dict.fromkeys(kernels, self.kernels)
        if self.pytorch is None:
            return sides
        rounding = [name for name in kernels if name in ROUNDING and self.device == "cuda"]
        return sides | dict.fromkeys([PYTORCH, *map(rival, rounding)], self.pytorch)

    def measure_peaks(self) -> dict[str, float]:
        if self.peaks:
            return {name: self.peaks.ask(name) for name in ("gflops", "gbytes")}
        peaks = {dtype: self.kernels.ask("gflops", dtype=dtype, n=PRODUCT) for dtype in ROUNDING}
        peaks["gflops"] = self.kernels.ask("gflops", dtype="float32", n=PRODUCT)
        return peaks | {"gbytes": self.kernels.ask("gbytes", size=COPY)}

    def close(self) -> None:
        for peer in (self.reference, self.kernels, self.peaks, self.pytorch):
            if peer:
                peer.close()


def rival(version: str) -> str:
    """The version of PyTorch's op that rounds as this one does."""
    return f"{PYTORCH}-{version}" if version in ROUNDING else PYTORCH


def validate(case: OpCase, version: str, file: Path, reference: Path) -> None:
    """Raises SystemExit unless y and all gradients are those of the reference."""
    tolerance = case.tolerance if version == PYTORCH else op_cases.TOLERANCE
    tolerance = next((ROUNDING[name] for name in ROUNDING if name in version), tolerance)
    with np.load(file) as ours, np.load(reference) as right:
        if set(ours) != set(right):
            raise SystemExit(f"{case}, {version}: expected {sorted(right)}, got {sorted(ours)}")
        for name in right:
            a, b = ours[name], right[name]
            if a.shape != b.shape:
                raise SystemExit(f"{case}, {version}: {name} has shape {a.shape}, not {b.shape}")
            error = np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)
            if not error <= tolerance:
                raise SystemExit(f"{case}, {version}: {name} differs from the reference's by {error:.1e}")


def measure(number: int, sides: Sides, rounds: int) -> list[dict]:
    """The records of one case, one for each version of ours."""
    case = ALL[number]
    peers = sides.of(case.op)
    memory, made = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for version, peer in list(peers.items()):
            reason = peer.ask("prepare", number=number, version=version)
            if reason is not None:
                print(f"{case}: {version} is left out: {reason}")
                del peers[version]
                continue
            file = Path(folder) / f"{version}.npz"
            made = peer.ask("results", file=str(file))
            try:
                validate(case, version, file, Path(folder) / f"{REFERENCE}.npz")
            except SystemExit as wrong:
                if sides.device == "cpu":
                    raise
                print(f"left out: {wrong}")  # the time on a GPU is dear: go on with the others
                del peers[version]
                continue
            finally:
                if version != REFERENCE:
                    file.unlink()
            memory[version] = peer.ask("memory")
    times: dict[str, list] = {version: [] for version in peers}
    for round_number in range(rounds + 1):
        for version, peer in peers.items():
            peer.ask("prepare", number=number, version=version)
            harness.rest()
            answer = peer.ask("time", seconds=SECONDS)
            if round_number:
                times[version].append(answer)
    return [record(case, version, times, memory, made) for version in peers if peers[version] is not sides.pytorch]


def record(case: OpCase, version: str, times: dict, memory: dict, made: int) -> dict:
    """What is known of one version: milliseconds, rates in GFLOP/s or GB/s, and PyTorch's milliseconds."""
    forward, backward = (statistics.median(values) for values in zip(*times[version], strict=True))
    work = op_cases.work(case, made)
    result = {
        "op": case.op,
        "case": case.name,
        "version": version,
        "rounds": len(times[version]),
        "forward_ms": forward,
        "backward_ms": backward,
        "unit": "GFLOP/s" if case.operations else "GB/s",
        "forward_rate": work[0] / forward / 1e6 if work[0] else None,
        "backward_rate": work[1] / backward / 1e6 if work[1] and case.op not in op_cases.ROUTINES else None,
        "peak_mib": memory[version],
    }
    peer = rival(version) if rival(version) in times else PYTORCH  # on the CPU it has float32 only
    if peer in times:
        theirs = [statistics.median(values) for values in zip(*times[peer], strict=True)]
        sums = {name: [sum(pair) for pair in times[name]] for name in (version, peer)}
        result |= {
            "pytorch_forward_ms": theirs[0],
            "pytorch_backward_ms": theirs[1],
            "pytorch_peak_mib": memory[peer],
            "ratio": harness.median_ratio(sums[peer], sums[version]),
        }
    return result


def add_shares(records: list[dict], peaks: dict[str, float]) -> None:
    """Each rate as a share of the peak of its kind; and the peaks."""
    for r in records:
        r["peaks"] = peaks
        peak = peaks.get(r["version"], peaks["gflops"]) if r["unit"] == "GFLOP/s" else peaks["gbytes"]
        for which in ("forward", "backward"):
            rate = r[f"{which}_rate"]
            r[f"{which}_share"] = None if rate is None else rate / peak


def table(records: list[dict]) -> str:
    """The records as Markdown."""

    def number(value: float | None, digits: int, unit: str = "") -> str:
        return "-" if value is None else f"{value:.{digits}f}{unit}"

    rows = []
    for r in records:
        rates = [
            "-" if r[f"{which}_rate"] is None else f"{r[f'{which}_rate']:.0f} ({r[f'{which}_share']:.2f})"
            for which in ("forward", "backward")
        ]
        rows.append(
            [
                f"{r['op']} {r['case']}",
                r["version"],
                number(r["forward_ms"], 3),
                number(r["backward_ms"], 3),
                f"{' / '.join(rates)} {r['unit']}",
                number(r["peak_mib"], 1),
                number(r.get("pytorch_forward_ms"), 3),
                number(r.get("pytorch_backward_ms"), 3),
                number(r.get("pytorch_peak_mib"), 1),
                number(r.get("ratio"), 2),
            ]
        )
    header = ["op", "version", "forward ms", "backward ms", "rate (share of peak)", "MiB"]
    header += ["PyTorch: forward ms", "backward ms", "MiB", "times as fast"]
    peaks = dict.fromkeys(_peaks(r["peaks"]) for r in records if "peaks" in r)
    return "\n\n".join([*(f"peaks: {measured}" for measured in peaks), harness.markdown_table(header, rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where all sides compute")
    parser.add_argument("--op", action="append", choices=sorted({case.op for case in CASES}), help="(default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds after one to warm up (default 3)")
    options = harness.parse(parser)

    facts = harness.machine("numpy", "numba", "torch")
    cases, name_of_results = CASES, "ops"
    if options.device == "cuda":
        facts |= harness.gpu() | harness.machine("cupy-cuda12x", "cupy-cuda13x")
        cases, name_of_results = op_cases.ON_CUDA, "ops_cuda"
    print(harness.one_line(facts), flush=True)
    sides = Sides(options.device)
    records, peaks = [], sides.measure_peaks()
    for case in cases:
        if options.op is None or case.op in options.op:
            print(case, flush=True)
            try:
                records += measure(ALL.index(case), sides, options.rounds)
            except SystemExit as failed:
                if options.device == "cpu":
                    raise
                print(f"left out: {failed}", flush=True)
                sides.close()
                sides = Sides(options.device)
            if options.device == "cuda":
                report(name_of_results, facts, records, peaks, options.json)
    again = sides.measure_peaks()
    sides.close()
    peaks = {name: max(peaks[name], again[name]) for name in peaks}
    report(name_of_results, facts, records, peaks, options.json)
    print(f"\n{table(records)}")


def report(name: str, facts: dict, records: list[dict], peaks: dict[str, float], file: Path | None) -> None:
    """Write what has been measured so far."""
    add_shares(records, peaks)
    if file:
        reporting.write_json(file, {"peaks": peaks, "records": records})
    else:
        reporting.write_results(name, facts, records, table, ("op", "case", "version"))


def _peaks(peaks: dict[str, float]) -> str:
    products = {"sgemm": peaks["gflops"]} | {name: peaks[name] for name in ROUNDING if name in peaks}
    return f"{', '.join(f'{name} {peak:.0f} GFLOP/s' for name, peak in products.items())}, {peaks['gbytes']:.1f} GB/s"


if __name__ == "__main__":
    main()
