"""What the benchmarks share: the machine's description, peers in processes of their own, tables.

A peer is a program that builds its side of the comparison, then answers requests: one JSON line in, one JSON line out.
Each lives in its own process, because thread pools of two frameworks in one process slow each other down, and they are
asked in turns, so that a change in the machine's speed meets all of them.
"""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import isa

FOLDER = Path(__file__).parent
PEERS = FOLDER / "peers"
READY = "ready"


# --- the peer's side ---------------------------------------------------------------------------------------------


def serve(requests: dict[str, Callable]) -> None:
    """Answer requests from standard input until it closes: {"call": NAME, ...arguments} -> the result as JSON. Every
    side also answers "seen" (isa.py).

    Answers go to what was standard output at the call; anything else that is printed from then on, by a compiler in C
    too, goes to standard error.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests = {"seen": isa.seen} | requests
    print(json.dumps(READY), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(requests[request.pop("call")](**request)), file=answers, flush=True)


def nothing() -> None:
    """What a side has to wait for that computes as it is told."""


def serve_training(step: Callable, synchronize: Callable[[], object] = nothing, **more: Callable) -> None:
    """Answer for a peer that trains: `step` makes one update and returns the loss before it, a number or what becomes
    one by float(); `synchronize` waits until all is done that was asked for.

    losses(steps)  the losses of so many steps
    time(steps)    mean milliseconds of so many steps
    forget_peak()  see there
    peak()         peak_mib
    and what else is given by name
    """
    serve(
        {
            "losses": lambda steps: [float(step()) for _ in range(steps)],
            "time": lambda steps: time_steps(step, steps, synchronize),
            "forget_peak": forget_peak,
            "peak": peak_mib,
            **more,
        }
    )


def time_steps(step: Callable[[], object], steps: int, synchronize: Callable[[], object] = nothing) -> float:
    """Mean milliseconds of `steps` calls of `step`, until the last is done."""
    synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    synchronize()
    return 1e3 * (time.perf_counter() - start) / steps


def timed(function: Callable[[], object], calls: int = 1) -> dict[str, float]:
    """Milliseconds of one call, by the clock and by the processor time of all threads."""
    cpu, start = time.process_time(), time.perf_counter()
    for _ in range(calls):
        function()
    return {"ms": 1e3 * (time.perf_counter() - start) / calls, "cpu_ms": 1e3 * (time.process_time() - cpu) / calls}


def peak_mib() -> float:
    """The most memory that this process alone has had resident, in MiB: since `forget_peak` on Linux, elsewhere since
    it began. nan on Windows."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def forget_peak() -> None:
    """Begin the peak anew at what is resident now (Linux; proc(5), clear_refs), so that what a compiler needed once,
    before the first step, does not count as what training needs."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def product_tflops(product: Callable[[], object], n: int, synchronize: Callable[[], object]) -> float:
    """TFLOP/s of `product`, which multiplies two matrices (n, n)."""
    product()  # the first one makes handles and loads kernels
    return 2 * n**3 / time_steps(product, 10, synchronize) / 1e9


# --- the command -------------------------------------------------------------------------------------------------


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options of a benchmark: its own, `--json`, `--machine` and, where the processor can be pinned, `--isa`. With
    the last the command starts itself anew, pinned, and ends when that has ended."""
    global MACHINE
    parser.add_argument("--json", type=Path, help="write the record(s) to this file instead of benchmarks/results/")
    named = "what results call this machine, to stand beside those of another: results/NAME_MACHINE"
    parser.add_argument("--machine", type=_a_word, help=named)
    if names := isa.offered():
        parser.add_argument("--isa", type=isa.checked, metavar=" | ".join(names), help="pin every side to it (isa.py)")
    options = parser.parse_args()
    MACHINE = options.machine or ""
    wanted = getattr(options, "isa", None)
    if wanted and getattr(options, "device", "cpu") != "cpu":
        raise SystemExit(f"--isa {wanted}: of the CPU only, not with --device {options.device}")
    if wanted and wanted != isa.pinned():
        raise SystemExit(subprocess.run([sys.executable, *sys.argv], env=os.environ | isa.pins(wanted)).returncode)
    return options


