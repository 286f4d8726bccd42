"""Whatever Numba is told by its environment, numbers are right; where it is slower for that, a line says why."""

import importlib.util
import os
import subprocess
import sys

import pytest

COMPUTE = """
import numpy as np
import tinygrad_gpt as tg
from tinygrad_gpt import functional as F

def run():
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((40, 16), np.float32), rng.standard_normal((24, 16), np.float32)
    x, w = tg.Tensor(x, requires_grad=True), tg.Tensor(w, requires_grad=True)
    b = tg.Tensor(np.ones(24, np.float32))
    y = F.gelu(F.layer_norm(F.linear(x, w), b.shape, b, b), approximate="tanh")
    q = F.reshape(y, (1, 2, 20, 24))
    loss = F.cross_entropy(F.reshape(F.attention(q, q, q, causal=True), (40, 24)), np.arange(40) % 24)
    loss.backward()
    return [loss.data, x.grad, w.grad]

with tg.using("reference"):
    right = run()
for got, wanted in zip(run(), right):
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
print(tg.explain("layer_norm", right[1], right[1][0], right[1][0]))
"""


def in_new_process(*command: str, **environment: str) -> tuple[str, list[str]]:
    """What it prints, and the lines on standard error that are warnings of the package."""
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if "arning: " in line and "kernels" in line]
    return done.stdout, lines


WITHOUT_KERNELS = [
    ({"NUMBA_DISABLE_JIT": "1"}, "NUMBA_DISABLE_JIT switches Numba's compiler off"),
    ({"NUMBA_NUM_THREADS": "0"}, "Number of threads"),
    ({"NUMBA_NUM_THREADS": "-2"}, "Number of threads"),
]
ON_ONE_THREAD = [
    ({"NUMBA_THREADING_LAYER": "nonsense"}, "nonsense"),
    ({"NUMBA_THREADING_LAYER_PRIORITY": "omp"}, "THREADING_LAYER_PRIORITY"),
]
if importlib.util.find_spec("tbb") is None:
    ON_ONE_THREAD.append(({"NUMBA_THREADING_LAYER": "tbb"}, "TBB is required"))


@pytest.mark.parametrize("setting, reason", WITHOUT_KERNELS)
def test_where_nothing_can_be_compiled_the_reference_runs(setting, reason):
    printed, told = in_new_process("-c", COMPUTE, **setting)
    assert "reference: runs" in printed and reason in printed
    assert len(told) == 1 and reason in told[0] and "kernels don't run" in told[0]


@pytest.mark.long
@pytest.mark.parametrize("setting, reason", ON_ONE_THREAD)
def test_where_there_are_no_threads_kernels_run_on_one(setting, reason):
    printed, told = in_new_process("-c", COMPUTE, **setting)
    assert "numba: runs" in printed
    assert len(told) == 1 and reason in told[0] and "kernels run on one thread" in told[0]


@pytest.mark.long
@pytest.mark.parametrize("setting", [{"NUMBA_NUM_THREADS": "5"}, {"NUMBA_THREADING_LAYER": "workqueue"}])
def test_nothing_is_said_where_nothing_is_wrong(setting):
    printed, told = in_new_process("-c", COMPUTE, **setting)
    assert "numba: runs" in printed and told == []


@pytest.mark.long
def test_no_place_for_the_cache(tmp_path):
    """Only the kernels of one op, since each is compiled here. In a copy of the package that cannot be written to, by a
    user without a home, which for whoever may write anywhere is a file in place of each folder."""
    code = """
import numba.core.caching as caching
for locator in caching.CacheImpl._locator_classes:
    locator.ensure_cache_path = lambda self: (_ for _ in ()).throw(PermissionError("read-only"))
import numpy as np, tinygrad_gpt as tg
x = np.ones((3, 5), np.float32)
from tinygrad_gpt import functional as F
assert F.gelu(x, approximate="tanh").shape == (3, 5)
print(tg.explain("gelu", x, approximate="tanh"))
"""
    printed, told = in_new_process("-c", code, NUMBA_CACHE_DIR=str(tmp_path))
    assert "numba: runs" in printed
    assert len(told) == 1 and "no folder to keep them in" in told[0]


@pytest.mark.long
@pytest.mark.parametrize("setting, reason", [WITHOUT_KERNELS[0], ON_ONE_THREAD[0]])
def test_the_command_says_it_in_one_line(setting, reason):
    command = "from tinygrad_gpt.cli import main; raise SystemExit(main(['info']))"
    printed, told = in_new_process("-c", command, **setting)
    assert len(told) == 1 and told[0].startswith("warning: ") and reason in told[0]
    assert reason in printed
