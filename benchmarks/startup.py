"""How long does one wait for the first training step of a small GPT (char-cpu), here and in PyTorch?

    python benchmarks/startup.py                          # table in benchmarks/results/
    python benchmarks/startup.py --rounds 5 --json result.json

    import  the package itself
    warm    from there to the end of the first step: import, model, optimiser, kernels from disk, the step
    cold    the same where no compiled kernel is on disk yet, as it is after installing, or, for torch.compile, in a
            model of a new shape

Every number is the median over fresh processes, in turns. Python's own start is not counted (it is the same for all);
files have been read before, and are in the system's cache. The losses of the first step must agree.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import harness
import numpy as np
import reporting
from sizes import CONFIGS, write_settings

OURS = "tinygrad_gpt"
SIDES = (OURS, "pytorch-eager-fused", "pytorch-compile-fused")
CACHES = {OURS: "NUMBA_CACHE_DIR", "pytorch-compile-fused": "TORCHINDUCTOR_CACHE_DIR"}  # where compiled code is kept


def first_step(side: str, settings: Path, cache: Path) -> dict:
    """One fresh process: import_s, first_step_s and the loss. Raises SystemExit where it fails."""
    done = subprocess.run(
        [sys.executable, str(harness.PEERS / "first_step.py"), str(settings), side],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | ({CACHES[side]: str(cache)} if side in CACHES else {}),
    )
    if done.returncode:
        raise harness.PeerFailed(side, harness.last_words(done.stderr) or f"status {done.returncode}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "seen" in answer:
        harness.SEEN[side] = answer.pop("seen")
    return answer


def measure(rounds: int, cold_rounds: int, sides: list[str]) -> list[dict]:
    """The record of each side that runs here."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = write_settings(folder, CONFIGS["char-cpu"], "float32")
        with harness.Peer(OURS, harness.PEERS / "ours.py", str(settings)):
            pass  # it has written the weights that all begin with
        cold: dict[str, list[dict]] = {side: [] for side in sides}
        warm: dict[str, list[dict]] = {side: [] for side in sides}
        for number in range(cold_rounds):
            for side in list(cold):
                print(f"{side}, cold ...", flush=True)
                try:
                    cold[side].append(first_step(side, settings, folder / f"{side}-{number}"))
                except harness.PeerFailed as failed:
                    print(failed)
                    del cold[side], warm[side]
        for _ in range(rounds):
            for side in warm:
                warm[side].append(first_step(side, settings, folder / f"{side}-{cold_rounds - 1}"))
    losses = [run["loss"] for runs in (*cold.values(), *warm.values()) for run in runs]
    if not np.allclose(losses, losses[0], rtol=2e-4):
        raise SystemExit(f"the first losses differ: {losses}")
    return [record(side, warm[side], cold[side]) for side in warm]


def record(side: str, warm: list[dict], cold: list[dict]) -> dict:
    """Medians, in seconds. For a side that compiles nothing, cold is None."""
    return {
        "side": side,
        "rounds": len(warm),
        "import_s": statistics.median(run["import_s"] for run in warm),
        "warm_s": statistics.median(run["first_step_s"] for run in warm),
        "cold_s": statistics.median(run["first_step_s"] for run in cold) if side in CACHES else None,
    }


def table(records: list[dict]) -> str:
    """The records as Markdown."""
    rows = [
        [r["side"], *("-" if r[key] is None else f"{r[key]:.2f}" for key in ("import_s", "warm_s", "cold_s"))]
        for r in records
    ]
    return harness.markdown_table(["seconds", "import", "to the first step, warm", "cold"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="warm processes of each side (default 5)")
    parser.add_argument("--cold-rounds", type=int, default=1, help="cold ones (default 1; PyTorch's take a minute)")
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=list(SIDES))
    options = harness.parse(parser)
    if min(options.rounds, options.cold_rounds) < 1:
        parser.error("expected at least one round")

    facts = harness.machine("numpy", "numba", "torch")
    print(harness.one_line(facts), flush=True)
    records = measure(options.rounds, options.cold_rounds, options.sides)
    print(f"\n{table(records)}")
    reporting.write_results("startup", facts, records, table, ("side",), options.json)


if __name__ == "__main__":
    main()
