"""tinygrad_gpt's side of `bert.py`.

python benchmarks/peers/ours_bert.py FOLDER
"""

import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import bert
import harness

from tinygrad_gpt import memory, no_grad, optim
from tinygrad_gpt.models import BertForPreTraining, BertModel


def main() -> None:
    folder = sys.argv[1]
    memory.keep_freed_memory()

    @cache
    def learner(dropout: float):
        """A step of pre-training from the folder's weights."""
        settings = dict(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
        model = BertForPreTraining.from_pretrained(folder, **settings).train()
        optimizer = optim.AdamW(
            model.parameters(), lr=bert.LR, betas=bert.BETAS, eps=bert.EPS, weight_decay=bert.WEIGHT_DECAY
        )

        def step(given: dict) -> float:
            optimizer.zero_grad()
            loss = model.loss(**given).total
            loss.backward()
            optimizer.step(optim.clip_scale(optim.grad_norm(optimizer.parameters()), bert.MAX_NORM))
            return loss.item()

        return step, model.config.vocab_size

    def train(batch: int, length: int, check: bool = False):
        step, vocab_size = learner(0.0 if check else bert.DROPOUT)
        given = bert.pairs(batch, length, vocab_size)
        if check:
            losses = [step(given) for _ in range(3)]
            learner.cache_clear()
            return losses
        return harness.timed(lambda: step(given))

    @cache
    def encoder() -> BertModel:
        return BertModel.from_pretrained(folder).eval()

    @no_grad()
    def infer(batch: int, length: int, padded: bool, check: bool = False):
        model = encoder()
        ids, mask = bert.texts(batch, length, model.config.vocab_size, padded)
        if check:
            return (model(ids, mask).last_hidden_state.numpy() * mask[:, :, None]).reshape(-1).tolist()
        return harness.timed(lambda: model(ids, mask), bert.calls(batch))

    harness.serve({"train": train, "infer": infer, "forget_peak": harness.forget_peak, "peak": harness.peak_mib})


if __name__ == "__main__":
    main()
