"""`exercise watch`: every save is seen, however an editor saves and whatever the system; keys, on each of them."""

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tinygrad_gpt.cli import keys, watching
from tinygrad_gpt.exercises.exercise import find

ADAMW = find("adamw_step")
FILE = Path("adamw_step.py")


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_GPT_PROGRESS", str(tmp_path / "exercises.json"))


def watch(monkeypatch, *acts, most=None):
    """Watch, and at each look do one of these acts, which may return a key; then q."""
    left = iter(acts)

    def pressed(seconds):
        act = next(left, None)
        return "q" if act is None else act() or ""

    class Keys:
        def __enter__(self):
            return pressed, True

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(watching, "keys", Keys)
    return watching.watch_file(FILE, True, {}, most)


def write(text: str) -> None:
    FILE.write_text(text, encoding="utf-8")


def test_every_save_is_checked(monkeypatch, capsys):
    write(ADAMW.cut.stub)
    uncorrected = ADAMW.cut.solution.replace("1 - beta1**step", "1").replace("1 - beta2**step", "1")
    texts = (uncorrected, "def f(:\n", ADAMW.cut.solution)
    assert watch(monkeypatch, *(lambda text=text: write(text) for text in texts)) == 0
    said = capsys.readouterr().out
    parts = [said.index(part) for part in ("not written yet", "T07", "def f(:\n        ^", "right in 6 cases")]
    assert parts == sorted(parts)


def test_an_editor_that_replaces_the_file(monkeypatch, capsys):
    """It moves the old file away, and the new one has the same size and, on a coarse clock, the same time."""
    write(ADAMW.cut.solution.replace("1 - beta1**step", "1 - beta2**step"))
    times = FILE.stat().st_mtime_ns

    def away():
        FILE.rename("adamw_step.py~")

    def new():
        Path("new").write_text(ADAMW.cut.solution, encoding="utf-8")
        os.utime("new", ns=(times, times))
        Path("new").replace(FILE)

    assert watch(monkeypatch, away, new) == 0
    said = capsys.readouterr().out
    assert "WRONG in" in said and "right in 6 cases" in said and "no file" not in said


def test_a_file_that_is_held_is_read_when_it_is_free(monkeypatch, capsys):
    write(ADAMW.cut.solution)
    free, opened = [], Path.open

    def held(path, *given, **settings):
        if path == FILE and not free:
            raise PermissionError(13, "used by another process", str(path))
        return opened(path, *given, **settings)

    monkeypatch.setattr(Path, "open", held)
    assert watch(monkeypatch, lambda: None, lambda: free.append(True), lambda: None) == 0
    said = capsys.readouterr().out
    assert "right in 6 cases" in said and "another process" not in said


def test_a_loop_that_does_not_end(monkeypatch, capsys):
    """Ctrl-C ends the loop, and the watch goes on."""
    endless = "    import signal\n    signal.raise_signal(signal.SIGINT)\n    while True:\n        pass\n"
    write(ADAMW.cut.stub.rpartition("    raise NotImplementedError")[0] + endless)
    assert watch(monkeypatch, lambda: write(ADAMW.cut.solution)) == 0
    said = capsys.readouterr().out
    assert "interrupted in adamw_step.py, line " in said and "Ctrl-C again ends" in said
    assert "right in 6 cases" in said


def test_ctrl_c_ends_the_watch(monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    write(ADAMW.cut.stub)
    assert watch(monkeypatch, interrupt, lambda: write(ADAMW.cut.solution)) == 1


# --- keys ------------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_windows(monkeypatch, typed: str):
    """As with Windows' msvcrt, and nothing of POSIX."""
    waiting = list(typed)
    msvcrt = SimpleNamespace(kbhit=lambda: bool(waiting), getwch=lambda: waiting.pop(0))
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    for name in ("select", "termios", "tty"):
        monkeypatch.setitem(sys.modules, name, None)


def test_keys_on_windows(monkeypatch):
    on_windows(monkeypatch, "h\xe0s\x00Hq\x03")  # Ctrl with an arrow to the left is "\xe0s"
    with keys.keys() as (pressed, has_keys):
        assert has_keys and [pressed(0.01) for _ in range(4)] == ["h", "", "", "q"]
        with pytest.raises(KeyboardInterrupt):
            pressed(0.01)
        assert pressed(0.01) == ""


@pytest.mark.parametrize("stdin", [None, io.StringIO(), Terminal()])
def test_without_a_terminal_or_a_way_to_read_keys(monkeypatch, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setitem(sys.modules, "termios", None)
    with keys.keys() as (pressed, has_keys):
        assert not has_keys and pressed(0) == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_keys_elsewhere(monkeypatch):
    import pty
    import termios

    ours, theirs = pty.openpty()
    with os.fdopen(theirs, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        before = termios.tcgetattr(terminal)
        with keys.keys() as (pressed, has_keys):
            assert has_keys and pressed(0) == ""
            for typed, key in ((b"h", "h"), (b"\x1b[D", ""), (b"\x1bs", ""), (b"q", "q")):
                os.write(ours, typed)
                assert pressed(5) == key
        assert termios.tcgetattr(terminal) == before
    os.close(ours)
