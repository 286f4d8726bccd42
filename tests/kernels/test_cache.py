"""Compiled kernels are kept on disk, found again by the next process, and not after their sources have changed."""

import ctypes
import os
import pathlib
import shutil
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinygrad_gpt.files import locks
from tinygrad_gpt.kernels.numba.machine import compile, make_kernels

USE_KERNELS = """
import hashlib
import numpy as np
from tinygrad_gpt.kernels.numba import layer_norm
from tinygrad_gpt.kernels.numba.machine import make_kernels, precompile
made = []
make_all, precompile.make_all = precompile.make_all, lambda dtype: made.append(make_all(dtype))
rng = np.random.default_rng(0)
gradients = []
for c in (32, 33, 96, 128):  # whether the order of a sum differs depends on the width
    x, dy = rng.standard_normal((2, 48, c), np.float32)
    y, saved = layer_norm.forward(x, x[0], x[1])
    gradients += layer_norm.backward(dy, saved)
misses = sum(sum(t.entry.stats.cache_misses.values()) > 0 for k in make_kernels.all_kernels() for t in k.teams.values())
print(len(made), misses, hashlib.sha256(b"".join(g.tobytes() for g in gradients)).hexdigest())
"""


def in_new_process(folder, code=USE_KERNELS):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    made, misses, bits = done.stdout.split()
    return int(made), int(misses), bits


@pytest.mark.long  # compiles every kernel
def test_all_kernels_are_made_once_and_every_process_computes_the_same_bits(tmp_path):
    """Of two that need them at once, one has them made, in processes apart, and both only load what they use."""
    with ThreadPoolExecutor(2) as threads:
        made, misses, bits = zip(*threads.map(in_new_process, [tmp_path] * 2), strict=True)
    assert misses == (0, 0) and bits[0] == bits[1]
    assert sorted(made) == ([0, 1] if locks.fcntl else [1, 1])


def test_a_kernel_that_fails_does_not_keep_the_others_from_being_made(tmp_path, monkeypatch):
    made = []

    class Fake:
        dtypes, on_demand = (np.float32,), False

        def compile_here(self, dtype):
            made.append(self)
            if self is kernels[0]:
                raise IndexError("no BLAS")

    kernels = [Fake(), Fake(), Fake()]
    monkeypatch.setattr(make_kernels, "all_kernels", lambda: kernels)
    monkeypatch.setattr(make_kernels, "end_with", lambda pid: None)
    monkeypatch.setattr(sys, "argv", ["make_kernels", "float32", str(tmp_path), "1"])
    make_kernels.main()
    assert made == kernels


def test_each_kernel_is_taken_by_one_process_and_the_longest_first(tmp_path):
    every, longest = make_kernels.all_kernels(), len(make_kernels.LONGEST)
    one, other = [make_kernels.not_taken(every, tmp_path) for _ in range(2)]
    taken = [next(process) for _ in range(longest) for process in (one, other)]
    assert {str(kernel) for kernel in taken[:longest]} == set(make_kernels.LONGEST)
    taken += [*one, *other]
    assert len(taken) == len(set(taken)) and set(taken) == set(every)


SLEEPER = """
import os, pathlib, sys, time
from tinygrad_gpt.kernels.numba.machine import make_kernels
make_kernels.end_with(int(sys.argv[-1]))
pathlib.Path(os.environ["PLACE"], f"{os.getpid()}.pid").touch()
time.sleep(100)
"""
PARENT = """
from tinygrad_gpt.kernels.numba.machine import precompile
precompile.MAKE_KERNELS = "sleeper"
precompile.make_all("float32")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks by signals whether a process lives")
def test_processes_end_when_the_one_that_waits_for_them_is_killed(tmp_path):
    (tmp_path / "sleeper.py").write_text(SLEEPER, encoding="utf-8")
    environment = os.environ | {"PLACE": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env=environment)
    try:
        assert until(lambda: list(tmp_path.glob("*.pid")) or parent.poll() is not None) and parent.poll() is None
    finally:
        parent.kill()
        parent.wait()
    assert until(lambda: not [file for file in tmp_path.glob("*.pid") if lives(int(file.stem))])


def until(holds, most: float = 60) -> bool:
    """Whether it holds within so many seconds, on a machine however busy."""
    end = time.monotonic() + most
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(holds())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = pathlib.Path(f"/proc/{pid}/stat")  # on Linux, one that has ended may wait for somebody to ask
    return not (state.exists() and state.read_text(encoding="utf-8").rpartition(") ")[2].startswith("Z"))


@pytest.mark.parametrize("has_ended", [False, True])
def test_on_windows_the_process_itself_is_waited_for(monkeypatch, has_ended):
    asked = []

    def open_process(rights, inherit, pid):
        asked.append((rights, inherit, pid))
        return None if has_ended else 7

    def wait_for_single_object(handle, milliseconds):
        asked.append((handle, milliseconds))

    kernel32 = types.SimpleNamespace(OpenProcess=open_process, WaitForSingleObject=wait_for_single_object)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "WinDLL", {"kernel32": kernel32}.__getitem__, raising=False)
    make_kernels.wait_for(1234)
    assert asked == [(0x00100000, False, 1234)] + [(7, 0xFFFFFFFF)] * (not has_ended)


def test_changed_sources_are_compiled_anew(tmp_path):
    """A process compiles what it uses itself, where no processes apart do; the next one loads that, unless the sources
    have changed."""
    alone = USE_KERNELS.replace("made.append(make_all(dtype))", "made.append(dtype)")
    before = "from tinygrad_gpt.kernels.numba import layer_norm"
    other_sources = (
        f"from tinygrad_gpt.kernels.numba.machine import compile\ncompile._content_of_all_sources = str\n{before}"
    )
    made, misses, bits = in_new_process(tmp_path, alone)
    assert made > 0 and misses > 0
    assert in_new_process(tmp_path, alone) == (0, 0, bits)
    assert in_new_process(tmp_path, alone.replace(before, other_sources)) == (made, misses, bits)


def test_stamp_changes_with_any_file(tmp_path, monkeypatch):
    copy = shutil.copytree(pathlib.Path(compile.__file__).parents[1], tmp_path / "numba")
    before = compile._content_of_all_sources.__wrapped__()
    monkeypatch.setattr(compile, "__file__", str(copy / "machine" / "compile.py"))
    assert compile._content_of_all_sources.__wrapped__() == before
    with open(copy / "machine" / "vector_math.py", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert compile._content_of_all_sources.__wrapped__() != before


def test_one_compilation_serves_every_layout():
    from tinygrad_gpt.kernels.numba import attention

    x = np.ones((2, 3, 5, 4), np.float32)
    locked = x.copy()
    locked.flags.writeable = False
    for q in (x, locked, x.swapaxes(1, 2).copy().swapaxes(1, 2), x[:1, :1, :1]):
        attention.forward(q, q, q)
    (team,) = [t for dtype, t in attention._forward.teams.items() if dtype == np.float32]
    assert len(team.entry.signatures) == 1


def test_kernels_refuse_what_they_do_not_state():
    from tinygrad_gpt.kernels.numba import gelu

    x = np.ones((4, 4), np.float32)
    with pytest.raises(TypeError):
        gelu._forward(x[:, 0], 1.0, 1.0, np.empty(4, np.float32))
