"""Record tests/golden: two small random checkpoints of transformers, and what transformers computes with them.

    python tests/reference/record_golden.py

The tests that read them (tests/models/test_golden.py) need neither PyTorch nor transformers. The weights are saved in
float32; everything computed is float64, so that either precision can be held against it.

    FAMILY/config.json, model.safetensors   as save_pretrained of transformers writes them
    FAMILY/expected.safetensors             inputs and outputs, see `expected`
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import GPT2Config, GPT2LMHeadModel, OpenAIGPTConfig, OpenAIGPTLMHeadModel

GOLDEN = Path(__file__).parents[1] / "golden"
SHAPE = dict(vocab_size=29, n_positions=17, n_embd=12, n_layer=2, n_head=3)
NO_TOKENS = dict(bos_token_id=None, eos_token_id=None)
CHECKPOINTS = {
    "gpt2": (
        GPT2LMHeadModel,
        GPT2Config(
            **SHAPE,
            **NO_TOKENS,
            n_inner=20,
            layer_norm_epsilon=1e-3,
            scale_attn_by_inverse_layer_idx=True,
            tie_word_embeddings=False,
        ),
    ),
    "openai-gpt": (OpenAIGPTLMHeadModel, OpenAIGPTConfig(**SHAPE, **NO_TOKENS)),
}
NEW_TOKENS = 8
GRADIENTS = ("h.0.attn.c_attn.weight", "h.0.attn.c_proj.bias", "h.1.mlp.c_fc.weight", "h.1.ln_2.weight")


def randomise(model, seed: int) -> None:
    """Every parameter normal, with a standard deviation that gives each layer's output about the variance of its
    input; norms around 1."""
    rng = np.random.default_rng(seed)
    for name, p in model.named_parameters():
        std = p.shape[0] ** -0.5 if ".c_" in name and p.ndim == 2 else 0.3
        mean = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
        p.data = torch.from_numpy(rng.normal(mean, std, p.shape)).to(p.dtype)


def expected(model) -> dict[str, np.ndarray]:
    """Inputs, and outputs of a model in float64:

    ids, labels               (2, 11); some labels are -100
    logits, loss              of them, unpadded
    hidden.I, attention.I     for each layer
    gradient.NAME             of the loss, for a few parameters, in transformers' layout
    mask, positions           (2, 11): the first row is padded on the left, the second on the right
    padded_logits             of the same ids with them; only real positions mean something
    greedy                    (2, NEW_TOKENS): what follows the ids' first 5 of each row, the likeliest token each time
    """
    rng = np.random.default_rng(1)
    ids = rng.integers(0, SHAPE["vocab_size"], (2, 11))
    labels = np.where(rng.random(ids.shape) < 0.2, -100, ids)
    mask = np.ones_like(ids)
    mask[0, :4] = 0
    mask[1, 9:] = 0
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0) * mask
    tensors = [torch.from_numpy(a) for a in (ids, labels, mask, positions)]
    output = model(tensors[0], output_hidden_states=True, output_attentions=True)
    # transformers computes its loss in float32, whatever the model's dtype
    loss = torch.nn.functional.cross_entropy(output.logits[:, :-1].flatten(0, 1), tensors[1][:, 1:].flatten())
    loss.backward()
    gradients = dict(model.transformer.named_parameters())
    padded = model(tensors[0], attention_mask=tensors[2], position_ids=tensors[3])
    text = tensors[0][:, :5]
    for _ in range(NEW_TOKENS):
        text = torch.cat([text, model(text).logits[:, -1].argmax(-1, keepdim=True)], dim=1)
    found = {
        "logits": output.logits,
        "loss": loss,
        "padded_logits": padded.logits,
        "greedy": text[:, 5:],
        **{f"hidden.{i}": x for i, x in enumerate(output.hidden_states)},
        **{f"attention.{i}": x for i, x in enumerate(output.attentions)},
        **{f"gradient.transformer.{name}": gradients[name].grad for name in GRADIENTS},
    }
    found = {name: np.ascontiguousarray(x.detach().numpy()) for name, x in found.items()}
    return {"ids": ids, "labels": labels, "mask": mask, "positions": positions} | found


def main() -> None:
    for i, (name, (model_class, config)) in enumerate(CHECKPOINTS.items()):
        folder = GOLDEN / name
        shutil.rmtree(folder, ignore_errors=True)
        model = model_class._from_config(config, attn_implementation="eager")
        randomise(model, seed=i)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink()
        save_file(expected(model.eval().double()), folder / "expected.safetensors")
        print(folder, sum(file.stat().st_size for file in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main()
