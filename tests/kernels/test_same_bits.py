"""Every kernel gives the same bits on 1, 2 and 3 threads, whatever cores there are. (same_bits.py computes them.)"""

import json
import os
import pathlib
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.same_bits"],
        env=os.environ | {"NUMBA_NUM_THREADS": "3"},
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=1200,  # where nothing is compiled yet, on a busy machine
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_same_bits_on_any_number_of_threads(found):
    assert found["differ"] == []


def test_every_version_of_every_op_has_a_call(found):
    assert found["without a call"] == [], "tests/kernels/calls.py has no call of these"


def test_every_kernel_ran_on_three_threads_in_each_dtype(found):
    assert found["on fewer threads"] == [], "tests/kernels/calls.py has no call of these, or smaller arrays than ALONE"
