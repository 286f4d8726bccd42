"""`tinygrad-gpt lesson`: list the lessons, run one, write one for editing or as a notebook."""

import re
import runpy
from pathlib import Path
from typing import Annotated

import typer

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, command
from tinygrad_gpt.files.notebook import Cell, cells_of, notebook
from tinygrad_gpt.files.storage import replacing
from tinygrad_gpt.train.run import installed

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "lessons", _PACKAGE.parent / "lessons")  # in an installed package; in a clone of the repository


def lesson(
    name: Annotated[str | None, typer.Argument(help="its number or name; without one, a list of them")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="don't run it: write it into this folder, to edit")] = False,
    as_notebook: Annotated[
        bool, typer.Option("--notebook", help="don't run it: write it into this folder as a notebook (.ipynb)")
    ] = False,
):
    """Run a lesson, or write it as a script or a notebook. The lessons build up to the GPT, from one derivative on."""
    if name is None:
        if copy or as_notebook:
            raise UserError(f"expected a lesson to write: {_choices()}")
        for path in all_lessons():
            print(f"{path.stem:20} {_title(path)}")
        print(f"\ntry  {command('tinygrad-gpt', 'lesson', '1')}  to run one; --copy and --notebook write it here")
        return
    path = _find(name)
    if copy:
        _write(Path(path.name), path.read_text(encoding="utf-8"))
    if as_notebook:
        _write(Path(f"{path.stem}.ipynb"), notebook_of(path))
    if not copy and not as_notebook:
        runpy.run_path(str(path), run_name="__main__")


def all_lessons() -> list[Path]:
    """The files of the lessons, in order. Raises UserError where they are missing."""
    for place in _PLACES:
        if found := sorted(place.glob("[0-9][0-9]_*.py")):
            return found
    raise UserError(f"the lessons are missing: expected them in {_PLACES[0]}; install the package again")


def notebook_of(path: Path) -> str:
    """The text of a lesson's notebook. Its first cell says how to install the package, for Colab and the like."""
    wheel = f"tinygrad_gpt-{installed('tinygrad-gpt') or 'VERSION'}-py3-none-any.whl"
    install = (
        f"*Where the package is not installed, as in Colab: upload its wheel, `{wheel}`, and run*\n"
        f'`%pip install "{wheel}[plot]"` *in a cell before this one.*'
    )
    return notebook([Cell("markdown", install), *cells_of(path.read_text(encoding="utf-8"))])


def _title(path: Path) -> str:
    """What its first heading says, less the number: "# # 1. A graph of numbers" -> "A graph of numbers"."""
    heading = re.search(r"^# # (?:\d+\. )?(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1]


def _find(name: str) -> Path:
    """The lesson that is called 3, 03, layer_norm, 03_layer_norm, or by a part that no other has. Raises UserError."""
    wanted, lessons = name.removesuffix(".py"), all_lessons()
    for path in lessons:
        number, _, rest = path.stem.partition("_")
        if wanted in (path.stem, rest) or (wanted.isdecimal() and int(wanted) == int(number)):
            return path
    found = [path for path in lessons if wanted and wanted in path.stem.partition("_")[2]]
    if len(found) == 1:
        return found[0]
    if wanted.isdecimal():
        first, last = (int(path.stem.partition("_")[0]) for path in (lessons[0], lessons[-1]))
        raise UserError(f"there is no lesson {shown(name)}: they go from {first} to {last}: {_choices()}")
    raise UserError(f"there is no lesson {shown(name)}; the lessons are {_choices()}")


def _choices() -> str:
    return ", ".join(path.stem for path in all_lessons())


def _write(path: Path, text: str) -> None:
    """Write a new file, and say so. Raises UserError if there is one already: it may have been edited."""
    if path.exists():
        raise UserError(f"{path} is here already: move it away, or go to another folder")
    with replacing(path) as file:
        file.write(text.encode())
    print(f"written: {path}")
