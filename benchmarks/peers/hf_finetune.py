"""Hugging Face transformers' side of `finetune.py`: GPT-2 as their Trainer steps it, eagerly.

    python benchmarks/peers/hf_finetune.py FOLDER T

That is scaled_dot_product_attention, gradient checkpointing where asked for, and torch's AdamW, fused.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import finetune
import harness
import torch
from torch.nn import functional as F
from transformers import GPT2LMHeadModel


def main() -> None:
    folder, block_size = sys.argv[1], int(sys.argv[2])
    model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="sdpa")
    model.config.use_cache = False
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attn_dropout"):
            module.attn_dropout.p = 0.0
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=finetune.LR,
        betas=finetune.BETAS,
        eps=finetune.EPS,
        weight_decay=finetune.WEIGHT_DECAY,
        fused=True,
    )

    def train(batch_size: int, recompute: bool) -> dict:
        """One update; dropout is off, so that both sides compute the same."""
        ids = torch.from_numpy(finetune.batch(batch_size, block_size, model.config.vocab_size))
        model.train()  # checkpointing wants it
        if recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        else:
            model.gradient_checkpointing_disable()
        start = time.perf_counter()
        optimizer.zero_grad()
        logits = model(ids[:, :-1]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        del logits
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), finetune.MAX_NORM)
        optimizer.step()
        value = loss.item()
        return {"loss": value, "seconds": time.perf_counter() - start, "tokens": batch_size * block_size}

    @torch.inference_mode()
    def evaluate() -> dict:
        """Their guide's loop (https://huggingface.co/docs/transformers/perplexity), its mean taken over tokens."""
        ids = torch.from_numpy(finetune.stream(block_size, model.config.vocab_size))[None]
        model.eval()
        start = time.perf_counter()
        total, count, previous_end = 0.0, 0, 0
        for begin in range(0, ids.shape[1], block_size // 2):
            end = min(begin + block_size, ids.shape[1])
            labels = ids[:, begin:end].clone()
            labels[:, : previous_end - begin] = -100
            asked = int((labels[:, 1:] != -100).sum())
            total += model(ids[:, begin:end], labels=labels).loss.item() * asked
            count += asked
            previous_end = end
            if end == ids.shape[1]:
                break
        return {"loss": total / count, "seconds": time.perf_counter() - start, "tokens": count}

    harness.serve({"train": train, "evaluate": evaluate, "forget_peak": harness.forget_peak, "peak": harness.peak_mib})


if __name__ == "__main__":
    main()
