"""Plots: drawn whatever the surroundings, or a line that says why not."""

import os
import subprocess
import sys
import tempfile
import textwrap
import types

import pytest

from tinygrad_gpt.files.plots import plot, show_figure
from tinygrad_gpt.train.metrics import plot_losses

pytest.importorskip("matplotlib")
ROWS = [{"step": 1, "train_loss": 2.0}]


def drawn_by_another_process(tmp_path, before="", **environment) -> str:
    """What a process says that draws a plot, after it has run the lines `before`."""
    code = f"""
        import os
        {before}
        from pathlib import Path
        from tinygrad_gpt.train.metrics import plot_losses
        drawn = plot_losses({ROWS}, Path("loss.png"))
        assert drawn == Path("loss.png").exists()
        print("drawn" if drawn else "not drawn", os.environ.get("MPLBACKEND"))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.long
@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "TkAgg", ""])
def test_the_backend_does_not_matter(tmp_path, backend):
    assert drawn_by_another_process(tmp_path, MPLBACKEND=backend) == f"drawn {backend}\n"


@pytest.mark.long
def test_a_config_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    assert "drawn" in drawn_by_another_process(tmp_path, MPLCONFIGDIR=str(tmp_path / "file" / "below"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("1/0", "ZeroDivisionError: division by zero"),
        ("import no_such_library", "No module named 'no_such_library'"),
        ("def", "SyntaxError"),
        ("raise OSError('libfreetype.so: cannot open')", "libfreetype.so"),
    ],
)
def test_a_broken_installation(tmp_path, content, why):
    (tmp_path / "matplotlib.py").write_text(content, encoding="utf-8")
    said = drawn_by_another_process(tmp_path, before=f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
    assert said.startswith("no loss.png: matplotlib fails (") and why in said and said.count("\n") == 2
    assert "not drawn" in said


@pytest.mark.parametrize(
    "error", [RuntimeError("no fonts"), ValueError("a\nb"), MemoryError(), OverflowError("x" * 9999)]
)
def test_what_fails_while_it_is_drawn(tmp_path, error):
    def draw(axes):
        raise error

    said = []
    assert not plot(tmp_path / "x.png", draw, said.append)
    assert len(said) == 1 and said[0].startswith("no x.png: ") and "\n" not in said[0] and len(said[0]) < 400
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file(tmp_path):
    said = []
    (tmp_path / "file").touch()
    assert not plot_losses(ROWS, tmp_path / "file" / "loss.png", said.append)
    assert len(said) == 1 and "cannot write" in said[0]


def test_ctrl_c_is_no_reason(tmp_path):
    def draw(axes):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plot(tmp_path / "x.png", draw)


# --- in a notebook ---------------------------------------------------------------------------------------------------


def line(figure):
    figure.subplots().plot([1, 3, 2])


def a_kernel(monkeypatch, shown, **shell):
    """As if this process were one that IPython runs in, with a shell that has these attributes."""
    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = lambda: types.SimpleNamespace(**shell)
    display.Image, display.display = bytes, shown.append
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_script_writes_a_figure_and_says_where(temporary, monkeypatch):
    said, shown = [], []
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    show_figure("curve", line, (4, 3), said.append)
    assert said == [f"drawn in {temporary / 'curve.png'}"]
    assert (temporary / "curve.png").read_bytes().startswith(b"\x89PNG")
    a_kernel(monkeypatch, shown)  # IPython in a terminal
    show_figure("curve", line, (4, 3), said.append)
    assert len(said) == 2 and not shown


def test_a_notebook_shows_a_figure_and_leaves_no_file(temporary, monkeypatch):
    said, shown = [], []
    a_kernel(monkeypatch, shown, kernel=object())
    show_figure("curve", line, (4, 3), said.append)
    assert shown[0].startswith(b"\x89PNG") and said == [] and not list(temporary.iterdir())


def test_a_figure_that_cannot_be_drawn_is_not_shown(temporary, monkeypatch):
    said, shown = [], []
    a_kernel(monkeypatch, shown, kernel=object())
    show_figure("curve", lambda figure: 1 / 0, (4, 3), said.append)
    assert len(said) == 1 and "ZeroDivisionError" in said[0] and not shown
