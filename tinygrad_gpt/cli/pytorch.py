"""`tinygrad-gpt pytorch`: what a reader who knows PyTorch should know."""

from typing import Annotated

import typer

from tinygrad_gpt import habits
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.cli.tables import print_table
from tinygrad_gpt.errors import UserError


def pytorch(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="a name of PyTorch's, such as view", show_default="all")
    ] = None,
):
    """Show what differs from PyTorch under the same name, and what to write for a name that is not here.

    All other names that PyTorch has too mean what they mean there.
    """
    differ = [row for row in habits.DIFFERENCES.items() if name is None or _is_of(name, row[0])]
    instead = [row for row in habits.instead() if name is None or _is_of(name, row[0])]
    if not differ and not instead:
        raise UserError(
            f"nothing is told of {shown(name)}: if PyTorch has it and this package too, it is the same in both; "
            "tinygrad-gpt pytorch shows what differs"
        )
    if differ:
        print_table(("name", "what differs"), differ)
    if differ and instead:
        print()
    if instead:
        print_table(("not here", "what to write"), instead)


def _is_of(name: str, told: str) -> bool:
    """Whether a row, such as that of nn.Softmax(dim=), tells of this name: nn.Softmax or Softmax."""
    plain = told.partition("(")[0]
    return name in (plain, plain.rpartition(".")[2])
