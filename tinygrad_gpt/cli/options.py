"""Options of the command: those that several commands share, and one for every setting.

The options of settings are read off the dataclasses that hold them (see settings.py): a new field is a new option.
"""

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.devices import NAMES
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.models.gpt import GPTConfig
from tinygrad_gpt.settings import option_name
from tinygrad_gpt.tasks.next_token import NextTokenConfig
from tinygrad_gpt.train.config import TrainConfig
from tinygrad_gpt.train.presets import DEFAULT
from tinygrad_gpt.train.text_settings import SETTINGS, resolve

INTERRUPTED = 130  # exit status after Ctrl-C, as a shell reports SIGINT
ADVANCED = "Advanced"  # the group of options that a first look at the help may skip


def check_device_name(name: str) -> str:
    if name not in NAMES:
        raise UserError(f"--device should be one of {', '.join(NAMES)}, not {shown(name)}")
    return name


ModelPath = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="a run folder that `train` made, a Hugging Face folder, or the name of a model on the Hugging Face hub",
        show_default=False,
    ),
]
TokenizerPath = Annotated[
    str | None, typer.Option("--tokenizer", help="path of a saved tokenizer", show_default="the model's own")
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="|".join(NAMES),
        help="where to compute; auto: on the GPU if one can be used",
        callback=check_device_name,
    ),
]

PairFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        metavar="FILE.py",
        help="your own pair: a file with forward and backward; may be repeated",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="train even with a pair whose gradient is wrong")]

ARGUMENTS = ("corpus",)  # settings that are arguments of the command, not options


def with_settings(command: Callable) -> Callable:
    """Give `command(..., **given)` an option for each setting of `train`. `given` holds those that the user gave."""
    return _with_options(command, setting_options())


def with_settings_of(config: type) -> Callable[[Callable], Callable]:
    """A decorator that gives a command an option for each field of a dataclass of settings."""
    hints = typing.get_type_hints(config)
    fields = _advanced_last(dataclasses.fields(config))
    options = [_option(f.name, hints[f.name], f.metadata, _as_text(f.default)) for f in fields]
    return functools.partial(_with_options, options=options)


def _with_options(command: Callable, options: list[inspect.Parameter]) -> Callable:
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]

    @functools.wraps(command)
    def wrapper(**values):
        given = {option.name: values.pop(option.name) for option in options}
        return command(**values, **{name: value for name, value in given.items() if value is not None})

    wrapper.__signature__ = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in own] + options)
    wrapper.__annotations__ = {}  # Typer is to read the signature alone
    return wrapper


def setting_options() -> list[inspect.Parameter]:
    """The settings as parameters that Typer turns into options. Their default, None, means "as in the preset"."""
    hints = (
        typing.get_type_hints(GPTConfig) | typing.get_type_hints(NextTokenConfig) | typing.get_type_hints(TrainConfig)
    )
    defaults = resolve().values()
    options = []
    for field in _advanced_last(SETTINGS.values()):
        if field.name not in ARGUMENTS:
            default = _as_text(defaults[field.name])
            default = f"{DEFAULT}: {default}" if default else None
            options.append(_option(field.name, hints[field.name], field.metadata, default))
    return options


def _option(name: str, kind: Any, metadata: typing.Mapping, default: str | None) -> inspect.Parameter:
    """A parameter that Typer turns into an option. `default`: what the help shows as its default."""
    choices = metadata["choices"] or (typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ())
    if isinstance(kind, types.UnionType) or choices:
        kind = str if choices else typing.get_args(kind)[0]
    declaration = f"{option_name(name)}/--no-{name.replace('_', '-')}" if kind is bool else option_name(name)
    option = typer.Option(
        declaration,
        help=metadata["help"],
        metavar="|".join(choices) or None,
        show_default=default or False,
        rich_help_panel=ADVANCED if metadata["advanced"] else metadata["group"],
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _advanced_last(fields) -> list[dataclasses.Field]:
    """The fields in their order, but the advanced ones after all others, so that the help shows their group last."""
    return sorted(fields, key=lambda field: field.metadata["advanced"])


def _as_text(value: Any) -> str | None:
    if value in ("", None):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
