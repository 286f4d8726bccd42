"""How fast is a BERT, at its pre-training and at making vectors of texts, here and in Hugging Face transformers?

    python benchmarks/bert.py                            # table in benchmarks/results/
    python benchmarks/bert.py --rounds 30 --only MiniLM
    python benchmarks/bert.py --model ../minilm          # a folder of a real encoder instead of random weights

A pre-training step is what the trainer of each side does for a batch: forward with dropout 0.1, backward, the
gradient clipped to norm 1, AdamW. One model has the shape of the preset bert-small (2 layers, 64 channels, a vocabulary
of 4,000), the other that of Google's BERT-Mini (4 layers, 256 channels), with a vocabulary of 8,192. Most of a batch is
no gap: 15 % of the places have a label.

    transformers             BertForPreTraining as its users call it: scores of all tokens at every place, and the loss
                             over those with a label. tinygrad_gpt scores the places with a label only
    transformers, gathered   the same weights in a loop written for this benchmark, which also gathers the places with a
                             label before it scores: the same work on both sides

Inference is the last hidden state of an encoder of MiniLM's shape (6 layers, 384 channels), 128 tokens, in batches of 1
and 32: full texts, and texts of a quarter of that up to nearly all of it, with padding behind them.

transformers runs with each of its two attentions for the CPU, "sdpa" and "eager", and the faster counts. Both sides
load one folder, and must give the same losses (three updates without dropout) or hidden states, to 1e-4, before
anything is timed. Each side lives in a process of its own (harness.py). They take many short turns, so that other work
on the machine meets all of them. Times are medians over rounds, "times as fast" is the median of the ratios round by
round. Beside it stands the same of the processor time of all threads together, which other work hardly changes (but
threads that wait for each other may use it up); the load of the machine stands below. --threads 1 makes both agree.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import harness
import numpy as np
import reporting

OURS = "tinygrad_gpt"
EAGER, SDPA = "transformers eager", "transformers sdpa"
GATHERED = ", gathered"
BERT_SMALL = dict(
    vocab_size=4000, hidden_size=64, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256,
    max_position_embeddings=64,
)  # fmt: skip
BERT_MINI = dict(
    vocab_size=8192, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
    max_position_embeddings=128,
)  # fmt: skip
MINILM = dict(
    vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
    max_position_embeddings=512,
)  # fmt: skip
T, MASKED = 128, 0.15
LR, BETAS, EPS, WEIGHT_DECAY, MAX_NORM = 1e-4, (0.9, 0.999), 1e-6, 0.01, 1.0
DROPOUT = 0.1
TOLERANCE = 1e-4


def texts(batch: int, length: int, vocab_size: int, padded: bool) -> tuple[np.ndarray, np.ndarray]:
    """Random ids and their attention mask, both (B, T)."""
    rng = np.random.default_rng(0)
    ids = rng.integers(5, vocab_size, size=(batch, length))
    lengths = np.linspace(length // 4, length, batch + 2)[1:-1].astype(int) if padded else np.full(batch, length)
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    return ids * mask, mask


def pairs(batch: int, length: int, vocab_size: int) -> dict[str, np.ndarray]:
    """A batch of pre-training, by the names of BertForPreTraining's arguments."""
    rng = np.random.default_rng(1)
    ids, mask = texts(batch, length, vocab_size, padded=False)
    segments = (np.arange(length) >= rng.integers(2, length, size=(batch, 1))).astype(np.int64)
    labels = np.where(rng.random(ids.shape) < MASKED, ids, -100)
    labels[:, 0] = -100
    follows = rng.integers(2, size=batch)
    return dict(input_ids=ids, attention_mask=mask, token_type_ids=segments, labels=labels, next_sentence_label=follows)


