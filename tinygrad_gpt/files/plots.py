"""Plots as PNG files. A run whose plot cannot be drawn is still a run: a line says why, and it goes on."""

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygrad_gpt.errors import UserError, in_short
from tinygrad_gpt.files.storage import replacing

Say = Callable[[str], None]  # is told a line
NOT_INSTALLED = "it takes matplotlib (pip install 'tinygrad-gpt[plot]')"
_BACKEND = "MPLBACKEND"  # the variable that names what matplotlib.pyplot shows figures with


def plot(path: Path, draw: Callable[[Any], None], say: Say = print) -> bool:
    """A plot as a PNG file: `draw` gets matplotlib's axes. See save_figure."""

    def fill(figure) -> None:
        axes = figure.subplots()
        draw(axes)
        axes.grid(alpha=0.3)
        axes.legend()

    return save_figure(path, fill, (7, 4), say)


def save_figure(path: Path, fill: Callable[[Any], None], size: tuple[float, float], say: Say = print) -> bool:
    """A figure of that size (in inches, width first) as a PNG file, atomically: `fill` gets matplotlib's Figure.

    Returns whether it was drawn. Where not, `say` is told why: matplotlib is not installed, does not load, cannot draw
    these numbers, or the file cannot be written. Nothing of that is raised.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            figure = _figure(size)
            fill(figure)
            with replacing(path) as file:
                figure.savefig(file, format="png", dpi=120)
        return True
    except Exception as error:  # matplotlib's are of all kinds, and its installations and settings fail in all ways
        say(f"no {path.name}: {_why(error)}")
        return False


def _why(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ImportError) and importlib.util.find_spec("matplotlib") is None:
        return NOT_INSTALLED
    return f"matplotlib fails here ({type(error).__name__}: {in_short(error)})"


def _figure(size: tuple[float, float]) -> Any:
    """An empty Figure that is drawn in memory, by Agg: no display, and no pyplot, which would ask for one."""
    _load_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _load_matplotlib() -> None:
    """Import matplotlib, which refuses to load at all where the variable names a backend that it does not know, such as
    that of a notebook which started this process. Agg does not need it: it is set afterwards, for pyplot, if it can."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop(_BACKEND, None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ[_BACKEND] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
