"""Hugging Face transformers' side of `generate.py`: GPT-2 with its own `generate`, at its best.

    python benchmarks/peers/hf_generate.py SETTINGS.json             eager, a growing cache
    python benchmarks/peers/hf_generate.py SETTINGS.json compiled    a static cache, and torch.compile

That is scaled_dot_product_attention, the key-value cache, no gradients, and no stop token to look for. They compile for
a GPU only, unless the settings say that the CPU is meant too; "reduce-overhead" is for a GPU.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import torch
from generate import BATCH_TOKENS, BATCHES, MODES, Config, prompt, prompts
from safetensors.torch import load_file
from transformers import CompileConfig, GPT2Config, GPT2LMHeadModel

from tinygrad_gpt.generate import pad_left

# Their module in a block, ours, and whether they keep the matrix transposed.
IN_A_BLOCK = (
    ("ln_1", "attention_norm", False),
    ("attn.c_attn", "attention.qkv", True),
    ("attn.c_proj", "attention.out", True),
    ("ln_2", "feed_forward_norm", False),
    ("mlp.c_fc", "feed_forward.up", True),
    ("mlp.c_proj", "feed_forward.down", True),
)


def their_names(ours: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """tinygrad_gpt's weights under the names that GPT2LMHeadModel has for them."""
    theirs = {
        "transformer.wte.weight": ours["token_embedding.weight"],
        "transformer.wpe.weight": ours["position_embedding.weight"],
        "lm_head.weight": ours["token_embedding.weight"],
        "transformer.ln_f.weight": ours["final_norm.weight"],
        "transformer.ln_f.bias": ours["final_norm.bias"],
    }
    for i in range(layers):
        for their_name, our_name, transposed in IN_A_BLOCK:
            weight = ours[f"blocks.{i}.{our_name}.weight"]
            theirs[f"transformer.h.{i}.{their_name}.weight"] = weight.T.contiguous() if transposed else weight
            theirs[f"transformer.h.{i}.{their_name}.bias"] = ours[f"blocks.{i}.{our_name}.bias"]
    return theirs


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    weights = settings.pop("weights")
    config = Config(**settings)
    shape = GPT2Config(
        vocab_size=config.V,
        n_positions=config.T,
        n_embd=config.C,
        n_layer=config.layers,
        n_head=config.heads,
        attn_implementation="sdpa",
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    model = GPT2LMHeadModel(shape).eval()
    model.load_state_dict(their_names(load_file(weights), config.layers))
    ids = torch.tensor([prompt(config)])
    attention_mask = torch.ones_like(ids)
    caching = {"use_cache": True}
    if "compiled" in sys.argv[2:]:
        compile_config = CompileConfig(mode="default")
        compile_config._compile_all_devices = True
        caching |= {"cache_implementation": "static", "compile_config": compile_config}

    @torch.inference_mode()
    def write(tokens: int, mode: str = "greedy") -> list[int]:
        drawing = {"do_sample": False}
        if mode != "greedy":
            drawing = {"do_sample": True, "top_k": 0} | MODES[mode]
        how = caching | drawing
        written = model.generate(ids, attention_mask=attention_mask, max_new_tokens=tokens, **how)
        return written[0, ids.shape[1] :].tolist()

    def speed(mode: str, tokens: int) -> float:
        start = time.perf_counter()
        written = len(write(tokens, mode))
        return written / (time.perf_counter() - start)

    @torch.inference_mode()
    def write_batch(batch: str) -> list[list[int]]:
        count, beams = BATCHES[batch]
        padded, mask = map(torch.from_numpy, pad_left(prompts(config, count), 0))
        how = {"max_new_tokens": BATCH_TOKENS, "num_beams": beams, "do_sample": False}
        return model.generate(padded, attention_mask=mask, **how)[:, padded.shape[1] :].tolist()

    def speed_of_batch(batch: str) -> float:
        start = time.perf_counter()
        written = sum(map(len, write_batch(batch)))
        return written / (time.perf_counter() - start)

    @torch.inference_mode()
    def scores() -> list[float]:
        return model(ids, attention_mask=attention_mask).logits[0, -1].tolist()

    harness.serve(
        {
            "scores": scores,
            "write": write,
            "speed": speed,
            "write_batch": write_batch,
            "speed_of_batch": speed_of_batch,
        }
    )


if __name__ == "__main__":
    main()
