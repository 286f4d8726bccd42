"""tinygrad_gpt's side of `train_step.py`. It also writes the weights that the other sides load.

python benchmarks/peers/ours.py SETTINGS.json
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
from safetensors.numpy import save_file
from train_step import Config, batches

from tinygrad_gpt import array, optim
from tinygrad_gpt.models.gpt import GPT, GPTConfig


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    weights = settings.pop("weights")
    config = Config(**settings)
    array.keep_freed_memory()
    array.manual_seed(0)
    model = GPT(
        GPTConfig(
            vocab_size=config.V,
            block_size=config.T,
            n_layer=config.layers,
            n_head=config.heads,
            n_embd=config.C,
            bias=config.bias,
        )
    )
    save_file(model.state_dict(), weights)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)
    data = batches(config, 4)
    steps_done = 0

    def step() -> float:
        nonlocal steps_done
        ids, targets = data[steps_done % len(data)]
        steps_done += 1
        optimizer.zero_grad()
        loss = model.loss(ids, targets)
        loss.backward()
        norm = optim.grad_norm(optimizer.parameters())
        optimizer.step(optim.clip_scale(norm, 1.0))
        return loss.item()

    harness.serve_training(step)


if __name__ == "__main__":
    main()
