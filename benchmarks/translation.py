"""How fast is an encoder-decoder Transformer, at a training step and at translating with beam search, here, made of
PyTorch's `nn.Transformer`, and as transformers' MarianMTModel?

    python benchmarks/translation.py                            # table in benchmarks/results/
    python benchmarks/translation.py --only step --rounds 30
    python benchmarks/translation.py --threads 1 --compile      # torch.compile as well; needs a C++ compiler

Two sizes: "tiny" is Multi30k's (4 + 4 layers, 128 channels, dropout 0.3), "base" the paper's (6 + 6 layers, 512
channels, dropout 0.1), both with 10,000 tokens for both languages.

A training step is what a trainer does for a batch: forward, the loss with label smoothing 0.1, backward, the gradient
clipped to norm 1, AdamW. Batches hold pairs of like length, as many as fit into a number of tokens with their padding;
sentences have 8 to 25 tokens. Steps go through all batches in turn.

Translating is beam search with 5 beams over a batch of sentences of different lengths, up to a number of tokens: random
weights seldom end a sentence before.

    transformers     MarianMTModel as its users call it; its own loss knows no label smoothing, so PyTorch's is computed
                     from its logits. `generate(num_beams=5)` keeps keys and values
    nn.Transformer   PyTorch's layers with what they lack: the shared embedding, positions, and a search. It encodes
                     once, and decodes all that is written for each further token, since these layers keep no keys and
                     values; only the last position's tokens are scored

transformers runs with each of its two attentions for the CPU, nn.Transformer with PyTorch's AdamW fused and not, and
the fastest counts. All sides have the same weights, and must give the same losses (three updates without dropout, to
1e-4) and write the same tokens before anything is timed. Each side lives in a process of its own (harness.py). They
take many short turns, so that other work on the machine meets all of them. Times are medians over rounds, "times as
fast" is the median of the ratios round by round. Beside it stands the same of the processor time of all threads
together, which other work hardly changes (but threads that wait for each other may use it up). --threads 1 makes both
agree.
"""

import argparse
import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import harness
import numpy as np
import reporting

OURS = "tinygrad_gpt"
MARIAN, TORCH = "transformers", "nn.Transformer"
SDPA, EAGER = f"{MARIAN} sdpa", f"{MARIAN} eager"
FUSED, UNFUSED, COMPILED = f"{TORCH} fused", f"{TORCH} unfused", f"{TORCH} compiled"
PAD, END = 0, 1
SMOOTHING, MAX_NORM = 0.1, 1.0
ADAMW = dict(lr=1e-4, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01)
BEAMS = 5
SHORTEST, LONGEST = 8, 25
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Size:
    """A model, and how much of it is timed.

    shape      settings of a TransformerConfig
    tokens     the most in a batch, padding included, of each language
    sentences  that are translated at once
    written    tokens of each translation
    """

    shape: dict
    tokens: int
    sentences: int
    written: int


def shape(layers: int, c: int, heads: int, hidden: int, **more) -> dict:
    """The settings of a Transformer whose two halves are alike."""
    halves = {
        f"{half}_{name}": value
        for half in ("encoder", "decoder")
        for name, value in (("layers", layers), ("attention_heads", heads), ("ffn_dim", hidden))
    }
    ids = dict(pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD)
    return dict(d_model=c, positions="halves", max_position_embeddings=128) | halves | ids | more


SIZES = {
    "tiny": Size(shape(4, 128, 4, 256, vocab_size=10_000, dropout=0.3), tokens=4096, sentences=32, written=24),
    "base": Size(shape(6, 512, 8, 2048, vocab_size=10_000, dropout=0.1), tokens=1024, sentences=8, written=24),
}


# --- what is translated ------------------------------------------------------------------------------------------


