"""The settings of a language model's run: a new one's, those in config.json, and those of a resumed one."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.models.gpt import GPTConfig, count_parameters
from tinygrad_gpt.settings import current_names, kept_settings, made_from, option_name
from tinygrad_gpt.tasks.next_token import NextTokenConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.extension import check_longer
from tinygrad_gpt.train.presets import DEFAULT, DEFAULT_FROM, LONGEST_WINDOW, PRESETS
from tinygrad_gpt.train.run_folder import RunFolder

# GPTConfig's vocab_size is not a setting: the tokenizer decides it.
MODEL_FIELDS = tuple(f for f in dataclasses.fields(GPTConfig) if f.name != "vocab_size")
SETTINGS = {f.name: f for f in (*MODEL_FIELDS, *dataclasses.fields(NextTokenConfig), *dataclasses.fields(TrainConfig))}
# The model's settings that may be given with --from: they change training, not the shape.
_DROPOUTS = ("dropout", "embd_pdrop", "attn_pdrop")


@dataclass(frozen=True)
class Settings:
    """All settings of a run, before any data is read.

    model  GPTConfig's fields without vocab_size, which the tokenizer decides, or the model that from_ names
    """

    preset: str
    model: dict[str, Any]
    task: NextTokenConfig
    train: TrainConfig

    count = staticmethod(count_parameters)

    def values(self) -> dict[str, Any]:
        """All settings, by name."""
        return self.model | dataclasses.asdict(self.task) | dataclasses.asdict(self.train)

    @property
    def window(self) -> int:
        """Tokens that the model reads at once in training."""
        return self.task.window or self.model["block_size"]

    def model_config(self, vocab_size: int) -> GPTConfig:
        """The model's settings. Raises UserError for values that do not go together."""
        return GPTConfig(vocab_size=vocab_size, **self.model)

    @staticmethod
    def options() -> dict[str, dataclasses.Field]:
        """All settings that may be given, by name."""
        return SETTINGS

    @staticmethod
    def resolve(preset: str | None, given: dict[str, Any], source: GPTConfig | None = None) -> "Settings":
        return resolve(preset, given, source)

    @staticmethod
    def read(written: dict[str, Any], folder: Path) -> "Settings":
        return settings_of(written, folder)

    def resumed(self, preset: str | None, given: dict[str, Any]) -> "Settings":
        return resumed_settings(self, preset, given)

    def parameters(self, characters: int = 65) -> int:
        """The number of parameters; with a character tokenizer, for a text of that many different characters."""
        vocab_size = self.task.vocab if self.task.tokenizer in ("bpe", "gpt1") else characters
        return count_parameters(self.model_config(vocab_size))


def resolve(
    preset: str | None = None, given: dict[str, Any] | None = None, source: GPTConfig | None = None
) -> Settings:
    """The settings of a preset (None: the default one), overridden by those given by name.

    source  the shape of the model that the setting from_ names; see any_run.choose_settings

    Raises UserError for an unknown preset or setting, and for values that are not allowed.
    """
    given = current_names(given or {}, SETTINGS)
    name = preset or (DEFAULT_FROM if source else DEFAULT)
    if name not in PRESETS:
        near = did_you_mean(name, PRESETS)
        raise UserError(f"there is no preset {shown(name)}{near}; the presets are {', '.join(PRESETS)}")
    unknown = sorted(set(given) - set(SETTINGS))
    if unknown:
        near = did_you_mean(unknown[0], SETTINGS)
        raise UserError(f"there is no setting {shown(unknown[0])}{near}; the settings are {', '.join(SETTINGS)}")
    train, shape = dict(PRESETS[name].train), PRESETS[name].model
    if source is not None:
        given = window_for_block_size(given)
        model = _model_from(source, given)
        train |= {"tokenizer": "own", "window": min(source.block_size, LONGEST_WINDOW)}
    elif shape is None:
        raise UserError(f"the preset {name} starts from a trained model: name one with --from")
    else:
        model = {f.name: given.get(f.name, shape.get(f.name, f.default)) for f in MODEL_FIELDS}
    values = train | given
    settings = Settings(name, model, made_from(NextTokenConfig, values), made_from(TrainConfig, values))
    settings.model_config(vocab_size=1)  # raises for a model that is not allowed
    _check_together(settings)
    return settings


