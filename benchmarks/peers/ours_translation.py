"""tinygrad_gpt's side of `translation.py`.

python benchmarks/peers/ours_translation.py FOLDER
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import translation
from safetensors.numpy import load_file

from tinygrad_gpt import memory, optim
from tinygrad_gpt.models.transformer import Transformer, TransformerConfig


def main() -> None:
    folder = Path(sys.argv[1])
    size = translation.read_size(folder)
    memory.keep_freed_memory()

    def load(**settings) -> Transformer:
        """The folder's model, with other settings."""
        model = Transformer(TransformerConfig(**size.shape | settings))
        model.load_state_dict(load_file(folder / "weights.safetensors"))
        return model

    def learn(**settings):
        model = load(**settings).train()
        optimizer = optim.AdamW(model.parameters(), **translation.ADAMW)

        def update(batch: dict) -> float:
            optimizer.zero_grad()
            ids, mask, read, labels = batch.values()
            loss = model.loss(ids, mask, read, labels, label_smoothing=translation.SMOOTHING).total
            loss.backward()
            optimizer.step(optim.clip_scale(optim.grad_norm(optimizer.parameters()), translation.MAX_NORM))
            return loss.item()

        return update

    def translator():
        model = load().eval()
        ids, mask = translation.sources(size)
        how = dict(num_beams=translation.BEAMS, max_new_tokens=size.written, suppress_tokens=())

        def translate() -> list[list[int]]:
            return model.generate(ids, mask, **how)[:, 1:].tolist()

        return translate

    harness.serve(translation.requests(learn, translator, translation.batches(size)))


if __name__ == "__main__":
    main()
