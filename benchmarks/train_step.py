"""How long does one training step take, here and in PyTorch?

    python benchmarks/train_step.py --config char-cpu --rounds 5 --json result.json
    python benchmarks/train_step.py                       # every configuration, table in benchmarks/results/

A step is what a trainer does: forward, backward, clip the gradient to norm 1, AdamW. Both sides build the same GPT from
the same weights, and before anything is timed, three steps on the same batches must give the same losses. Each side
lives in its own process (harness.py); they run in turns, and the ratios are medians over rounds.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import harness
import numpy as np

PEERS = Path(__file__).parent / "peers"
PYTORCH_VARIANTS = ("eager", "eager-fused")


@dataclass(frozen=True)
class Config:
    """One size of model and batch; names and letters as in the design's table of measurements."""

    name: str
    B: int
    T: int
    C: int
    layers: int
    heads: int
    V: int
    bias: bool
    steps: int  # per round, so that a round takes about a second or two


CONFIGS = {
    config.name: config
    for config in (
        Config("char-cpu", 12, 64, 128, 4, 4, 65, False, 40),
        Config("char-gpu", 16, 256, 384, 6, 6, 65, False, 1),
        Config("gpt2-124m", 4, 64, 768, 12, 12, 50257, True, 1),
        Config("gpt2-124m-1k", 1, 1024, 768, 12, 12, 50257, True, 1),
    )
}


def batches(config: Config, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`count` batches of random ids: inputs (B, T) and targets (B, T)."""
    rng = np.random.default_rng(0)
    ids = rng.integers(config.V, size=(count, config.B, config.T + 1))
    return [(row[:, :-1].copy(), row[:, 1:].copy()) for row in ids]


def validate(peers: list[harness.Peer]) -> None:
    """Three steps must give the same losses everywhere: the same model, the same gradients, the same update."""
    losses = {peer.name: peer.ask("losses", steps=3) for peer in peers}
    ours = losses["tinygrad_gpt"]
    for name, theirs in losses.items():
        if not np.allclose(theirs, ours, rtol=2e-4):
            raise SystemExit(f"{name} computes another function than tinygrad_gpt: losses {theirs}, ours {ours}")


def measure(config: Config, rounds: int, variants: tuple[str, ...]) -> dict:
    """Time one configuration on every side. Returns the record that goes into the JSON file."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.json"
        settings.write_text(json.dumps(asdict(config) | {"weights": str(Path(folder) / "weights.safetensors")}))
        ours = harness.Peer("tinygrad_gpt", PEERS / "ours.py", str(settings))  # writes the weights the others load
        peers = [ours]
        for variant in variants:
            peers.append(harness.Peer(f"pytorch-{variant}", PEERS / "pytorch.py", str(settings), variant))
        validate(peers)
        times = harness.in_turns(peers, rounds, {"call": "time", "steps": config.steps})
        memory = {peer.name: peer.ask("peak") for peer in peers}
        for peer in peers:
            peer.close()
    ms = {name: statistics.median(values) for name, values in times.items()}
    record = {
        "config": config.name,
        "ours_ms": ms.pop("tinygrad_gpt"),
        "ours_peak_mib": memory["tinygrad_gpt"],
        "peers": {name: {"ms": ms[name], "peak_mib": memory[name]} for name in ms},
    }
    if ms:
        fastest = min(ms, key=ms.get)
        record["fastest_pytorch"] = fastest
        record["ratio_fastest_pytorch"] = harness.median_ratio(times[fastest], times["tinygrad_gpt"])
    return record


def table(records: list[dict]) -> str:
    """The records as Markdown: milliseconds per step, the ratio to the fastest PyTorch, peak memory."""
    names = list(records[0]["peers"])
    header = ["step (ms)", "tinygrad_gpt", *names, "times as fast", "peak MiB, ours / PyTorch's least"]
    rows = []
    for record in records:
        least = min((peer["peak_mib"] for peer in record["peers"].values()), default=float("nan"))
        rows.append(
            [
                record["config"],
                f"{record['ours_ms']:.1f}",
                *(f"{record['peers'][name]['ms']:.1f}" for name in names),
                f"{record.get('ratio_fastest_pytorch', float('nan')):.2f}",
                f"{record['ours_peak_mib']:.0f} / {least:.0f}",
            ]
        )
    return harness.markdown_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=list(CONFIGS), action="append", help="which sizes (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds after one to warm up (default 5)")
    parser.add_argument("--variants", nargs="*", default=list(PYTORCH_VARIANTS), help="of PyTorch; none: ours alone")
    parser.add_argument("--json", type=Path, help="write the record(s) to this file instead of benchmarks/results/")
    options = parser.parse_args()

    facts = harness.machine("numpy", "numba", "torch")
    print(harness.one_line(facts))
    records = []
    for name in options.config or CONFIGS:
        records.append(measure(CONFIGS[name], options.rounds, tuple(options.variants)))
        print(f"\n{table(records[-1:])}", flush=True)
    result = records[0] if options.config and len(records) == 1 else records
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    else:
        harness.write_results("train_step", facts, records, table(records))


if __name__ == "__main__":
    main()
