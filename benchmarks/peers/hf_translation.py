"""Hugging Face transformers' side of `translation.py`: MarianMTModel.

    python benchmarks/peers/hf_translation.py FOLDER ATTENTION     ATTENTION: sdpa | eager

AdamW is torch's fused one.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness
import torch
import translation
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import MarianConfig, MarianMTModel

IN_A_BLOCK = {  # our module in a block -> theirs; a tuple: one of ours stands for several of theirs
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out": ("self_attn.out_proj",),
    "attention_norm": ("self_attn_layer_norm",),
    "cross_attention.q": ("encoder_attn.q_proj",),
    "cross_attention.kv": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "cross_attention.out": ("encoder_attn.out_proj",),
    "cross_attention_norm": ("encoder_attn_layer_norm",),
    "feed_forward.up": ("fc1",),
    "feed_forward.down": ("fc2",),
    "feed_forward_norm": ("final_layer_norm",),
}


def their_names(ours: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """tinygrad_gpt's weights under the names that MarianMTModel has for them."""
    shared = ours["token_embedding.weight"]
    names = ("model.shared", "model.encoder.embed_tokens", "model.decoder.embed_tokens", "lm_head")
    theirs = {f"{name}.weight": shared for name in names}
    for name, array in ours.items():
        half, *rest = name.split(".")
        if half in ("encoder", "decoder"):
            number, *module, kind = rest
            modules = IN_A_BLOCK[".".join(module)]
            for theirs_is, piece in zip(modules, array.chunk(len(modules)), strict=True):
                theirs[f"model.{half}.layers.{number}.{theirs_is}.{kind}"] = piece
    return theirs


def main() -> None:
    folder, attention = Path(sys.argv[1]), sys.argv[2]
    size = translation.read_size(folder)
    shape = dict(size.shape)
    del shape["positions"]  # "halves", as Marian's always are

    def load(**settings) -> MarianMTModel:
        """The folder's model, with other settings."""
        config = MarianConfig(
            **shape | settings,
            activation_function="relu",
            scale_embedding=True,
            attention_dropout=0.0,
            forced_eos_token_id=translation.END,
            attn_implementation=attention,
        )
        model = MarianMTModel(config)
        missing, unexpected = model.load_state_dict(
            their_names(load_file(folder / "weights.safetensors")), strict=False
        )
        if unexpected or any("embed_positions" not in name and name != "final_logits_bias" for name in missing):
            raise SystemExit(f"weights that don't fit MarianMTModel: {missing}, {unexpected}")
        return model

    def learn(**settings):
        model = load(**settings).train()
        optimizer = torch.optim.AdamW(model.parameters(), **translation.ADAMW, fused=True)

        def update(batch: dict) -> float:
            optimizer.zero_grad()
            labels = batch["labels"].flatten()
            logits = model(**{name: a for name, a in batch.items() if name != "labels"}).logits
            loss = F.cross_entropy(logits.flatten(0, 1), labels, label_smoothing=translation.SMOOTHING)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), translation.MAX_NORM)
            optimizer.step()
            return loss.item()

        return update

    def translator():
        model = load().eval()
        ids, mask = map(torch.from_numpy, translation.sources(size))
        how = dict(num_beams=translation.BEAMS, max_new_tokens=size.written, do_sample=False, early_stopping=False)

        @torch.inference_mode()
        def translate() -> list[list[int]]:
            return model.generate(ids, attention_mask=mask, **how)[:, 1:].tolist()

        return translate

    given = [{name: torch.from_numpy(a) for name, a in batch.items()} for batch in translation.batches(size)]
    harness.serve(translation.requests(learn, translator, given))


if __name__ == "__main__":
    main()
