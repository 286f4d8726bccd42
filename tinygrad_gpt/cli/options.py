"""An option for every setting of the model and of training, read off the dataclasses that hold them."""

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.train import presets
from tinygrad_gpt.train.config import SETTINGS, TrainConfig, option_name

ARGUMENTS = ("corpus",)  # settings that are an argument of the command, not an option


def with_settings(command: Callable) -> Callable:
    """`command(..., **given)` with an option for each setting; `given` holds those that the user gave."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = setting_options()

    @functools.wraps(command)
    def wrapper(**values):
        given = {option.name: values.pop(option.name) for option in options}
        return command(**values, **{name: value for name, value in given.items() if value is not None})

    wrapper.__signature__ = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in own] + options)
    wrapper.__annotations__ = {}  # the signature says it all
    return wrapper


def setting_options() -> list[inspect.Parameter]:
    """The settings as parameters that Typer makes options of, in groups. Their default, None, means "as the preset"."""
    hints = typing.get_type_hints(GPTConfig) | typing.get_type_hints(TrainConfig)
    defaults = presets.resolve().values()
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=_annotation(name, hints[name], field.metadata, defaults[name]),
        )
        for name, field in SETTINGS.items()
        if name not in ARGUMENTS
    ]


def _annotation(name: str, kind: Any, metadata: typing.Mapping, default: Any) -> Any:
    choices = metadata.get("choices") or (typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ())
    if isinstance(kind, types.UnionType) or choices:
        kind = str if choices else typing.get_args(kind)[0]
    declaration = f"{option_name(name)}/--no-{name.replace('_', '-')}" if kind is bool else option_name(name)
    option = typer.Option(
        declaration,
        help=metadata.get("help", ""),
        metavar="|".join(choices) or None,
        show_default=f"{presets.DEFAULT}: {_shown(default)}" if default not in ("", None) else False,
        rich_help_panel=metadata.get("group", "Model"),
    )
    return Annotated[kind | None, option]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
