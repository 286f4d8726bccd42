"""What the benchmarks share: the machine's description, peers in processes of their own, tables.

A peer is a program that builds its side of the comparison, then answers requests: one JSON line in, one JSON line out.
Each lives in its own process, because thread pools of two frameworks in one process slow each other down, and they are
asked in turns, so that a change in the machine's speed meets all of them.
"""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


# --- the peer's side ---------------------------------------------------------------------------------------------


def serve(requests: dict[str, Callable]) -> None:
    """Answer requests from standard input until it closes: {"call": NAME, ...arguments} -> the result as JSON."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(requests[request.pop("call")](**request)), flush=True)


def serve_training(step: Callable[[], float]) -> None:
    """Answer for a peer that trains: `step` makes one update and returns the loss before it.

    losses(steps)  the losses of so many steps
    time(steps)    mean milliseconds of so many steps
    peak()         peak_mib
    """
    serve(
        {
            "losses": lambda steps: [step() for _ in range(steps)],
            "time": lambda steps: time_steps(step, steps),
            "peak": peak_mib,
        }
    )


def time_steps(step: Callable[[], object], steps: int) -> float:
    """Mean milliseconds of `steps` calls of `step`."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return 1e3 * (time.perf_counter() - start) / steps


def peak_mib() -> float:
    """The most memory that this process has had resident, in MiB."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


# --- the asking side ---------------------------------------------------------------------------------------------


class Peer:
    """A peer's process. `ask("time", steps=3)` sends a request and waits for its answer."""

    def __init__(self, name: str, script: Path, *arguments: str):
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, str(script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def ask(self, call: str, **arguments):
        self._process.stdin.write(json.dumps({"call": call, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended early, with status {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def in_turns(peers: list[Peer], rounds: int, request: dict) -> dict[str, list[float]]:
    """Send the same request to each peer in turn, `rounds` times over; the first round only warms up."""
    answers: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for round_number in range(rounds + 1):
        for peer in peers:
            answer = peer.ask(**request)
            if round_number:
                answers[peer.name].append(answer)
    return answers


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """Median of the ratios round by round: what the machine does in one round touches both sides of its ratio."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


# --- reporting ---------------------------------------------------------------------------------------------------


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


def one_line(facts: dict[str, str]) -> str:
    """The machine's description in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def write_results(name: str, facts: dict[str, str], records: list[dict], table: str) -> None:
    """Write benchmarks/results/NAME.json, and NAME.md with the table, the machine and the command that made them."""
    RESULTS.mkdir(exist_ok=True)
    command = " ".join(["python", f"benchmarks/{name}.py", *sys.argv[1:]])
    everything = {"command": command, "machine": facts, "records": records}
    (RESULTS / f"{name}.json").write_text(json.dumps(everything, indent=2) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(f"`{command}`\n\n{one_line(facts)}\n\n{table}\n", encoding="utf-8")
