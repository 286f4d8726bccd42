"""Hugging Face transformers' side of `relative.py`.

    python benchmarks/peers/hf_relative.py FOLDER MODEL     MODEL: Transformer-XL | XLNet

AdamW is torch's fused one. transformers' Transformer-XL begins a text with a memory of zeros: here with none, as in the
paper.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import relative
import torch
import transformers


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    warnings.simplefilter("ignore")

    def load(**settings):
        return getattr(transformers, relative.CLASSES[name]).from_pretrained(folder, **settings)

    def no_memory(model, batch: int):
        if name == relative.XLNET:
            return None
        return [torch.zeros(0, batch, model.config.d_model)] * model.config.n_layer

    def start(dropout: float | None) -> Callable[[dict], float]:
        return evaluation() if dropout is None else training(dropout)

    def training(dropout: float):
        model, mems = load(dropout=dropout).train(), None
        optimizer = torch.optim.AdamW(model.parameters(), **relative.ADAMW, fused=True)

        def step(given: dict) -> float:
            nonlocal mems
            given = {name: torch.from_numpy(array) for name, array in given.items()}
            mems = no_memory(model, len(given["input_ids"])) if mems is None else mems
            optimizer.zero_grad()
            out = model(**given, mems=mems)
            out.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), relative.MAX_NORM)
            optimizer.step()
            mems = out.mems
            return out.loss.item()

        return step

    def evaluation():
        model, mems = load().eval(), None

        @torch.inference_mode()
        def step(given: dict) -> float:
            nonlocal mems
            given = {name: torch.from_numpy(array) for name, array in given.items()}
            mems = no_memory(model, len(given["input_ids"])) if mems is None else mems
            out = model(**given, mems=mems)
            mems = out.mems
            return out.loss.item()

        return step

    harness.serve(relative.requests(name, folder, start))


if __name__ == "__main__":
    main()
