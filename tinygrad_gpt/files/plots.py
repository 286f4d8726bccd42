"""Plots as files, and in notebooks. If a plot cannot be drawn, a line says why, and the run goes on."""

import importlib.util
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygrad_gpt.arguments import shown
from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.storage import replacing

Say = Callable[[str], None]  # called with a line for the user
NOT_INSTALLED = 'plots need matplotlib (pip install "tinygrad-gpt[plot]")'
PICTURES = (".png", ".pdf", ".svg")  # endings of files that are drawn
_BACKEND = "MPLBACKEND"  # the environment variable that names matplotlib.pyplot's backend


def plot(path: Path, draw: Callable[[Any], None], say: Say = print) -> bool:
    """Write a plot to a file. `draw` gets matplotlib's axes. Returns and reports as save_figure does."""

    def fill(figure) -> None:
        axes = figure.subplots()
        draw(axes)
        axes.grid(alpha=0.3)
        axes.legend()

    return save_figure(path, fill, (7, 4), say)


def save_figure(path: Path, fill: Callable[[Any], None], size: tuple[float, float], say: Say = print) -> bool:
    """Write a figure of this size (width, height in inches) to a file, atomically, as its name says: one of PICTURES.
    `fill` gets matplotlib's Figure.

    Returns whether it was drawn. If not, nothing is raised, and `say` gets the reason: matplotlib is missing, does not
    load or cannot draw the numbers, or the file cannot be written.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            figure = _figure(size)
            fill(figure)
            with replacing(path) as file:
                figure.savefig(file, format=path.suffix.lower().lstrip("."), dpi=120)
        return True
    except Exception as error:  # matplotlib raises errors of all kinds
        say(f"no {path.name}: {_why(error)}")
        return False


def check_is_picture(option: str, place: str) -> None:
    """Raise UserError for a file that an option names and whose ending is none of PICTURES."""
    if Path(place).suffix.lower() not in PICTURES:
        raise UserError(f"{option} should be a file name that ends in {', '.join(PICTURES)}, not {shown(place)}")


def show_figure(name: str, fill: Callable[[Any], None], size: tuple[float, float], say: Say = print) -> None:
    """Show a figure: in a notebook below the cell; elsewhere as NAME.png in the system's folder for temporary files,
    and `say` gets the path. If it cannot be drawn, `say` gets the reason. `fill` and `size` as in save_figure."""
    path = Path(tempfile.gettempdir()) / f"{name}.png"
    drawn = save_figure(path, fill, size, say)
    if drawn and _in_a_notebook():
        from IPython.display import Image, display

        display(Image(path.read_bytes()))
        path.unlink()
    elif drawn:
        say(f"drawn in {path}")


def _in_a_notebook() -> bool:
    """Whether this process is the kernel of a notebook: Jupyter's, VS Code's or Colab's. (IPython in a terminal has no
    kernel.)"""
    ipython = sys.modules.get("IPython")
    return hasattr(ipython.get_ipython(), "kernel") if ipython else False


def _why(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ImportError) and importlib.util.find_spec("matplotlib") is None:
        return NOT_INSTALLED
    return f"matplotlib fails ({type(error).__name__}: {in_short(error)})"


def _figure(size: tuple[float, float]) -> Any:
    """An empty Figure that Agg draws in memory. pyplot is left out, since it would ask for a display.

    matplotlib refuses to load if MPLBACKEND names a backend that it does not know, such as that of a notebook which
    started this process. So it loads without the variable, and gets it afterwards, for pyplot, if possible.
    """
    backend = None if "matplotlib" in sys.modules else os.environ.pop(_BACKEND, None)
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    finally:
        if backend is not None:
            os.environ[_BACKEND] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