def window_for_block_size(given: dict[str, Any]) -> dict[str, Any]:
    """The settings given with --from. Their block_size is the training window: the model keeps all its positions."""
    window = {"window": given["block_size"]} if "block_size" in given else {}
    return window | {name: value for name, value in given.items() if name != "block_size"}


def _model_from(source: GPTConfig, given: dict[str, Any]) -> dict[str, Any]:
    """The model's settings: those of the source, with the dropouts that are given."""
    model = {f.name: getattr(source, f.name) for f in MODEL_FIELDS}
    check_not_given([f.name for f in MODEL_FIELDS if f.name not in _DROPOUTS], given, model)
    if "dropout" in given:
        model |= dict.fromkeys(_DROPOUTS[1:])  # None: the same as dropout
    return model | {name: given[name] for name in _DROPOUTS if name in given}


def check_not_given(fixed: list[str], given: dict[str, Any], model: dict[str, Any]) -> None:
    """Raise UserError if one of the settings `fixed` by the model that --from names is given."""
    for name in fixed:
        if name in given:
            option = option_name(name)
            raise UserError(
                f"{option} cannot be given with --from: the model that it names has {name} {model[name]}; "
                f"leave out {option}"
            )


def _check_together(settings: Settings) -> None:
    """Raise UserError for settings that contradict each other."""
    if settings.window > settings.model["block_size"]:
        raise UserError(
            f"a window of {settings.window} tokens is more than the {settings.model['block_size']} positions "
            "of the model: take a smaller one"
        )
    if settings.task.tokenizer == "own" and not settings.task.from_:
        raise UserError("--tokenizer own is the tokenizer of the model that --from names: give --from")


def settings_of(config: dict[str, Any], folder: Path) -> Settings:
    """The settings in a config.json. Settings that an older version did not have get their defaults.

    Raises UserError for a setting that this version does not know, and for values that are not allowed.
    """
    model, written = config["model"], current_names(config.get("task", {}) | config["train"], SETTINGS)
    unknown = sorted((model.keys() | written.keys()) - SETTINGS.keys() - {"name"})
    if unknown:
        raise UserError(
            f"{folder} was made by another version of tinygrad-gpt (settings: {in_short(', '.join(unknown))})"
        )
    defaults = {f.name: f.default for f in MODEL_FIELDS}
    try:
        task, train = made_from(NextTokenConfig, written), made_from(TrainConfig, written)
        settings = Settings(config["preset"], defaults | model, task, train)
        _check_together(settings)
    except UserError as error:
        raise UserError(f"{RunFolder(folder).config} is damaged: {error}") from None
    return settings


def resumed_settings(saved: Settings, preset: str | None, given: dict[str, Any]) -> Settings:
    """The settings of a resumed run: the saved ones, overridden by given ones that cannot change the outcome, and by
    more steps, which extend it (extension.py).

    Raises UserError, naming the setting and both values, for a given one that would make it another run.
    """
    if saved.task.from_:
        given = window_for_block_size(given)
    values = kept_values(saved, preset, current_names(given, SETTINGS), SETTINGS)
    return dataclasses.replace(saved, task=made_from(NextTokenConfig, values), train=made_from(TrainConfig, values))


def kept_values(
    saved: Any, preset: str | None, given: dict[str, Any], fields: dict[str, dataclasses.Field]
) -> dict[str, Any]:
    """The settings of a resumed run by name, of any kind that has presets; see resumed_settings."""
    if preset is not None and preset != saved.preset:
        raise UserError(
            f"this run was started with --preset {saved.preset}, not {preset}: leave it out, or start a new run"
        )
    steps = given.get("steps", saved.train.steps)
    check_longer(steps, saved.train.steps)
    return kept_settings(saved.values() | {"steps": steps}, given, fields)