def calls(batch: int) -> int:
    """How many calls of an encoder one turn has."""
    return max(1, 8 // batch)


def write_random(folder: Path, shape: dict, pretraining: bool) -> None:
    """Write a Hugging Face folder with random weights."""
    from tinygrad_gpt import random_stream
    from tinygrad_gpt.models import BertConfig, BertForPreTraining, BertModel

    random_stream.manual_seed(0)
    (BertForPreTraining if pretraining else BertModel)(BertConfig(**shape)).save_pretrained(folder)


def tasks(batch: int, batches: tuple[int, ...], length: int = T) -> list[dict]:
    """What is timed: its name, which folder it reads, the sides, and the request."""
    sides = [OURS, SDPA, EAGER]
    train = [
        {
            "task": f"pre-training step, {name}, B={rows}, T={positions}",
            "folder": name,
            "sides": [*sides, SDPA + GATHERED, EAGER + GATHERED],
            "request": {"call": "train", "batch": rows, "length": positions},
        }
        for name, rows, positions in (("bert-small", 2 * batch, length // 2), ("BERT-Mini", batch, length))
    ]
    inference = [
        {
            "task": f"inference, MiniLM, B={size}, T={length}{', padded' if padded else ''}",
            "folder": "inference",
            "sides": sides,
            "request": {"call": "infer", "batch": size, "length": length, "padded": padded},
        }
        for size in batches
        for padded in (False, True)
    ]
    return [*train, *inference]


def start(side: str, folder: Path, threads: int | None) -> harness.Peer:
    env = harness.on_threads(threads)
    if side == OURS:
        return harness.Peer(side, harness.PEERS / "ours_bert.py", str(folder), env=env)
    attention = "sdpa" if side.startswith(SDPA) else "eager"
    how = "gathered" if side.endswith(GATHERED) else "all"
    return harness.Peer(side, harness.PEERS / "hf_bert.py", str(folder), attention, how, env=env)


def measure(task: dict, folder: Path, rounds: int, threads: int | None = None) -> dict:
    """Compare, then time, one task on all its sides; see harness.measure."""
    starts = [partial(start, side, folder, threads) for side in task["sides"]]
    return harness.measure(task["task"], starts, task["request"], rounds, TOLERANCE)


def table(records: list[dict]) -> str:
    """The records as Markdown: a row for each way in which transformers does a task, at its faster attention."""
    header = ["ms (peak MiB)", OURS, "transformers", "its attention", "times as fast", "by processor time"]
    rows = []
    for r in records:
        ratios = r["ms"]["ratio"]
        for how in ("", GATHERED):
            theirs = [side for side in ratios if side.endswith(GATHERED) == bool(how)]
            if theirs:
                side = min(theirs, key=ratios.get)
                cells = [f"{r['ms']['median'][s]:.1f} ({r['peak_mib'][s]:.0f})" for s in (OURS, side)]
                faster = [f"{r[kind]['ratio'][side]:.2f}" for kind in ("ms", "cpu_ms")]
                what = f"{r['task']}{', they gather too' if how else ''}"
                rows.append([what, *cells, side.removesuffix(GATHERED).rpartition(" ")[2], *faster])
    return harness.with_loads(harness.markdown_table(header, rows), records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="Hugging Face folder of an encoder to infer with (default: random)")
    parser.add_argument("--rounds", type=int, default=20, help="timed rounds after one to warm up (default 20)")
    parser.add_argument("--threads", type=int, help="of every side (default: as many as there are cores)")
    parser.add_argument("--only", default="", help="those tasks only whose name has this in it")
    options = harness.parse(parser)

    facts = harness.machine_of(options.threads)
    print(harness.one_line(facts))
    records = []
    with tempfile.TemporaryDirectory() as temporary:
        folders = {name: Path(temporary) / name for name in ("bert-small", "BERT-Mini", "inference")}
        write_random(folders["bert-small"], BERT_SMALL, pretraining=True)
        write_random(folders["BERT-Mini"], BERT_MINI, pretraining=True)
        if options.model:
            folders["inference"] = options.model
        else:
            write_random(folders["inference"], MINILM, pretraining=False)
        for task in tasks(32, (1, 32)):
            if options.only in task["task"]:
                records.append(measure(task, folders[task["folder"]], options.rounds, options.threads))
                print(f"\n{table(records[-1:])}", flush=True)
    suffix = "_one_thread" if options.threads == 1 else ""
    reporting.write_results(f"bert{suffix}", facts, records, table, ("task",), options.json)


if __name__ == "__main__":
    main()
