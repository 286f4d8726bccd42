"""How long does one training step take, here and elsewhere?

    python benchmarks/train_step.py --config char-cpu --rounds 5 --json result.json
    python benchmarks/train_step.py --peers all           # every configuration, table in benchmarks/results/
    python benchmarks/train_step.py --config char-cpu --T 256 --layers 8 --peers pytorch-eager-fused
    python benchmarks/train_step.py --dtype bfloat16      # our matrix products in bfloat16, theirs in float32
    python benchmarks/train_step.py --config char-cpu --beside 1      # while another process keeps a core busy
    python benchmarks/train_step.py --device cuda         # on an NVIDIA GPU, all sides in bfloat16, TF32 and float32

A step is what a trainer does: forward, backward, clip the gradient to norm 1, AdamW. All sides build the same GPT from
the same weights, and before anything is timed, three steps on the same batches must give the same losses. Each side
lives in its own process (harness.py); they run in turns of about a second, and a side that waits sleeps. Milliseconds
are medians over the rounds; ratios are medians of the ratios round by round, so that both sides of a ratio meet the
same machine.

Peak memory is the most that a side's process has resident during the timed rounds, its framework's code, weights,
gradients and optimiser state included; what a compiler needed before them is not (forgotten after the warm-up, on
Linux; elsewhere the peak is that of the whole life of the process).

On a GPU nothing waits for a step but the next one, and for the last of a turn the clock. All sides compute in the same
precision: PyTorch's bfloat16 is its autocast, its TF32 set_float32_matmul_precision("high"); weights are float32. Peak
memory is what the GPU gets back when a side's process ends, context, code and caches included (nvidia-smi; frameworks
keep what they once asked for); the JSON file has the side's own account beside it: the peak of what arrays took, of
ours what CuPy's pool has, without that of the recorded step. The share is of the fastest large matrix product of the
same precision in this run, cuBLAS's called by us or by PyTorch.

The result is written whenever a configuration is done.

A peer that is not installed, or cannot run here, is left out, and the result says why.
"""

import argparse
import contextlib
import itertools
import statistics
import tempfile
from pathlib import Path

import harness
import isa
import numpy as np
import reporting
from sizes import CONFIGS, ON_CPU, ON_CUDA, Config, write_settings

OURS = "tinygrad_gpt"
SCRIPTS = {  # peer -> its file, and what it is told
    "pytorch-eager": ("pytorch.py", "eager"),
    "pytorch-eager-fused": ("pytorch.py", "eager-fused"),
    "pytorch-compile": ("pytorch.py", "compile"),
    "pytorch-compile-fused": ("pytorch.py", "compile-fused"),
    "jax": ("jax_jit.py",),
    "tinygrad": ("tinygrad_jit.py",),
    "mygrad": ("mygrad_eager.py",),
    "autograd": ("hips_autograd.py",),
}
PYTORCH = tuple(name for name in SCRIPTS if name.startswith("pytorch"))
GROUPS = {"pytorch": PYTORCH, "gpu": ("pytorch-eager-fused", "pytorch-compile-fused", "jax")}
GROUPS |= {"all": tuple(SCRIPTS), "none": ()}
SMALL_ONLY, SMALL = {"tinygrad", "mygrad", "autograd"}, 2e10  # a step of more operations takes these very long
TOLERANCE = {"float32": 2e-4, "tf32": 2e-3, "bfloat16": 1e-2}  # relative, of a loss; 24, 11, 8 bits of each factor
ON = {  # device -> configurations, peers and dtypes, unless others are asked for
    "cpu": (ON_CPU, ["pytorch"], ["float32"]),
    "cuda": (ON_CUDA, ["gpu"], ["bfloat16", "tf32", "float32"]),
}
PRODUCT = 8192  # size of the matrices whose product is a GPU's peak
SECONDS = 1.0  # of a turn


def operations(config: Config) -> float:
    """Floating-point operations in a step's matrix products: 2 forward and 4 backward for each weight and token."""
    weights = config.layers * 12 * config.C**2 + config.V * config.C
    attention = config.layers * config.C * config.T  # causal: each query meets T/2 keys, for q kᵀ and for P v
    return 6 * config.B * config.T * (weights + attention)


def start(names: list[str], config: Config, settings: Path, left_out: dict[str, str]) -> dict[str, harness.Peer]:
    """The peers that run here; for the others, `left_out` gets the reason."""
    peers = {}
    for name in names:
        script, *arguments = SCRIPTS[name]
        if name in SMALL_ONLY and operations(config) > SMALL:
            left_out[name] = "only asked for small sizes: the rounds would take it many minutes"
            continue
        if name == "tinygrad" and isa.pinned():
            left_out[name] = "it compiles for the processor it finds, and cannot be pinned"
            continue
        try:
            peers[name] = harness.Peer(name, harness.PEERS / script, str(settings), *arguments)
        except harness.PeerFailed as failed:
            left_out[name] = failed.why
    return peers