def _a_word(text: str) -> str:
    if not text.isalnum():
        raise argparse.ArgumentTypeError(f"expected letters and digits, as a part of a file's name, got {text!r}")
    return text


MACHINE = ""  # what results call this machine, where `--machine` says


# --- the asking side ---------------------------------------------------------------------------------------------


class PeerFailed(SystemExit):
    """A peer's process ended before it answered, and `why`. Not caught, it ends the benchmark with that message."""

    def __init__(self, name: str, why: str):
        super().__init__(f"{name} ended early: {why}")
        self.why = why


# A container's quota is something that no peer looks at: all sides are measured on the same cores.
ALL_CORES = {"NUMBA_NUM_THREADS": str(len(os.sched_getaffinity(0)))} if hasattr(os, "sched_getaffinity") else {}


SEEN: dict[str, dict] = {}  # side -> what it was seen to compute with, in a benchmark that is pinned to an isa


class Peer:
    """A peer's process. `ask("time", steps=3)` sends a request and waits for its answer. `python` runs it: another
    one than this for a peer whose packages are in an environment of their own.

    Raises PeerFailed where the process ends instead: a package that is not installed, a compiler that is missing.
    """

    def __init__(
        self,
        name: str,
        script: Path,
        *arguments: str,
        env: dict[str, str] | None = None,
        python: str = sys.executable,
    ):
        self.name = name
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            env=ALL_CORES | os.environ | (env or {}),
        )
        while self._answer() != READY:
            pass  # what libraries print as they load

    def ask(self, call: str, **arguments):
        self.send(call, **arguments)
        return self._answer()

    def send(self, call: str, **arguments) -> None:
        with contextlib.suppress(BrokenPipeError):  # a process that has ended is noticed when it doesn't answer
            self._process.stdin.write(json.dumps({"call": call, **arguments}) + "\n")
            self._process.stdin.flush()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise PeerFailed(self.name, self._why_it_ended())
        try:
            return json.loads(line)
        except ValueError:
            return line

    def _why_it_ended(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        return last_words(self._errors.read()) or f"status {status}"

    def close(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(PeerFailed):  # then it has no results either
                if isa.pinned():
                    SEEN[self.name] = self.ask("seen")
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error) -> None:
        self.close()


@contextlib.contextmanager
def busy_processes(number: int) -> Iterator[None]:
    """Inside this block so many processes compute without end, each as much as a core lets it."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def last_words(errors: str) -> str:
    """Of what a process wrote to standard error, the last line that is not indented: what a traceback ends with."""
    said = [line for line in errors.splitlines() if line.strip() and not line[0].isspace()]
    return said[-1][:200] if said else ""


REST = 0.2  # seconds; OpenBLAS's threads look for work for 0.1 s and more before they sleep, others' for less


def rest() -> None:
    """Wait until the threads of the side that was asked last sleep: till then they take a core from the next one."""
    time.sleep(REST)


def in_turns(
    peers: list[Peer], rounds: int, request: dict | Callable[[Peer], dict], warm_up: bool = True
) -> dict[str, list]:
    """Send the request, or `request(peer)`, to each peer in turn, `rounds` times over, after a round that only warms
    up (unless something else has). Returns their answers, by the peer's name.
    """
    answers: dict[str, list] = {peer.name: [] for peer in peers}
    for round_number in range(rounds + warm_up):
        for peer in peers:
            rest()
            answer = peer.ask(**(request(peer) if callable(request) else request))
            if round_number >= warm_up:
                answers[peer.name].append(answer)
    return answers


def on_threads(threads: int | None) -> dict[str, str]:
    """The variables that give a peer so many threads; None: as many as it likes."""
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {} if threads is None else dict.fromkeys(names, str(threads))


def measure(task: str, starts: list[Callable[[], Peer]], request: dict, rounds: int, tolerance: float) -> dict:
    """Compare, then time, a task on all its sides. Returns the record that goes into the JSON file: medians and least
    times of each side, and how many times as fast ours is as each other one, by the clock and by processor time.

    starts     start the sides, ours first; asked to `check`, a side returns numbers, and else what `timed` returns
    tolerance  the most that their numbers may be apart
    """
    with contextlib.ExitStack() as closing:
        sides = []
        for start in starts:
            sides.append(start())
            closing.callback(sides[-1].close)
        checked = in_turns(sides, 1, request | {"check": True}, warm_up=False)
        validate({side: answer for side, (answer,) in checked.items()}, task, tolerance)
        for side in sides:
            side.ask("forget_peak")
        before = os.getloadavg()[0]
        answers = in_turns(sides, rounds, request)
        load = before, os.getloadavg()[0]
        peaks = {side.name: side.ask("peak") for side in sides}
    record = {"task": task, "rounds": rounds, "load": load, "peak_mib": peaks}
    for kind in ("ms", "cpu_ms"):
        times = {side: [answer[kind] for answer in given] for side, given in answers.items()}
        ours, *others = times
        ratios = {side: median_ratio(times[side], times[ours]) for side in others}
        medians = {side: statistics.median(some) for side, some in times.items()}
        record[kind] = {"median": medians, "least": {side: min(some) for side, some in times.items()}, "ratio": ratios}
    return record


def validate(answers: dict[str, list], what: str, tolerance: float) -> None:
    """Raise SystemExit unless all sides gave the numbers of the first one."""
    import numpy as np

    first, ours = next(iter(answers.items()))
    for side, numbers in answers.items():
        if np.shape(numbers) != np.shape(ours):
            raise SystemExit(f"{side} gives {np.shape(numbers)} numbers for the {what}, {first} {np.shape(ours)}")
        if not np.allclose(numbers, ours, atol=tolerance, rtol=0):
            off = np.abs(np.subtract(numbers, ours)).max()
            raise SystemExit(f"{side} computes another {what} than {first}: {off:.1e} beside it")


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """Median of the ratios round by round: what the machine does in one round touches both sides of its ratio."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def gpu_mib() -> float | None:
    """MiB of the GPU's memory that is in use, by all processes; None where there is no nvidia-smi to ask."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    with contextlib.suppress(OSError, subprocess.CalledProcessError, ValueError):
        return float(subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0])
    return None


# --- describing --------------------------------------------------------------------------------------------------


def machine(*packages: str) -> dict[str, str]:
    """This machine and the versions of the packages that are installed."""
    facts = {"cpu": _cpu_name(), "cores": str(os.cpu_count()), "system": f"{platform.system()} {platform.machine()}"}
    facts["python"] = platform.python_version()
    for package in packages:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts


def machine_of(threads: int | None) -> dict[str, str]:
    """This machine, and how many threads were asked for."""
    facts = machine("numpy", "numba", "torch", "transformers")
    return facts | ({"threads": str(threads)} if threads else {})


def gpu() -> dict[str, str]:
    """The GPU, as far as nvidia-smi knows it."""
    facts = {}
    for name, field in (("gpu", "name"), ("gpu memory", "memory.total"), ("driver", "driver_version")):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            query = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
            facts[name] = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return facts


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = dict(line.split(":", 1) for line in cpuinfo.read_text().split("\n\n")[0].splitlines() if ":" in line)
        fields = {key.strip(): value.strip() for key, value in fields.items()}
        if "model name" in fields:
            family = f" family {fields['cpu family']}" if "cpu family" in fields else ""
            return fields["model name"] + family + (", AVX-512" if "avx512f" in fields.get("flags", "") else "")
    return platform.processor() or platform.machine()


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right-aligned."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def with_loads(table: str, records: list[dict]) -> str:
    """A table of records of `measure`, and below it the load of the machine."""
    loads = "; ".join(f"{before:.1f} to {after:.1f}" for before, after in (r["load"] for r in records))
    return f"{table}\n\nLoad of the machine (1 minute), before and after each: {loads}; both include our own."


def one_line(facts: dict[str, str]) -> str:
    """The machine's description in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())
