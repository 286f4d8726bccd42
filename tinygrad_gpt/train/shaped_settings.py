"""The settings of runs whose models have their own names for them: what those of a BERT, of a Transformer and of others
have in common. The command has options under the names that a GPT's have; `shape` translates.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from tinygrad_gpt.errors import UserError, did_you_mean, in_short
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.settings import made_from, option_name
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.presets import PRESETS
from tinygrad_gpt.train.run_folder import RunFolder
from tinygrad_gpt.train.text_settings import check_not_given, kept_values, window_for_block_size

_GPT_FIELDS = {f.name: f for f in dataclasses.fields(GPTConfig)}


def as_a_gpts(name: str, default: Any) -> Any:
    """A field with a GPT's name, help and limits."""
    return dataclasses.field(default=default, metadata=_GPT_FIELDS[name].metadata)


@dataclass(frozen=True)
class ShapedSettings:
    """All settings of a run, before any data is read.

    model  fields of `config` without `ids`, as the preset and the options say, or those of the model that from_ names

    What a subclass says:

    name        what its models are called: "a BERT"
    config      the dataclass of a model's settings, and `count`, the number of parameters that they make
    shape       the dataclass of those that are options: shape.of(fields of config), and in_config() back again
    learns      the dataclass of the task's settings
    ids         fields of config that the tokenizer decides
    with_from   options of the shape that may be given with --from, since they change training and not the weights'
                shapes, and the fields of config that they decide
    not_given   settings of the trainer that are no options
    """

    preset: str
    model: dict[str, Any]
    task: Any
    train: TrainConfig

    name: ClassVar[str]
    config: ClassVar[type]
    count: ClassVar[Callable[[Any], int]]
    shape: ClassVar[Any]
    learns: ClassVar[type]
    ids: ClassVar[tuple[str, ...]] = ("vocab_size",)
    with_from: ClassVar[dict[str, str]]
    not_given: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def options(cls) -> dict[str, dataclasses.Field]:
        """All settings that may be given, by name."""
        kinds = (cls.shape, cls.learns, TrainConfig)
        return {f.name: f for kind in kinds for f in dataclasses.fields(kind) if f.name not in cls.not_given}

    @classmethod
    def fields(cls) -> dict[str, Any]:
        """The fields of `model`, with their defaults."""
        return {f.name: f.default for f in dataclasses.fields(cls.config) if f.name not in cls.ids}

    def values(self) -> dict[str, Any]:
        """All settings, by their names on the command line."""
        shape = dataclasses.asdict(self.shape.of(self.model))
        return shape | dataclasses.asdict(self.task) | dataclasses.asdict(self.train)

    def parameters(self) -> int:
        """The number of parameters, if the tokenizer has as many tokens as it may learn."""
        return type(self).count(self.model_config(self.task.vocab))

    @property
    def window(self) -> int:
        """Tokens that the model reads at once in training."""
        return self.task.window

    def model_config(self, vocab_size: int, **ids: int) -> Any:
        """The model's settings. `ids`: others that the tokenizer decides. Raises UserError for values that do not go
        together."""
        return self.config(vocab_size=vocab_size, **self.model | ids)

    def check(self) -> None:
        """Raise UserError for settings that contradict each other."""
        if self.task.tokenizer == "own" and not self.task.from_:
            raise UserError("--tokenizer own is the tokenizer of the model that --from names: give --from")

    @classmethod
    def resolve(cls, preset: str, given: dict[str, Any] | None = None, source: Any = None) -> Self:
        """The settings of a preset, overridden by those given by name.

        source  the shape of the model that the setting from_ names

        Raises UserError for a setting that this kind of model does not have, and for values that are not allowed.
        """
        given = given or {}
        cls.check_names(given, preset)
        recipe = PRESETS[preset]
        values = dict.fromkeys(cls.not_given, 1) | recipe.train
        if source is None:
            model = cls.fields() | made_from(cls.shape, (recipe.model or {}) | given).in_config()
        else:
            given = cls._as_window(given)
            model, values = cls._model_from(source, given), values | cls.follows_source(recipe.model or {}, source)
        values |= given
        settings = cls(preset, model, made_from(cls.learns, values), made_from(TrainConfig, values))
        settings.check()
        return settings

    @classmethod
    def follows_source(cls, shape: dict[str, Any], source: Any) -> dict[str, Any]:
        """What the task's settings are with --from, unless they are given. `shape`: the preset's, which the model that
        --from names replaces."""
        return {"tokenizer": "own"}

    @classmethod
    def _as_window(cls, given: dict[str, Any]) -> dict[str, Any]:
        return window_for_block_size(given) if "window" in cls.options() else given

    @classmethod
    def _model_from(cls, source: Any, given: dict[str, Any]) -> dict[str, Any]:
        """The fields of config: those of the source, with what may be given beside it."""
        model = {name: getattr(source, name) for name in cls.fields()}
        shape = dataclasses.asdict(cls.shape.of(model))
        check_not_given([name for name in shape if name not in cls.with_from], given, shape)
        others: dict[str, Any] = {name: given[name] for name in cls.with_from if name in given}
        if "dropout" in given and "attn_pdrop" in shape and cls.shape.attn_pdrop is None:  # the same as dropout
            others = {"attn_pdrop": None} | others
        decided = cls.shape(**(shape | others)).in_config()
        return model | {name: decided[name] for name in cls.with_from.values()}

    @classmethod
    def read(cls, written: dict[str, Any], folder: Path) -> Self:
        """The settings in a config.json. Settings that an older version did not have get their defaults.

        Raises UserError for a setting that this version does not know, and for values that are not allowed.
        """
        model, others = written["model"], written["task"] | written["train"]
        known = {*cls.options(), *cls.not_given, "name"}
        decided = {*cls.ids} - {"vocab_size"}  # which stands beside the model
        unknown = sorted((model.keys() - cls.fields().keys() - decided) | (others.keys() - known))
        if unknown:
            raise UserError(
                f"{folder} was made by another version of tinygrad-gpt (settings: {in_short(', '.join(unknown))})"
            )
        try:
            task, train = made_from(cls.learns, others), made_from(TrainConfig, others)
            settings = cls(written["preset"], cls.fields() | model, task, train)
            settings.model_config(written["vocab_size"])
            settings.check()
            return settings
        except UserError as error:
            raise UserError(f"{RunFolder(folder).config} is damaged: {error}") from None

    def resumed(self, preset: str | None, given: dict[str, Any]) -> Self:
        """The settings of a resumed run: these, overridden by given ones that cannot change the outcome, and by more
        steps, which extend it (extension.py).

        Raises UserError, naming the setting and both values, for a given one that would make it another run, or that
        contradicts the others.
        """
        self.check_names(given, self.preset)
        if self.task.from_:
            given = self._as_window(given)
        values = kept_values(self, preset, given, self.options())
        task, train = made_from(self.learns, values), made_from(TrainConfig, values)
        settings = dataclasses.replace(self, task=task, train=train)
        settings.check()
        return settings

    @classmethod
    def check_names(cls, given: dict[str, Any], preset: str) -> None:
        """Raise UserError for a setting that this kind of model does not have."""
        options = cls.options()
        for name in given:
            if name not in options:
                what = f"{option_name(name)} is not a setting of {cls.name}, as the preset {preset} makes one"
                if name == "block_size" and "window" in options:
                    raise UserError(f"{what}: give --window, the tokens that it reads at once")
                raise UserError(f"{what}{did_you_mean(name, options)}: leave it out")
