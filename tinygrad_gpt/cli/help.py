"""How the command prints its help: no option's name is ever cut, in a terminal of 80 columns.

Typer lays out a name, its opposite, a type and a sentence side by side, and cuts what has no room. Here the opposite
(--no-NAME) stands below the name, the choices of an option stand in its sentence, as very long names do, and a switch
has no type.
"""

from typer import Abort
from typer.core import TyperCommand, TyperGroup

_LONG = 28  # characters of a name that has no room beside a sentence


class ReaderGoneError(Exception):
    """Whoever read the command's output has gone."""


class Command(TyperCommand):
    def format_help(self, ctx, formatter) -> None:
        _make_room(self.get_params(ctx))
        super().format_help(ctx, formatter)


class Group(TyperGroup):
    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:  # Typer would end with its status, in silence
            raise Abort from error
        except BrokenPipeError:  # the same
            raise ReaderGoneError from None

    def format_help(self, ctx, formatter) -> None:
        _make_room(self.get_params(ctx))
        super().format_help(ctx, formatter)


def _make_room(parameters) -> None:
    """Rewrite what the help says of each option. They are made anew for each call, and nothing is parsed after help."""
    for option in parameters:
        if option.param_type_name != "option":
            continue
        if option.name == "help":
            option.help = "show this help, and exit"
        if option.is_flag:
            option.metavar = ""
        if "|" in (option.metavar or ""):
            option.help, option.metavar = f"{option.help} ({option.metavar.replace('|', ', ')})", None
        names, option.secondary_opts = [*option.opts, *option.secondary_opts], []
        if max(map(len, names)) > _LONG:
            option.opts, option.help = [""], f"{option.help}: {' or '.join(names)}"
        else:
            option.opts = ["\n".join(names)]
