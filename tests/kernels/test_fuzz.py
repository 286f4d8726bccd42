"""The fuzz of fuzz_kernels.py, in a process of its own: a signal there is a failure here, with the call that it met.

A thousand calls in every run of the tests, twenty thousand when asked for: `pytest -m slow tests/kernels/test_fuzz.py`.
"""

import glob
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.kernels.fuzz_kernels import Finding, _agree, fuzz, ops_with_kernels
from tests.kernels.fuzz_recipes import RECIPES, Call
from tests.kernels.memory import LAYOUTS, Memory
from tinygrad_gpt.kernels import registry

ROOT = pathlib.Path(__file__).parents[2]


def test_every_kernel_has_a_recipe():
    assert set(RECIPES) == set(ops_with_kernels())


@pytest.mark.parametrize("calls", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_no_signal_and_no_wrong_number(calls):
    command = [sys.executable, "-m", "tests.kernels.fuzz_kernels", "--calls", str(calls), "--seed", str(calls)]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | _watched_heap(), capture_output=True, text=True)
    last = "\n".join([*run.stdout.splitlines()[-30:], *run.stderr.splitlines()[:30]])
    assert run.returncode == 0, f"{' '.join(command[1:])} ended with status {run.returncode}:\n{last}"
    for op in RECIPES:
        assert f"{op} right" in run.stdout and f"{op} refused" in run.stdout


def _watched_heap() -> dict[str, str]:
    """Settings under which glibc fills freed memory with rubbish, and notices when somebody wrote beside a piece of its
    own: the results of kernels have no guard zones."""
    checker = sorted(glob.glob("/lib/*/libc_malloc_debug.so.0")) if sys.platform == "linux" else []
    preload = {"LD_PRELOAD": checker[0], "MALLOC_CHECK_": "3"} if checker else {}
    return {"MALLOC_PERTURB_": "165", **preload}


# --- that it finds what it looks for -----------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_hold_their_values_in_every_layout(layout):
    memory = Memory(np.random.default_rng(0))
    for values in (
        np.arange(12.0).reshape(3, 4),
        np.arange(6, dtype=">u2").reshape(1, 2, 3),
        np.array(7.0),
        np.ones((0, 3)),
    ):
        x = memory.place(values, layout=layout)
        assert x.shape == values.shape and x.dtype == values.dtype
        assert layout == "repeated" or (x == values).all()
    memory.check()
    assert not memory.place(np.ones(3), layout="locked").flags.writeable
    assert not memory.place(np.ones(3), layout="unaligned").flags.aligned


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"owner", "locked", "repeated", "far apart"}))
def test_writes_to_an_input_and_beside_an_array_show(layout):
    for place in (0, 3, 4):
        memory = Memory(np.random.default_rng(0))
        x = memory.place(np.ones(4, np.float32), layout=layout, written=place == 4)
        np.lib.stride_tricks.as_strided(x, (5,))[place] = 7.0
        with pytest.raises(AssertionError, match="beside"):
            memory.check()
    memory = Memory(np.random.default_rng(0))
    memory.place(np.ones(4), layout=layout, written=True)[...] = 5.0
    memory.check()


def test_reads_beside_an_array_are_nan():
    x = Memory(np.random.default_rng(0)).place(np.ones(4, np.float32), layout="plain")
    assert np.isnan(np.lib.stride_tricks.as_strided(x, (6,))[4:]).all()


def test_verdicts():
    call, one = Call(()), np.ones(3)
    assert _agree(one, one, call, may_refuse=False)
    assert not _agree(ValueError("no"), ValueError("no"), call, may_refuse=False)
    assert not _agree(ValueError("no"), one, call, may_refuse=True)
    for got, right, may_refuse in (
        (ValueError("no"), one, False),
        (one, ValueError("no"), True),
        (one + 1e-6, one, False),
        (one * np.nan, one, False),
        (one.astype(np.float32), one, False),
        (np.ones((3, 1)), one, False),
        ((one, None), (one, one), False),
        (ValueError(), one, True),
        (SystemError("no"), one, True),
        (AssertionError("no"), one, True),
    ):
        with pytest.raises(Finding):
            _agree(got, right, call, may_refuse)


def test_a_wrong_kernel_is_found(monkeypatch):
    """One that takes unsigned targets as they are, as ours once did."""
    version = next(v for v in registry.versions("cross_entropy") if v.name == "numba")
    wrong = registry.Version(
        "cross_entropy",
        "numba",
        lambda z, t, **settings: version.forward(z, t * 0 if t.dtype.kind == "u" else t, **settings),
        version.backward,
        version.why_not,
    )
    monkeypatch.setattr("tests.kernels.fuzz_kernels.versions", lambda op: [wrong])
    monkeypatch.setattr("tests.kernels.fuzz_kernels.ops_with_kernels", lambda: ["cross_entropy"])
    with pytest.raises(Finding, match="wrong numbers"):
        for number in range(300):
            fuzz(number, seed=0)