def padded(lengths: np.ndarray, vocab_size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sentences of random tokens that end as these lengths say, and their attention mask, both (B, T) with T the
    longest."""
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.int64)
    ids = rng.integers(END + 1, vocab_size, size=mask.shape) * mask
    ids[np.arange(len(ids)), lengths - 1] = END
    return ids, mask


def lengths_of_pairs(count: int, rng: np.random.Generator) -> np.ndarray:
    """How many tokens pairs of sentences have, (count, 2): those of a pair have about as many."""
    source = rng.normal(14, 4, size=count)
    both = np.stack([source, source + rng.normal(0, 1.5, size=count)], axis=1)
    return np.clip(np.rint(both), SHORTEST, LONGEST).astype(int)


def batches(size: Size) -> list[dict[str, np.ndarray]]:
    """Batches to learn from, shortest pairs first, by the names of MarianMTModel's arguments."""
    rng = np.random.default_rng(0)
    pairs = lengths_of_pairs(size.tokens // 4, rng)
    pairs = pairs[np.argsort(pairs.max(axis=1), kind="stable")]
    given, first = [], 0
    while first < len(pairs):
        fits = np.arange(1, len(pairs) - first + 1) * np.maximum.accumulate(pairs[first:].max(axis=1)) <= size.tokens
        chosen = pairs[first : first + np.count_nonzero(fits)]
        first += len(chosen)
        source, mask = padded(chosen[:, 0], size.shape["vocab_size"], rng)
        target, real = padded(chosen[:, 1], size.shape["vocab_size"], rng)
        read = np.concatenate([np.full((len(target), 1), PAD), target[:, :-1]], axis=1)
        labels = np.where(real == 1, target, -100)
        given.append(dict(input_ids=source, attention_mask=mask, decoder_input_ids=read, labels=labels))
    return given


def sources(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Sentences to translate and their attention mask."""
    rng = np.random.default_rng(1)
    return padded(lengths_of_pairs(size.sentences, rng)[:, 0], size.shape["vocab_size"], rng)


# --- the sides ---------------------------------------------------------------------------------------------------


def write_random(folder: Path, size: Size) -> None:
    """Write the size and random weights that all sides load, under tinygrad_gpt's names."""
    from safetensors.numpy import save_file

    from tinygrad_gpt import random_stream
    from tinygrad_gpt.models.transformer import Transformer, TransformerConfig

    random_stream.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "size.json").write_text(json.dumps(asdict(size)), encoding="utf-8")
    save_file(Transformer(TransformerConfig(**size.shape)).state_dict(), folder / "weights.safetensors")


def read_size(folder: Path) -> Size:
    """The size that was written there."""
    return Size(**json.loads((folder / "size.json").read_text(encoding="utf-8")))


def requests(learn: Callable, translator: Callable, given: list[dict]) -> dict[str, Callable]:
    """What a side answers.

    learn(**settings)  loads the model, with other settings; returns the update that learns from a batch and returns the
                       loss before that
    translator()       loads the model; returns the function that translates, to lists of tokens
    given              the batches

    Asked to `check`, a side returns numbers instead of a time.
    """

    @cache
    def training():
        return learn(), itertools.cycle(given)

    def train(check: bool = False) -> list[float] | dict[str, float]:
        if check:
            update = learn(dropout=0.0)
            return [update(batch) for batch in given[:3]]
        update, turns = training()
        batch = next(turns)
        return harness.timed(lambda: update(batch))

    translating = cache(translator)

    def translate(check: bool = False) -> list[list[int]] | dict[str, float]:
        return translating()() if check else harness.timed(translating())

    peak = {"forget_peak": harness.forget_peak, "peak": harness.peak_mib}
    return {"train": train, "translate": translate} | peak


def start(side: str, folder: Path, threads: int | None) -> harness.Peer:
    env = harness.on_threads(threads)
    library, _, how = side.partition(" ")
    peer = {OURS: "ours", MARIAN: "hf", TORCH: "torch"}[library]
    return harness.Peer(side, harness.PEERS / f"{peer}_translation.py", str(folder), *[how] * bool(how), env=env)


# --- measuring ---------------------------------------------------------------------------------------------------


def tasks(sizes: dict[str, Size], compiled: bool = False) -> list[dict]:
    """What is timed: its name, the size's, the sides, and the request."""
    learning = [OURS, SDPA, EAGER, FUSED, UNFUSED, *[COMPILED] * compiled]
    found = []
    for name, size in sizes.items():
        step = f"training step, {name}, {size.tokens} tokens"
        search = f"beam search, {name}, {size.sentences} sentences, {BEAMS} beams, {size.written} tokens"
        found.append({"task": step, "size": name, "sides": learning, "request": {"call": "train"}})
        request = {"call": "translate"}
        found.append({"task": search, "size": name, "sides": [OURS, SDPA, EAGER, FUSED], "request": request})
    return found


def measure(task: dict, folder: Path, rounds: int, threads: int | None = None) -> dict:
    """Compare, then time, one task on all its sides; see harness.measure."""
    starts = [partial(start, side, folder, threads) for side in task["sides"]]
    return harness.measure(task["task"], starts, task["request"], rounds, TOLERANCE)


def table(records: list[dict]) -> str:
    """The records as Markdown: a row for each task and library, at the library's fastest."""
    header = ["ms (peak MiB)", OURS, "peer", "its time", "times as fast", "by processor time"]
    rows = []
    for r in records:
        for library in (MARIAN, TORCH):
            ratios = {side: ratio for side, ratio in r["ms"]["ratio"].items() if side.startswith(library)}
            if ratios:
                side = min(ratios, key=ratios.get)
                ours, theirs = [f"{r['ms']['median'][s]:.1f} ({r['peak_mib'][s]:.0f})" for s in (OURS, side)]
                faster = [f"{r[kind]['ratio'][side]:.2f}" for kind in ("ms", "cpu_ms")]
                rows.append([r["task"], ours, side, theirs, *faster])
    return harness.with_loads(harness.markdown_table(header, rows), records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds after one to warm up (default 20)")
    parser.add_argument("--threads", type=int, help="of every side (default: as many as there are cores)")
    parser.add_argument("--only", default="", help="those tasks only whose name has this in it")
    parser.add_argument("--compile", action="store_true", help="also nn.Transformer through torch.compile")
    options = harness.parse(parser)

    facts = harness.machine_of(options.threads)
    print(harness.one_line(facts))
    records = []
    with tempfile.TemporaryDirectory() as temporary:
        for task in tasks(SIZES, options.compile):
            if options.only in task["task"]:
                folder = Path(temporary) / task["size"]
                write_random(folder, SIZES[task["size"]])
                records.append(measure(task, folder, options.rounds, options.threads))
                print(f"\n{table(records[-1:])}", flush=True)
    suffix = "_one_thread" if options.threads == 1 else ""
    reporting.write_results(f"translation{suffix}", facts, records, table, ("task",), options.json)


if __name__ == "__main__":
    main()
