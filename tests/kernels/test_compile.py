"""Kernels as the decorator makes them: sizes are checked before anything runs; what cannot be compiled fails once."""

import numpy as np
import pytest
from numba import types

from tests.kernels.small_kernel import a_kernel, run
from tinygrad_gpt.kernels import compiling
from tinygrad_gpt.kernels.numba.machine import compile
from tinygrad_gpt.kernels.numba.machine.compile import CannotCompile, my_part, read, write


@pytest.fixture(scope="module")
def kernel():
    with a_kernel() as kernel:
        yield kernel


def test_sizes_that_fit_run_and_others_are_an_error_before_anything_is_written(kernel):
    x, factors, y = np.ones((5, 3), np.float32), np.arange(5, dtype=np.float32), np.zeros((5, 3), np.float32)
    kernel(x, factors, np.zeros((2, 4), np.float32), y)
    assert (y == np.arange(5)[:, None]).all()
    for shapes, wanted in [
        (((5, 3), (4,), (2, 4), (5, 3)), r"scale_rows: expected x \(R, C\) and factors \(R\), got \(5, 3\) and \(4,\)"),
        (((5, 3), (6,), (2, 4), (5, 3)), r"x \(R, C\) and factors \(R\), got \(5, 3\) and \(6,\)"),
        (((5, 3), (5,), (3, 4), (5, 3)), r"expected pair \(2, _\), got \(3, 4\)"),
        (((5, 3), (5,), (2, 0), (5, 4)), r"x \(R, C\) and y \(R, C\), got \(5, 3\) and \(5, 4\)"),
        (((5, 3), (5,), (2, 4), (0, 3)), r"x \(R, C\) and y \(R, C\), got \(5, 3\) and \(0, 3\)"),
    ]:  # fmt: skip
        arrays = [np.ones(shape, np.float32) for shape in shapes]
        for kernel.alone_below in (0, 1000):  # all threads; the calling thread
            with pytest.raises(ValueError, match=wanted):
                kernel(*arrays)
        assert (arrays[3] == 1).all()


@pytest.mark.parametrize("alone_below, calls", [(0, 1), (12, 1), (13, 0)])
def test_the_calling_thread_does_little_work_alone(alone_below, calls, monkeypatch):
    taken = []
    monkeypatch.setattr(compile.threads, "take", lambda: taken.append("the pool") or 1)
    with a_kernel() as kernel:
        kernel.alone_below = alone_below
        assert run(kernel)  # on 12 elements
    assert len(taken) == calls


def test_whatever_the_arrays_are_one_machine_code_serves_them(kernel):
    """Exact types, and those that have to be converted: locked arrays, Python's numbers, one dtype for all."""
    x, factors, pair, y = (np.ones(s, np.float32) for s in ((5, 3), (5,), (2, 4), (5, 3)))
    for lock in (set(), {0}, {1}, {0, 1, 2}):
        arrays = [a.copy() for a in (x, factors, pair)]
        for i in lock:
            arrays[i].flags.writeable = False
        kernel(*arrays, y)
    assert len(kernel.teams[np.dtype(np.float32)].entry.signatures) == 1
    with pytest.raises(TypeError):
        kernel(x.T, factors, pair, y)  # not contiguous
    with pytest.raises(TypeError):
        kernel(x, factors, pair, y.astype(np.float64))
    locked = y.copy()
    locked.flags.writeable = False
    with pytest.raises(TypeError):
        kernel(x, factors, pair, locked)


def out_of_memory(share, n, x):
    for _ in my_part(share, 1):
        work = np.empty(n[0], np.float64)
        x[0] = work[0]


def test_no_memory_inside_a_kernel_is_an_error():
    stated = (read(types.int64, "1"), write(types.float64, "1"))
    with a_kernel(out_of_memory, lambda n: stated, dtypes=(np.dtype(np.int64),)) as kernel:
        x = np.zeros(1)
        with pytest.raises(MemoryError, match=r"test_compile.out_of_memory: no memory"):
            kernel(np.array([1 << 55]), x)
        assert x[0] == 0


def wrong(share, x):
    for i in my_part(share, x.size):
        x[i] = x.no_such_thing


def test_what_does_not_compile_fails_once_in_a_line(monkeypatch):
    monkeypatch.setattr(compile, "_cannot", {})
    monkeypatch.setattr(compile, "_seen", set())
    with a_kernel(wrong, lambda f: (write(f, "N"),)) as kernel:
        with pytest.raises(CannotCompile) as first:
            kernel(np.ones(3, np.float32))
        assert "cannot compile test_compile.wrong for float32" in str(first.value)
        assert "\n" not in str(first.value)
        monkeypatch.setattr(kernel, "compile_here", lambda dtype: pytest.fail("tried again"))
        with pytest.raises(CannotCompile, match=r"test_compile\.wrong"):
            kernel(np.ones(3, np.float32))
        with pytest.warns(RuntimeWarning, match="the reference runs instead, slower"):
            assert "test_compile.wrong" in compile.cannot_run(np.dtype(np.float32))
        assert "test_compile.wrong" in compile.cannot_run(np.dtype(np.float32))  # and no second warning
    from tinygrad_gpt.kernels.numba.machine.layout import not_ours

    assert "test_compile.wrong" in not_ours(np.ones(3, np.float32))


@pytest.mark.parametrize("on_demand", [False, True])
def test_a_kernel_on_demand_is_compiled_alone(on_demand, tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    made = []
    with a_kernel() as kernel:
        monkeypatch.setattr(compile.precompile, "make_all", made.append)
        kernel.on_demand = on_demand
        kernel.compile(np.dtype(np.float32))
    assert made == ([] if on_demand else [np.float32])


def test_those_who_watch_are_told_when_something_is_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    for times in (1, 0):  # compiled, and then found on disk
        told = []
        with compiling.watched_by(lambda: told.append(1)), a_kernel() as kernel:  # noqa: B023
            kernel.compile(np.dtype(np.float32))
        assert len(told) == times


@compile.helper(inlined=False)
def times(x, n):
    return x * n


def in_sum(share, x, y):
    for i in my_part(share, len(x)):
        y[i] = times(x[i], 2) + times(x[i], 3) + times(x[i], x.size)


def test_a_helper_is_compiled_once_for_all_constants(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    with a_kernel(in_sum, lambda f: (read(f, "N"), write(f, "N"))) as kernel:
        kernel(x, y)
    assert y.tolist() == [0, 9, 18, 27] and len(times.overloads) == 1
