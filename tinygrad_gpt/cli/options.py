"""An option for every setting of the model and of training, read off the dataclasses that hold them."""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer

from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.settings import option_name
from tinygrad_gpt.tasks.next_token import NextTokenConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.presets import DEFAULT
from tinygrad_gpt.train.text_settings import SETTINGS, resolve

INTERRUPTED = 130  # exit status of a command that Ctrl-C ended
ARGUMENTS = ("corpus",)  # settings that are an argument of the command, not an option


def with_settings(command: Callable) -> Callable:
    """`command(..., **given)` with an option for each setting of `train`; `given` holds those that the user gave."""
    return _with_options(command, setting_options())


def with_settings_of(config: type) -> Callable[[Callable], Callable]:
    """The same with an option for each field of a dataclass of settings."""
    hints = typing.get_type_hints(config)
    options = [_option(f.name, hints[f.name], f.metadata, _shown(f.default)) for f in dataclasses.fields(config)]
    return functools.partial(_with_options, options=options)


def _with_options(command: Callable, options: list[inspect.Parameter]) -> Callable:
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]

    @functools.wraps(command)
    def wrapper(**values):
        given = {option.name: values.pop(option.name) for option in options}
        return command(**values, **{name: value for name, value in given.items() if value is not None})

    wrapper.__signature__ = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in own] + options)
    wrapper.__annotations__ = {}  # the signature says it all
    return wrapper


def setting_options() -> list[inspect.Parameter]:
    """The settings as parameters that Typer makes options of, in groups. Their default, None, means "as the preset"."""
    hints = {
        name: hint
        for kind in (GPTConfig, NextTokenConfig, TrainConfig)
        for name, hint in typing.get_type_hints(kind).items()
    }
    defaults = resolve().values()
    options = []
    for name, field in SETTINGS.items():
        if name not in ARGUMENTS:
            default = _shown(defaults[name])
            shown = f"{DEFAULT}: {default}" if default else None
            options.append(_option(name, hints[name], field.metadata, shown))
    return options


def _option(name: str, kind: Any, metadata: typing.Mapping, default: str | None) -> inspect.Parameter:
    """A parameter of which Typer makes an option; `default` is what its help says happens without it."""
    choices = metadata.get("choices") or (typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ())
    if isinstance(kind, types.UnionType) or choices:
        kind = str if choices else typing.get_args(kind)[0]
    declaration = f"{option_name(name)}/--no-{name.replace('_', '-')}" if kind is bool else option_name(name)
    option = typer.Option(
        declaration,
        help=metadata.get("help", ""),
        metavar="|".join(choices) or None,
        show_default=default or False,
        rich_help_panel=metadata.get("group", "Model"),
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _shown(value: Any) -> str | None:
    if value in ("", None):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
