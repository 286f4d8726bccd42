"""Hugging Face transformers' side of `bert.py`.

    python benchmarks/peers/hf_bert.py FOLDER ATTENTION HOW     ATTENTION: sdpa | eager   HOW: all | gathered

AdamW is torch's fused one. "gathered" scores tokens at the places with a label only, as tinygrad_gpt does, which
transformers' BertForPreTraining does not.
"""

import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import bert
import harness
import torch
from torch.nn import functional as F
from transformers import BertForPreTraining, BertModel


def gathered_loss(model, input_ids, attention_mask, token_type_ids, labels, next_sentence_label):
    out = model.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
    has_label = labels != -100
    scores = model.cls.predictions(out.last_hidden_state[has_label])  # (P, C) -> (P, V)
    follows = model.cls.seq_relationship(out.pooler_output)
    return F.cross_entropy(scores, labels[has_label]) + F.cross_entropy(follows, next_sentence_label)


def main() -> None:
    folder, attention, how = sys.argv[1:]

    @cache
    def learner(dropout: float):
        """A step of pre-training from the folder's weights."""
        settings = dict(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
        model = BertForPreTraining.from_pretrained(folder, attn_implementation=attention, **settings).train()
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=bert.LR,
            betas=bert.BETAS,
            eps=bert.EPS,
            weight_decay=bert.WEIGHT_DECAY,
            fused=True,
        )

        def step(given: dict) -> float:
            optimizer.zero_grad()
            loss = gathered_loss(model, **given) if how == "gathered" else model(**given).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), bert.MAX_NORM)
            optimizer.step()
            return loss.item()

        return step, model.config.vocab_size

    def train(batch: int, length: int, check: bool = False):
        step, vocab_size = learner(0.0 if check else bert.DROPOUT)
        given = {name: torch.from_numpy(a) for name, a in bert.pairs(batch, length, vocab_size).items()}
        if check:
            losses = [step(given) for _ in range(3)]
            learner.cache_clear()
            return losses
        return harness.timed(lambda: step(given))

    @cache
    def encoder():
        return BertModel.from_pretrained(folder, attn_implementation=attention).eval()

    @torch.inference_mode()
    def infer(batch: int, length: int, padded: bool, check: bool = False):
        model = encoder()
        ids, mask = map(torch.from_numpy, bert.texts(batch, length, model.config.vocab_size, padded))
        if check:
            return (model(ids, mask).last_hidden_state * mask[:, :, None]).flatten().tolist()
        return harness.timed(lambda: model(ids, mask), bert.calls(batch))

    harness.serve({"train": train, "infer": infer, "forget_peak": harness.forget_peak, "peak": harness.peak_mib})


if __name__ == "__main__":
    main()
