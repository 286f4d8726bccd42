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
from tinygrad_gpt.errors import UserError, did_you_mean
from tinygrad_gpt.settings import option_name

INTERRUPTED = 130  # exit status after Ctrl-C, as a shell reports SIGINT


def check_device_name(name: str) -> str:
    if name not in NAMES:
        near = did_you_mean(name, NAMES)
        raise UserError(f"--device should be one of {', '.join(NAMES)}, not {shown(name)}{near}")
    return name


ModelPath = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="a run folder that `train` made, a Hugging Face folder, or the name of a model on the Hugging Face hub. "
        "To open a run of a model of your own runs the Python in its folder (own_model.py)",
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
        help="your own pair for an op: a file with forward and backward; for a new op, also SHAPES or CASES to check "
        "it on; may be repeated",
        show_default=False,
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="train even with a pair that is wrong, or that never runs", hidden=True)
]


def _show_all_options(context: typer.Context, asked: bool) -> None:
    """Show the help with the options that `--help` leaves out, and end."""
    if not asked:
        return
    for option in context.command.params:  # which Typer makes anew for each call
        option.hidden = False
    typer.echo(context.get_help(), color=context.color)
    raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option("--help-all", help="show the other settings too, and exit", is_eager=True, callback=_show_all_options),
]


def with_settings(
    kinds: tuple[type, ...], defaults: dict[str, Any], leave_out: tuple[str, ...], note: str = ""
) -> Callable[[Callable], Callable]:
    """A decorator that gives `command(..., **given)` an option for each field of these dataclasses of settings, the
    first one's where several have it; `given` holds those that the user gave. `--help` shows those that are not
    advanced, `--help-all` (HelpAll) all.

    defaults   by name, for the help, which shows `note` before each; of others, the field's own
    leave_out  settings that are no options of this command
    """
    hints = {name: hint for kind in kinds for name, hint in typing.get_type_hints(kind).items()}
    by_name: dict[str, dataclasses.Field] = {}
    for field in (field for kind in kinds for field in dataclasses.fields(kind) if field.name not in leave_out):
        by_name.setdefault(field.name, field)
    options = []
    # Those of the first help come first.
    for field in sorted(by_name.values(), key=lambda field: field.metadata["advanced"]):
        default = _as_text(defaults.get(field.name, field.default))
        shown = f"{note if field.name in defaults else ''}{default}" if default else None
        options.append(_option(field.name, hints[field.name], field.metadata, shown))
    names = {option.name for option in options}

    def decorate(command: Callable) -> Callable:
        @functools.wraps(command)
        def wrapper(**values):
            return command(**{name: x for name, x in values.items() if x is not None or name not in names})

        own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        wrapper.__signature__ = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in own] + options)
        wrapper.__annotations__ = {}  # Typer is to read the signature alone
        return wrapper

    return decorate


def _option(name: str, kind: Any, metadata: typing.Mapping, default: str | None) -> inspect.Parameter:
    """A parameter that Typer turns into an option. `default`: what the help shows as its default."""
    choices = metadata["choices"] or (typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ())
    if isinstance(kind, types.UnionType) or choices:
        kind = str if choices else typing.get_args(kind)[0]
    declaration = f"{option_name(name)}/--no-{name.replace('_', '-')}" if kind is bool else option_name(name)
    earlier = [option_name(metadata["formerly"])] if metadata["formerly"] else []
    option = typer.Option(
        declaration,
        *earlier,
        help=metadata["help"],
        metavar="|".join(choices) or None,
        show_default=default or False,
        rich_help_panel=metadata["group"],
        hidden=metadata["advanced"],
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _as_text(value: Any) -> str | None:
    if value in ("", None):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
