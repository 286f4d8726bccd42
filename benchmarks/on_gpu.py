"""Everything there is to measure on an NVIDIA GPU, in one go.

    python benchmarks/on_gpu.py                  # some eight minutes, PyTorch's compiler taking most of them
    python benchmarks/on_gpu.py --minutes 5      # what is not done by then is not done
    python benchmarks/on_gpu.py --rounds 1 --peers none

A row of commands. Each writes its results as it gets them, the more telling first, so that a run that is cut short
leaves what it had measured; one that fails is noted, and the next begins. What is missing (PyTorch, JAX) is left out,
and the results say why. Of the ops these are attention and linear layers; for all of them there is
`python benchmarks/ops.py --device cuda`, two or three minutes more.
"""

import argparse
import subprocess
import sys
import time

import harness
import reporting


def commands(rounds: int, peers: list[str] | None) -> list[list[str]]:
    """The arguments of Python, one command after the other."""
    whom = [] if peers is None else ["--peers", *peers]
    return [
        ["-m", "tinygrad_gpt", "info"],
        ["benchmarks/ops.py", "--device", "cuda", "--rounds", str(rounds), "--op", "attention", "--op", "linear"],
        ["benchmarks/train_step.py", "--device", "cuda", "--rounds", str(rounds), *whom],
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="for all of it together (default 9)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds of each measurement (default 3)")
    parser.add_argument("--peers", nargs="*", help="of train_step.py (default: its own for a GPU)")
    options = parser.parse_args()

    began, failed = time.monotonic(), []
    for command in commands(options.rounds, options.peers):
        left = 60 * options.minutes - (time.monotonic() - began)
        shown = " ".join(["python", *command])
        print(f"\n== {shown}   ({time.monotonic() - began:.0f} s so far)", flush=True)
        try:
            subprocess.run([sys.executable, *command], cwd=harness.FOLDER.parent, check=True, timeout=max(left, 0))
        except subprocess.TimeoutExpired:
            failed.append(f"{shown}: cut short, the time was over")
        except subprocess.CalledProcessError as error:
            failed.append(f"{shown}: exit status {error.returncode}")
    print(f"\n{time.monotonic() - began:.0f} s; results are in {reporting.RESULTS}")
    for reason in failed:
        print(reason)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