def validate(
    ours: harness.Peer, peers: dict[str, harness.Peer], rtol: float, left_out: dict[str, str], device: str = "cpu"
) -> None:
    """Three steps must give the same losses everywhere: the same model, the same gradients, the same update.

    A peer that fails (many compile at their first step) is left out; one that computes something else is an error.
    Not so on a GPU, whose time is dear: that one is left out as well.
    """
    expected = ours.ask("losses", steps=3)
    for name, peer in list(peers.items()):
        try:
            losses = peer.ask("losses", steps=3)
        except harness.PeerFailed as failed:
            left_out[name] = failed.why
            peers.pop(name).close()
            continue
        if not np.allclose(losses, expected, rtol=rtol):
            why = f"computes another function than {OURS}: losses {losses}, ours {expected}"
            if device == "cpu":
                raise SystemExit(f"{name} {why}")
            left_out[name] = why
            peers.pop(name).close()


def measure(
    config: Config, rounds: int, names: list[str], dtype: str = "float32", device: str = "cpu", beside: int = 0
) -> dict:
    """Time one configuration on every side, beside so many busy processes. Returns the record that goes into the JSON
    file."""
    left_out: dict[str, str] = {}
    with contextlib.ExitStack() as closing:
        settings = write_settings(Path(closing.enter_context(tempfile.TemporaryDirectory())), config, dtype, device)
        ours = harness.Peer(OURS, harness.PEERS / "ours.py", str(settings))  # first: it writes the weights
        closing.callback(ours.close)
        peers = start(names, config, settings, left_out)
        for peer in peers.values():
            closing.callback(peer.close)
        validate(ours, peers, TOLERANCE[dtype], left_out, device)
        sides = [ours, *peers.values()]
        steps = {peer.name: max(1, round(1e3 * SECONDS / peer.ask("time", steps=2))) for peer in sides}
        closing.enter_context(harness.busy_processes(beside))
        for peer in sides:
            peer.ask("forget_peak")
        times = harness.in_turns(sides, rounds, lambda peer: {"call": "time", "steps": steps[peer.name]})
        memory = {peer.name: peer.ask("peak") for peer in sides}
        if device == "cpu":
            return record(config.name, dtype, times, memory, left_out) | ({"beside": beside} if beside else {})
        not_recorded = ours.ask("not_recorded")
        tflops = {peer.name: peer.ask("tflops", n=PRODUCT) for peer in sides if peer.name in (OURS, *PYTORCH)}
        held = {peer.name: given_back(peer) or memory[peer.name] for peer in sides}
    found = rates(config, times, memory, tflops) | {"not_recorded": not_recorded}
    return record(config.name, dtype, times, held, left_out) | found


def given_back(peer: harness.Peer) -> float | None:
    """MiB of the GPU's memory that are free once this peer has ended, and were not before; None if nobody knows."""
    before = harness.gpu_mib()
    peer.close()
    return None if before is None else before - harness.gpu_mib()


def rates(config: Config, times: dict[str, list], accounts: dict[str, float], tflops: dict[str, float]) -> dict:
    """What there is to know of a configuration on a GPU besides, of each side."""
    seconds = {name: statistics.median(values) / 1e3 for name, values in times.items()}
    peak = max(tflops.values())
    return {
        "device": "cuda",
        "product_tflops": tflops,
        "tokens_per_s": {name: config.B * config.T / s for name, s in seconds.items()},
        "share_of_peak": {name: operations(config) / s / 1e12 / peak for name, s in seconds.items()},
        "own_account_mib": accounts,
    }


def record(config: str, dtype: str, times: dict[str, list], memory: dict[str, float], left_out: dict) -> dict:
    """What is known of one configuration: medians, and the ratios that count (above 1: ours takes less time)."""
    ms = {name: statistics.median(values) for name, values in times.items()}
    ratio = {name: harness.median_ratio(times[name], times[OURS]) for name in times if name != OURS}
    fastest = min((name for name in ratio if name in PYTORCH), key=ms.get, default=None)
    return {
        "config": config,
        "dtype": dtype,
        "rounds": len(times[OURS]),
        "ours_ms": ms[OURS],
        "ours_peak_mib": memory[OURS],
        "peers": {name: {"ms": ms[name], "peak_mib": memory[name], "ratio": ratio[name]} for name in ratio},
        "fastest_pytorch": fastest,
        "ratio_fastest_pytorch": ratio.get(fastest),
        "ratio_default_adamw": ratio.get("pytorch-eager"),
        "memory_to_pytorch": memory[OURS] / min(memory[n] for n in ratio if n in PYTORCH) if fastest else None,
        "left_out": left_out,
    }


