"""How many tokens a second does the model write, here and in Hugging Face transformers, and how many could it?

    python benchmarks/generate.py --config gpt2-124m --rounds 5 --json result.json
    python benchmarks/generate.py                          # every configuration, table in benchmarks/results/

One sequence, a prompt of 16 tokens, keys and values cached; then several prompts of different lengths side by side,
padded on the left, and beam search. Both sides have the same weights, and before anything is timed they must score the
token after the prompt alike and write the same tokens when they take the likeliest one, or search for the likeliest
text. Each side lives in its own process (harness.py); they run in turns, and the ratios are medians over rounds.
transformers runs eagerly and, for one sequence, also with a static cache and torch.compile, where that works.

The bound. One sequence uses every weight once for each token, so a model larger than the caches can write no more
tokens than its weights can be read. How fast that is, a loop on all cores tells that only reads: it goes over an array
as large as what a token reads, every few tokens while tokens are written, since the speed of a shared machine's memory
changes from one second to the next.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import harness
import numpy as np
import reporting

PEERS = Path(__file__).parent / "peers"
PROMPT = 16  # tokens
MODES = {  # ways to draw a token
    "greedy": {"temperature": 0.0},
    "sample": {"temperature": 1.0},
    "top-50": {"temperature": 1.0, "top_k": 50},
}
BATCHES = {  # how many prompts, and how many beams for each
    "4 prompts": (4, 1),
    "8 prompts": (8, 1),
    "4 beams": (1, 4),
    "4 prompts, 4 beams": (4, 4),
}
BATCH_TOKENS = 64  # to write after each of several prompts


@dataclass(frozen=True)
class Config:
    """One size of model; letters as in train_step.py."""

    name: str
    T: int
    C: int
    layers: int
    heads: int
    V: int
    tokens: int  # to write after the prompt, by default

    def bytes_per_token(self, tokens: int) -> int:
        """What one new token reads at least, in float32: every parameter but the rows of the two embeddings that it
        does not use (the tied head reads the token embedding), and the keys and values so far, half of the end's."""
        block = 12 * self.C**2 + 13 * self.C
        weights = self.V * self.C + self.layers * block + 2 * self.C
        cache = 2 * self.layers * self.C * (PROMPT + tokens // 2)
        return 4 * (weights + cache)


CONFIGS = {
    config.name: config
    for config in (
        Config("char-cpu", 256, 128, 4, 4, 65, 192),
        Config("gpt2-124m", 1024, 768, 12, 12, 50257, 256),
    )
}


def prompt(config: Config) -> list[int]:
    """PROMPT ids, the same on both sides."""
    return np.random.default_rng(0).integers(config.V, size=PROMPT).tolist()


def prompts(config: Config, count: int) -> list[list[int]]:
    """Ids of several prompts, of half to twice PROMPT tokens."""
    rng = np.random.default_rng(1)
    return [rng.integers(config.V, size=rng.integers(PROMPT // 2, 2 * PROMPT)).tolist() for _ in range(count)]


def validate(peers: list[harness.Peer], tokens: int, batches: bool) -> None:
    """Every side must score the first new token alike, and write the same tokens wherever none is drawn; after several
    prompts only with `batches`."""
    ours = peers[0]
    scores, written = ours.ask("scores"), ours.ask("write", tokens=tokens)
    texts_after = {batch: ours.ask("write_batch", batch=batch) for batch in BATCHES} if batches else {}
    for peer in peers[1:]:
        theirs = np.array(peer.ask("scores"))
        if not np.allclose(theirs, scores, rtol=1e-3, atol=1e-3 * np.abs(scores).max()):
            raise SystemExit(f"{peer.name} computes another function than {ours.name}")
        text = peer.ask("write", tokens=tokens)
        if text != written:
            first = next(i for i, (a, b) in enumerate(zip(text, written, strict=True)) if a != b)
            raise SystemExit(f"{peer.name} writes other tokens than {ours.name} from number {first} on")
        for batch, texts in texts_after.items():
            if peer.ask("write_batch", batch=batch) != texts:
                raise SystemExit(f"{peer.name} writes other tokens than {ours.name} after {batch}")


def measure(config: Config, rounds: int, tokens: int, with_peers: bool) -> dict:
    """Time one configuration on every side. Returns the record that goes into the JSON file."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.json"
        settings.write_text(json.dumps(asdict(config) | {"weights": str(Path(folder) / "weights.safetensors")}))
        peers = [harness.Peer("tinygrad_gpt", PEERS / "ours_generate.py", str(settings))]  # writes the weights
        compiled = None
        if with_peers:
            peers.append(harness.Peer("transformers", PEERS / "hf_generate.py", str(settings)))
            compiled = _compiled_peer(peers[0], settings, tokens)
        validate(peers, tokens, batches=True)
        speeds = {}
        for mode in MODES:
            sides = [*peers, compiled] if compiled else peers
            speeds[mode] = harness.in_turns(sides, rounds, {"call": "speed", "mode": mode, "tokens": tokens})
        if compiled:
            compiled.close()
        for batch in BATCHES:
            speeds[batch] = harness.in_turns(peers, rounds, {"call": "speed_of_batch", "batch": batch})
        size = config.bytes_per_token(tokens)
        shares = [peers[0].ask("against_reading", tokens=tokens, size=size) for _ in range(rounds)]
        for peer in peers:
            peer.close()
    by_mode = {mode: _record(answers) for mode, answers in speeds.items()}
    return {
        "config": config.name,
        "tokens": tokens,
        "rounds": rounds,
        **by_mode["greedy"],
        "mib_per_token": size / (1 << 20),
        "read_gb_per_s": statistics.median(share["read_gb_per_s"] for share in shares),
        "bound_tokens_per_s": statistics.median(share["bound_tokens_per_s"] for share in shares),
        "share_of_bound": statistics.median(share["share_of_bound"] for share in shares),
        "modes": by_mode,
    }


def _compiled_peer(ours: harness.Peer, settings: Path, tokens: int) -> harness.Peer | None:
    """transformers with torch.compile, validated for one prompt; None, and a line that says why, where it ends."""
    try:
        peer = harness.Peer("transformers-compiled", PEERS / "hf_generate.py", str(settings), "compiled")
        validate([ours, peer], tokens, batches=False)
    except harness.PeerFailed as failed:
        print(f"left out: {failed}", flush=True)
        return None
    return peer


def _record(answers: dict[str, list[float]]) -> dict:
    """What one way of drawing gave: medians over rounds, and the ratio of ours to the fastest peer's."""
    medians = {name: statistics.median(values) for name, values in answers.items()}
    record = {"ours_tokens_per_s": medians.pop("tinygrad_gpt"), "peers": medians}
    if medians:
        fastest = max(medians, key=medians.get)
        record["ratio"] = harness.median_ratio(answers["tinygrad_gpt"], answers[fastest])
    return record


def table(records: list[dict]) -> str:
    """The records as Markdown: tokens per second, the ratio to the fastest peer, the share of the bound."""
    names = list(records[0]["peers"])
    header = ["tokens per second", "how", "tinygrad_gpt", *names, "times as fast", "bound", "share of bound"]
    rows = []
    for record in records:
        for mode, result in record["modes"].items():
            greedy = mode == "greedy"  # the one for which the bound was measured
            rows.append(
                [
                    f"{record['config']}, {BATCH_TOKENS if mode in BATCHES else record['tokens']} tokens",
                    mode,
                    f"{result['ours_tokens_per_s']:.1f}",
                    *(f"{result['peers'][name]:.1f}" if name in result["peers"] else "-" for name in names),
                    f"{result.get('ratio', float('nan')):.2f}",
                    f"{record['bound_tokens_per_s']:.1f} ({record['read_gb_per_s']:.0f} GB/s)" if greedy else "",
                    f"{record['share_of_bound']:.0%}" if greedy else "",
                ]
            )
    return harness.markdown_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=list(CONFIGS), action="append", help="which sizes (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds after one to warm up (default 5)")
    parser.add_argument("--tokens", type=int, help="how many to write (default: what the configuration says)")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    options = harness.parse(parser)

    facts = harness.machine("numpy", "numba", "torch", "transformers")
    print(harness.one_line(facts))
    records = []
    for name in options.config or CONFIGS:
        config = CONFIGS[name]
        records.append(measure(config, options.rounds, options.tokens or config.tokens, not options.no_peers))
        print(f"\n{table(records[-1:])}", flush=True)
    if options.json:
        reporting.write_json(options.json, records[0] if options.config and len(records) == 1 else records)
    else:
        reporting.write_results("generate", facts, records, table, ("config", "tokens"))


if __name__ == "__main__":
    main()
