"""Presets: whole recipes by name. Options on the command line change single settings."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A named recipe.

    purpose  what it is for, in a line
    model    fields of GPTConfig that differ from their defaults; None if the model that --from names decides. Of
             another kind of model, those of its shape: TransformerXLShape, BertShape, ...
    train    fields of the task's settings (NextTokenConfig, StreamConfig, ...) and of TrainConfig that differ from
             their defaults
    kind     of model: gpt, transformer-xl, bert, xlnet or transformer
    """

    name: str
    purpose: str
    model: dict[str, Any] | None
    train: dict[str, Any]
    kind: str = "gpt"


def _shape(layers: int, heads: int, channels: int, block: int, **others) -> dict[str, Any]:
    return dict(n_layer=layers, n_head=heads, n_embd=channels, block_size=block) | others


# What GPT-1 is pre-trained with at any size (section 4.1); beta2 is Adam's own default, since the paper names none.
_GPT1 = dict(tokenizer="gpt1", min_lr=0.0, beta2=0.999, weight_decay=0.01)

# What BERT is pre-trained with at any size (section A.2).
_BERT = dict(min_lr=0.0, schedule="linear", beta2=0.999, weight_decay=0.01)

# What a Transformer is trained with at any size (section 5.3). Its clipping is ours, and rarely does anything.
_TRANSFORMER = dict(schedule="inverse_sqrt", min_lr=0.0, beta2=0.98, eps=1e-9, weight_decay=0.0)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "quick",
            "the most that 90 seconds on two cores can learn: start here",
            # In a short time, a small model that reads much learns more than a large one that reads little. Its
            # learning rate is several times nanoGPT's.
            _shape(3, 3, 96, 64, bias=False),
            dict(steps=3000, batch_size=16, lr=5e-3, min_lr=1e-4, warmup=100, beta2=0.99, weight_decay=0.1),
        ),
        Preset(
            "tiny",
            "a few seconds: for tests and lessons",
            _shape(2, 2, 32, 32),
            dict(steps=200, batch_size=8, warmup=20, eval_interval=100, checkpoint_interval=100, sample_tokens=200),
        ),
        Preset(
            "nanogpt-char-cpu",
            "nanoGPT's published recipe for characters on a laptop's CPU",
            _shape(4, 4, 128, 64, bias=False),
            dict(steps=2000, batch_size=12, lr=1e-3, min_lr=1e-4, warmup=100, beta2=0.99, weight_decay=0.1),
        ),
        Preset(
            "nanogpt-char-gpu",
            "nanoGPT's published recipe for characters on one GPU (on a CPU: hours)",
            _shape(6, 6, 384, 256, dropout=0.2, bias=False),
            dict(steps=5000, batch_size=64, lr=1e-3, min_lr=1e-4, warmup=100, beta2=0.99, weight_decay=0.1),
        ),
        Preset(
            "gpt2-124m",
            "the shape of the smallest GPT-2; for measuring speed, not for training on a CPU",
            _shape(12, 12, 768, 1024),
            dict(tokenizer="bpe", vocab=50257, steps=600_000, batch_size=4, checkpoint_interval=1000)
            | dict(lr=6e-4, min_lr=6e-5, warmup=2000, beta2=0.95),
        ),
        Preset(
            "gpt1",
            "GPT-1 as the paper pre-trains it (section 4.1); on a CPU: years",
            _shape(12, 12, 768, 512, dropout=0.1, norm="post"),
            # 100 epochs of the paper's corpus of about a billion tokens. 40,000 merges, and the characters they join.
            _GPT1 | dict(vocab=40_478, steps=3_000_000, batch_size=64, lr=2.5e-4, warmup=2000),
        ),
        Preset(
            "gpt1-small",
            "a small GPT-1, about eight minutes on two cores: to fine-tune afterwards",
            _shape(4, 4, 128, 64, dropout=0.1, norm="post"),
            _GPT1 | dict(vocab=4096, steps=4000, batch_size=32, lr=1e-3, warmup=200),
        ),
        Preset(
            "transformer-xl-char",
            "a Transformer-XL by characters, some 5 minutes on two cores: it remembers what it read before its window",
            # Wide initial matrices and a high learning rate bring a model of this size further in the same time.
            # Training sees distances below 128; those that a longer memory brings, in evaluation, count as 128.
            dict(n_layer=4, n_head=4, n_embd=128, memory=64, clamp=128, dropout=0.1, initializer_range=0.06),
            dict(window=64, steps=4000, batch_size=12, lr=4e-3, min_lr=1e-4, warmup=200, beta2=0.99, weight_decay=0.1)
            | dict(eval_interval=500),
            kind="transformer-xl",
        ),
        Preset(
            "bert-small",
            "half of Google's BERT-Tiny, some 10 minutes on two cores: to fill gaps, and to fine-tune afterwards",
            # A masked LM sees nothing of a gap's own place, so it learns nothing until attention finds the words beside
            # it. Sinusoids, wide initial matrices and no dropout bring that forward by thousands of steps.
            _shape(2, 2, 64, 64, dropout=0.0, initializer_range=0.1),
            _BERT
            | dict(first_positions="sinusoids", vocab=4000, weight_decay=0.1)
            | dict(steps=5000, batch_size=64, lr=3e-3, warmup=250, eval_interval=500, checkpoint_interval=500),
            kind="bert",
        ),
        Preset(
            "bert-tiny",
            "a BERT a quarter as wide as Google's BERT-Tiny, a few seconds: for tests and lessons",
            _shape(2, 2, 32, 32, dropout=0.0, initializer_range=0.1),
            _BERT
            | dict(vocab=1000, steps=100, batch_size=8, lr=3e-3, warmup=20, eval_interval=50, checkpoint_interval=50)
            | dict(eval_tokens=1000),
            kind="bert",
        ),
        Preset(
            "xlnet-small",
            "a small XLNet, 12 minutes on one core: to fill gaps in any order, and to fine-tune afterwards",
            dict(n_layer=2, n_head=2, n_embd=64, dropout=0.0, initializer_range=0.1),
            _BERT
            | dict(block_size=64, vocab=4000, weight_decay=0.1)
            | dict(steps=5000, batch_size=64, lr=3e-3, warmup=250, eval_interval=500, checkpoint_interval=500),
            kind="xlnet",
        ),
        Preset(
            "xlnet-tiny",
            "an XLNet that learns little, a few seconds: for tests and lessons",
            dict(n_layer=2, n_head=2, n_embd=32, dropout=0.0, initializer_range=0.1),
            _BERT
            | dict(block_size=32, vocab=1000, steps=100, batch_size=8, lr=3e-3, warmup=20, eval_interval=50)
            | dict(checkpoint_interval=50, eval_tokens=1000),
            kind="xlnet",
        ),
        Preset(
            "transformer-tiny",
            "a translator, after the published recipe for Multi30k, half an hour on two cores",
            # (Wu et al., "Good for misconceived reasons", 2021: of three sizes, the smallest was the best.) The shape
            # and the mean of ten are theirs; the rest is what an hour of one core learns most with. With their learning
            # rate, 5e-3, four fifths of the relu units in three of the encoder's blocks were dead after 2,000 steps,
            # and BLEU was 12 instead of 31.
            _shape(4, 4, 128, 128, n_inner=256, dropout=0.2),
            _TRANSFORMER
            | dict(tokenizer="unigram", vocab=4000, steps=4500, batch_tokens=4096, lr=2e-3, warmup=800)
            | dict(schedule="cosine", log_interval=50, eval_interval=500, checkpoint_interval=100, bleu_pairs=200)
            | dict(average=10, average_interval=20),
            kind="transformer",
        ),
        Preset(
            "transformer-toy",
            "a translator that learns a few words, a few seconds: for tests and lessons",
            _shape(1, 2, 32, 64, n_inner=64, dropout=0.0),
            _TRANSFORMER
            | dict(vocab=1000, steps=100, batch_tokens=512, lr=5e-3, warmup=50)
            | dict(eval_interval=50, checkpoint_interval=50, eval_pairs=50),
            kind="transformer",
        ),
        Preset(
            "transformer-base",
            "the paper's base model (table 3); for measuring speed, not for training on a CPU",
            _shape(6, 8, 512, 256),
            # Its highest learning rate is that of the paper's schedule, 1/√(512 · 4000).
            _TRANSFORMER | dict(vocab=37_000, steps=100_000, batch_tokens=25_000, lr=7e-4, warmup=4000, average=5),
            kind="transformer",
        ),
        Preset(
            "finetune",
            "continues from a trained model; the default with --from",
            None,
            # The defaults of transformers' run_clm example, except the number of steps (there: three epochs).
            dict(tokenizer="own", batches="epochs", steps=100, batch_size=8, schedule="linear", sample_tokens=100)
            | dict(lr=5e-5, min_lr=0.0, warmup=0, beta2=0.999, weight_decay=0.0)
            | dict(log_interval=1, eval_interval=0, checkpoint_interval=50),
        ),
    )
}
DEFAULT, DEFAULT_FROM = "quick", "finetune"
LONGEST_WINDOW = 1024  # tokens, the default limit of a run with --from