def table(records: list[dict]) -> str:
    """The records as Markdown: milliseconds per step and peak MiB of every side, and ours in proportion."""
    names = list(dict.fromkeys(name for r in records for name in (*r["peers"], *r["left_out"])))
    header = ["step: ms (peak MiB)", OURS, *names, "times as fast as the fastest PyTorch", "memory to PyTorch's least"]
    rows = []
    for r in records:
        cells = [f"{p['ms']:.1f} ({p['peak_mib']:.0f})" if (p := r["peers"].get(name)) else "-" for name in names]
        fast = "-" if r["fastest_pytorch"] is None else f"{r['ratio_fastest_pytorch']:.2f}"
        memory = "-" if r["fastest_pytorch"] is None else f"{r['memory_to_pytorch']:.2f}"
        ours = f"{r['ours_ms']:.1f} ({r['ours_peak_mib']:.0f})"
        what = f"{r['config']}, {r['dtype']}" + (f", beside {n} busy" if (n := r.get("beside")) else "")
        rows.append([what, ours, *cells, fast, memory])
    notes = [f"{name} is not in {r['config']}: {why}" for r in records for name, why in r["left_out"].items()]
    return "\n\n".join([harness.markdown_table(header, rows), *notes])


def cuda_table(records: list[dict]) -> str:
    """The same for a GPU, a row for each side."""
    header = ["step", "side", "ms", "tokens/s", "share of the product's peak", "MiB", "times ours takes less"]
    rows, notes = [], []
    for r in records:
        ours = {"ms": r["ours_ms"], "peak_mib": r["ours_peak_mib"]}
        for name, side in {OURS: ours, **r["peers"]}.items():
            ratio = f"{side['ratio']:.2f}" if "ratio" in side else ""
            rates = f"{r['tokens_per_s'][name]:.0f}", f"{r['share_of_peak'][name]:.2f}"
            what = f"{r['config']}, {r['dtype']}"
            rows.append([what, name, f"{side['ms']:.2f}", *rates, f"{side['peak_mib']:.0f}", ratio])
        peaks = ", ".join(f"{name} {tflops:.0f}" for name, tflops in r["product_tflops"].items())
        notes.append(f"{r['config']}, {r['dtype']}: TFLOP/s of a large product: {peaks}")
        notes += [f"{name} is not in {r['config']}, {r['dtype']}: {why}" for name, why in r["left_out"].items()]
        if r["not_recorded"]:
            notes.append(f"{r['config']}, {r['dtype']}: Python runs each of our steps: {r['not_recorded']}")
    return "\n\n".join([harness.markdown_table(header, rows), *notes])


def chosen_peers(words: list[str]) -> list[str]:
    """Names and groups of names as names, each once. Raises SystemExit for a word that is neither."""
    for word in words:
        if word not in SCRIPTS and word not in GROUPS:
            raise SystemExit(f"there is no peer {word!r}; there are {', '.join((*GROUPS, *SCRIPTS))}")
    return list(dict.fromkeys(name for word in words for name in GROUPS.get(word, (word,))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(ON), default="cpu", help="where all sides compute (default cpu)")
    parser.add_argument("--config", choices=list(CONFIGS), action="append", help="which sizes (default: the device's)")
    for letter, what in zip("BTCV", ("batch", "positions", "channels", "vocabulary"), strict=True):
        parser.add_argument(f"--{letter}", type=int, help=f"{what}, instead of the configuration's")
    parser.add_argument("--layers", type=int, help="likewise")
    parser.add_argument("--heads", type=int, help="likewise")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds after one to warm up (default 5)")
    parser.add_argument(
        "--dtype", choices=list(TOLERANCE), action="append", help="of our matrix products' inputs; on a GPU everybody's"
    )
    parser.add_argument("--beside", type=int, default=0, help="how many other processes keep cores busy (default 0)")
    parser.add_argument("--peers", nargs="*", help=f"of {', '.join((*GROUPS, *SCRIPTS))}")
    options = harness.parse(parser)

    configs, peers, dtypes = ON[options.device]
    configs, dtypes = options.config or configs, options.dtype or dtypes
    names = chosen_peers(peers if options.peers is None else options.peers)
    changes = {key: getattr(options, key) for key in ("B", "T", "C", "layers", "heads", "V")}
    facts = harness.machine("numpy", "numba", "torch", "jax", "tinygrad", "mygrad", "autograd")
    as_table, name_of_results = table, "train_step" + "".join(f"_{dtype}" for dtype in dtypes if dtype != "float32")
    if options.device == "cuda":
        facts |= harness.gpu() | harness.machine("cupy-cuda12x", "cupy-cuda13x")
        as_table, name_of_results = cuda_table, "train_step_cuda"
    print(harness.one_line(facts))
    records = []
    for dtype, config in itertools.product(dtypes, configs):
        try:
            size = CONFIGS[config].but(**changes)
            records.append(measure(size, options.rounds, names, dtype, options.device, options.beside))
        except SystemExit as failed:  # a side of ours
            if options.device == "cpu":
                raise
            print(f"\n{config}, {dtype} is left out: {failed}", flush=True)
            continue
        print(f"\n{as_table(records[-1:])}", flush=True)
        if options.json:
            reporting.write_json(options.json, records[0] if options.config and len(records) == 1 else records)
        else:
            reporting.write_results(name_of_results, facts, records, as_table, ("config", "dtype", "beside"))


if __name__ == "__main__":
    main()
