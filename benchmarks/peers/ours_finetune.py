"""tinygrad_gpt's side of `finetune.py`.

python benchmarks/peers/ours_finetune.py FOLDER T
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import finetune
import harness

from tinygrad_gpt import memory, optim
from tinygrad_gpt.models import GPT2
from tinygrad_gpt.tasks.perplexity import evaluate_sliding


def main() -> None:
    folder, block_size = sys.argv[1], int(sys.argv[2])
    memory.keep_freed_memory()
    model = GPT2.from_pretrained(folder)
    groups = optim.decay_matrices(model.named_parameters(), finetune.WEIGHT_DECAY)
    optimizer = optim.AdamW(groups, lr=finetune.LR, betas=finetune.BETAS, eps=finetune.EPS)

    def train(batch_size: int, recompute: bool) -> dict:
        """One update; dropout is off, so that both sides compute the same."""
        ids = finetune.batch(batch_size, block_size, model.config.vocab_size)
        model.recompute = recompute
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
        optimizer.step(optim.clip_scale(optim.grad_norm(optimizer.parameters()), finetune.MAX_NORM))
        value = loss.item()
        return {"loss": value, "seconds": time.perf_counter() - start, "tokens": batch_size * block_size}

    def evaluate() -> dict:
        tokens = finetune.stream(block_size, model.config.vocab_size)
        start = time.perf_counter()
        score = evaluate_sliding(model, tokens, block_size, block_size // 2)
        return {"loss": score.loss, "seconds": time.perf_counter() - start, "tokens": score.tokens}

    harness.serve({"train": train, "evaluate": evaluate, "forget_peak": harness.forget_peak, "peak": harness.peak_mib})


if __name__ == "__main__":
    main()
