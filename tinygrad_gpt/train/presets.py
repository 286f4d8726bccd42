"""Presets: whole recipes by name. Options on the command line change single settings of one."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPTConfig, count_parameters
from tinygrad_gpt.train.config import MODEL_FIELDS, SETTINGS, TRAIN_FIELDS, TrainConfig, option_name


@dataclass(frozen=True)
class Preset:
    """A named recipe.

    purpose  what it is for, in a line
    model    GPTConfig's fields, all but vocab_size; None where the model that --from names has them
    train    the fields of TrainConfig that differ from their defaults
    """

    name: str
    purpose: str
    model: dict[str, Any] | None
    train: dict[str, Any] = field(default_factory=dict)


def _shape(layers: int, heads: int, channels: int, block: int, **others) -> dict[str, Any]:
    return dict(n_layer=layers, n_head=heads, n_embd=channels, block_size=block) | others


# What GPT-1 is pre-trained with at any size (section 4.1); beta2 is Adam's own default, since the paper names none.
_GPT1 = dict(tokenizer="gpt1", min_lr=0.0, beta2=0.999, weight_decay=0.01)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "quick",
            "the most that 90 seconds on two cores can learn: start here",
            # In so short a time a small model that reads much learns more than a large one that reads little, and at a
            # learning rate several times nanoGPT's.
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
            dict(
                tokenizer="bpe",
                bpe_vocab=50257,
                batch_size=4,
                steps=600_000,
                lr=6e-4,
                min_lr=6e-5,
                warmup=2000,
                beta2=0.95,
                checkpoint_interval=1000,
            ),
        ),
        Preset(
            "gpt1",
            "GPT-1 as the paper pre-trains it (section 4.1); on a CPU: years",
            _shape(12, 12, 768, 512, dropout=0.1, norm="post"),
            # 100 epochs of the paper's corpus, of about a billion tokens. 40,000 merges, and the characters they join.
            _GPT1 | dict(bpe_vocab=40_478, steps=3_000_000, batch_size=64, lr=2.5e-4, warmup=2000),
        ),
        Preset(
            "gpt1-small",
            "GPT-1 in small, some eight minutes on two cores: to fine-tune afterwards",
            _shape(4, 4, 128, 64, dropout=0.1, norm="post"),
            _GPT1 | dict(bpe_vocab=4096, steps=4000, batch_size=32, lr=1e-3, warmup=200),
        ),
        Preset(
            "finetune",
            "going on from a trained model; the default with --from",
            None,
            # What transformers' run_clm example does by default, but for the number of steps (there: three epochs).
            dict(
                tokenizer="own",
                batches="epochs",
                steps=100,
                batch_size=8,
                lr=5e-5,
                min_lr=0.0,
                warmup=0,
                schedule="linear",
                beta2=0.999,
                weight_decay=0.0,
                log_interval=1,
                eval_interval=0,
                checkpoint_interval=50,
                sample_tokens=100,
            ),
        ),
    )
}
DEFAULT, DEFAULT_FROM = "quick", "finetune"
LONGEST_WINDOW = 1024  # tokens, where a run with --from does not say
# The settings of the model that may be given with --from: they change what training does, not the shape.
_DROPOUTS = ("dropout", "embd_pdrop", "attn_pdrop")


@dataclass(frozen=True)
class Settings:
    """Everything that was chosen for a run, before any data has been read.

    model  GPTConfig's fields, all but vocab_size, which the tokenizer decides, or the model that from_ names
    """

    preset: str
    model: dict[str, Any]
    train: TrainConfig

    def values(self) -> dict[str, Any]:
        """All settings, by name."""
        return self.model | dataclasses.asdict(self.train)

    @property
    def window(self) -> int:
        """How many tokens the model reads at once in training."""
        return self.train.window or self.model["block_size"]

    def gpt_config(self, vocab_size: int) -> GPTConfig:
        """The model's settings. Raises UserError for values that don't go together."""
        return GPTConfig(vocab_size=vocab_size, **self.model)

    def parameters(self, characters: int = 65) -> int:
        """How many numbers the model trains; with a character tokenizer, if the text has that many different ones."""
        vocab_size = self.train.bpe_vocab if self.train.tokenizer in ("bpe", "gpt1") else characters
        return count_parameters(self.gpt_config(vocab_size))


def resolve(
    preset: str | None = None, given: dict[str, Any] | None = None, source: GPTConfig | None = None
) -> Settings:
    """The settings of a preset (None: the default one), with those that were given by name in place of its own.

    source  the shape of the model that the setting from_ names; see source.choose_settings

    Raises UserError for a name that is no preset or no setting, and for values that cannot be.
    """
    given = given or {}
    name = preset or (DEFAULT_FROM if source else DEFAULT)
    if name not in PRESETS:
        raise UserError(f"there is no preset {shown(name)}; the presets are {', '.join(PRESETS)}")
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        raise UserError(f"there is no setting {shown(unknown[0])}; the settings are {', '.join(SETTINGS)}")
    train = dict(PRESETS[name].train)
    if source is not None:
        given = window_for_block_size(given)
        model = _model_from(source, given)
        train |= {"tokenizer": "own", "window": min(source.block_size, LONGEST_WINDOW)}
    elif PRESETS[name].model is None:
        raise UserError(f"the preset {name} goes on from a trained model: name one with --from")
    else:
        model = {f.name: f.default for f in MODEL_FIELDS if f.default is not dataclasses.MISSING} | PRESETS[name].model
        model |= {f.name: given[f.name] for f in MODEL_FIELDS if f.name in given}
    train |= {f.name: given[f.name] for f in TRAIN_FIELDS if f.name in given}
    settings = Settings(name, model, TrainConfig(**train))
    settings.gpt_config(vocab_size=1)  # raises for a model that cannot be
    check_together(settings)
    return settings


def window_for_block_size(given: dict[str, Any]) -> dict[str, Any]:
    """Settings given with --from, where block_size means the training window: the model keeps all its positions."""
    window = {"window": given["block_size"]} if "block_size" in given else {}
    return window | {name: value for name, value in given.items() if name != "block_size"}


def _model_from(source: GPTConfig, given: dict[str, Any]) -> dict[str, Any]:
    """The model's settings: the source's, with the dropouts that are given."""
    model = {f.name: getattr(source, f.name) for f in MODEL_FIELDS}
    fixed = [f.name for f in MODEL_FIELDS if f.name in given and f.name not in _DROPOUTS]
    if fixed:
        raise UserError(
            f"{option_name(fixed[0])} cannot be given with --from: the model that is named there has "
            f"{fixed[0]} {model[fixed[0]]}: leave it out"
        )
    if "dropout" in given:
        model |= dict.fromkeys(_DROPOUTS[1:])  # as dropout says, unless they are given, too
    return model | {name: given[name] for name in _DROPOUTS if name in given}


def check_together(settings: Settings) -> None:
    """Raise UserError for settings that are right each by itself."""
    if settings.window > settings.model["block_size"]:
        raise UserError(
            f"a window of {settings.window} tokens is more than the {settings.model['block_size']} positions "
            "of the model: take a smaller one"
        )
    if settings.train.tokenizer == "own" and not settings.train.from_:
        raise UserError("--tokenizer own is the tokenizer of the model that --from names: name one")
