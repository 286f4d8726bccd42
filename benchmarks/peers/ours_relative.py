"""tinygrad_gpt's side of `relative.py`.

python benchmarks/peers/ours_relative.py FOLDER MODEL     MODEL: Transformer-XL | XLNet
"""

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import relative

from tinygrad_gpt import memory, models, no_grad, optim


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    memory.keep_freed_memory()

    def load(**settings):
        return getattr(models, relative.CLASSES[name]).from_pretrained(folder, **settings)

    def start(dropout: float | None) -> Callable[[dict], float]:
        return evaluation() if dropout is None else training(dropout)

    def training(dropout: float):
        model, mems = load(dropout=dropout).train(), None
        optimizer = optim.AdamW(model.parameters(), **relative.ADAMW)

        def step(given: dict) -> float:
            nonlocal mems
            optimizer.zero_grad()
            out = model(**given, mems=mems)
            out.loss.backward()
            optimizer.step(optim.clip_scale(optim.grad_norm(optimizer.parameters()), relative.MAX_NORM))
            mems = out.mems
            return out.loss.item()

        return step

    def evaluation():
        model, mems = load().eval(), None

        @no_grad()
        def step(given: dict) -> float:
            nonlocal mems
            out = model(**given, mems=mems)
            mems = out.mems
            return out.loss.item()

        return step

    harness.serve(relative.requests(name, folder, start))


if __name__ == "__main__":
    main()
