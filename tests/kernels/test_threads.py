"""Many threads and processes at once: each computes the bits that one alone computes, and nothing hangs or dies."""

import os
import subprocess
import sys

import pytest

CAN_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
LAYERS = pytest.mark.parametrize("layer", ["default", "workqueue"])

# What everybody computes: three training steps of a small GPT, and what it writes then.
START = """
import sys, threading
import numpy as np

def work(seed=0):
    from tinygrad_gpt import array, optim
    from tinygrad_gpt.generate import generate
    from tinygrad_gpt.models import GPT, GPTConfig
    rng = np.random.default_rng(seed)
    model = GPT(GPTConfig(vocab_size=17, block_size=24, n_layer=2, n_head=2, n_embd=32))
    for p in model.parameters():
        p.data[...] = 0.2 * rng.standard_normal(p.shape)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(3):
        ids = rng.integers(17, size=(9, 25))
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    written = list(generate(model, [1, 2, 3], max_new_tokens=5, temperature=0))
    return loss.item(), written, [p.data.tobytes() for p in model.parameters()]

def worker(seed):  # what a process sends back
    import hashlib
    loss, written, weights = work(seed)
    return loss, written, hashlib.sha256(b"".join(weights)).hexdigest()

def threads_in_a_child(right):  # a forked process's own threads, and its own children
    import os
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(worker, [0] * 3))
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, b"same" if worker(0) == right else b"else")
        os._exit(0)
    return results == [right] * 3 and os.read(read, 4) == b"same"

def main():
"""
END = """
    print("done")

if __name__ == "__main__":
    main()
"""


def in_new_process(code: str, layer: str = "default", timeout: int = 240, **environment: str) -> str:
    """Run `main` with this body in a process of its own; what it prints on standard error."""
    body = "".join(f"    {line}\n" for line in code.strip().splitlines())
    source = START + body + END
    environment = os.environ | {"NUMBA_THREADING_LAYER": layer} | environment
    done = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-2000:]}"
    assert done.stdout.split()[-1] == "done"
    return done.stderr


MANY_THREADS = """
from concurrent.futures import ThreadPoolExecutor
gate = threading.Barrier(6)
def together(_):
    gate.wait()
    return work()
with ThreadPoolExecutor(6) as pool:  # the first use of a kernel, by all of them
    results = list(pool.map(together, range(6)))
alone = work()
assert all(r == alone for r in results), [r[:2] for r in results]
"""


@pytest.mark.long
@LAYERS
def test_first_use_by_many_threads(layer):
    assert in_new_process(MANY_THREADS, layer) == ""


ASYNCIO = """
import asyncio
async def all_at_once():
    return await asyncio.gather(*[asyncio.to_thread(work) for _ in range(4)])
results = asyncio.run(all_at_once())
assert all(r == work() for r in results)
"""


@pytest.mark.long
@LAYERS
def test_asyncio_to_thread(layer):
    assert in_new_process(ASYNCIO, layer) == ""


FORKED = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
before = worker(0)  # so the pool is running
fork = multiprocessing.get_context("fork")
with fork.Pool(2) as pool:
    assert pool.map(worker, [0] * 3) == [before] * 3
with ProcessPoolExecutor(2, mp_context=fork) as pool:
    assert list(pool.map(worker, [0] * 3)) == [before] * 3

with fork.Pool(1) as pool:
    assert pool.map(threads_in_a_child, [before]) == [True]
assert worker(0) == before  # and here all is as it was
"""


@pytest.mark.long
@CAN_FORK
@LAYERS
def test_forked_after_kernels(layer):
    in_new_process(FORKED, layer)  # Python 3.12 warns of any fork beside threads


FORKED_BEFORE = """
import multiprocessing
import tinygrad_gpt
with multiprocessing.get_context("fork").Pool(2) as pool:
    results = pool.map(worker, [0, 1, 0])
assert results == [worker(0), worker(1), worker(0)]
"""


@pytest.mark.long
@CAN_FORK
def test_forked_before_kernels():
    in_new_process(FORKED_BEFORE)


FORKED_WHILE_COMPILING = """
import os, time
from tinygrad_gpt.kernels.numba import gelu
from tinygrad_gpt.kernels.numba.machine import compile
before = worker(0)
started = threading.Event()
def compile_for_a_while():
    with compile._compiling:
        started.set()
        time.sleep(1)
thread = threading.Thread(target=compile_for_a_while)
thread.start()
started.wait()
child = os.fork()
if child == 0:  # needs the lock, which a thread that is not here had
    gelu._forward.teams.clear()
    os._exit(0 if worker(0) == before else 1)
assert os.waitpid(child, 0)[1] == 0
thread.join()
"""


@pytest.mark.long
@CAN_FORK
def test_forked_while_another_thread_compiles():
    in_new_process(FORKED_WHILE_COMPILING)


SPAWNED = """
import multiprocessing
with multiprocessing.get_context("spawn").Pool(2) as pool:
    results = pool.map(worker, [0, 1])
assert results == [worker(0), worker(1)]
"""


def test_spawned(tmp_path):
    """Spawned processes import the main module, so that here it is a file."""
    script = tmp_path / "script.py"
    body = "".join(f"    {line}\n" for line in SPAWNED.strip().splitlines())
    script.write_text(START + body + END, encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["done"], "")


@pytest.mark.reference
@CAN_FORK
def test_workers_of_a_data_loader():
    torch = pytest.importorskip("torch")
    assert torch is not None
    code = """
import torch
before = worker(0)
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        return worker(0) == before
loader = torch.utils.data.DataLoader(Data(), num_workers=2, multiprocessing_context="fork")
assert [bool(x) for batch in loader for x in batch] == [True] * 4
"""
    in_new_process(code)


NUMBERS = """
import numba
from tinygrad_gpt.kernels.numba import gelu
from tinygrad_gpt.kernels.numba.machine import threads
counts = [threads.count()]
thread = threading.Thread(target=lambda: counts.append(threads.count()))
thread.start()
thread.join()
assert counts == [int(sys.argv[1])] * 2, counts
numba.set_num_threads(1)  # the user's word counts, in the thread that says it
gelu.forward(np.ones(9, np.float32), approximate="tanh")
assert threads.count() == 1
print(work()[0])
"""


@pytest.mark.long
@pytest.mark.parametrize(
    "wanted, setting",
    [(1, {"OMP_NUM_THREADS": "1"}), (3, {"NUMBA_NUM_THREADS": "3"}), (7, {"NUMBA_NUM_THREADS": "7"})],
)
def test_the_number_of_threads_is_the_one_that_was_asked_for_in_every_thread(wanted, setting):
    in_new_process(NUMBERS.replace("int(sys.argv[1])", str(wanted)), **setting)


ONE_AND_TWO = """
import numba
two = worker(0)
numba.set_num_threads(1)
assert worker(0) == two
"""


@pytest.mark.long
def test_training_on_one_thread_and_on_two_gives_the_same_bits():
    in_new_process(ONE_AND_TWO, NUMBA_NUM_THREADS="2")


def test_whoever_comes_while_the_pool_is_taken_computes_alone():
    from tinygrad_gpt.kernels.numba.machine import threads

    if threads.count() == 1:
        pytest.skip("one thread here")
    first = threads.take()
    assert first == threads.count() and threads.take() == 1
    threads.give_back(1)
    assert threads.take() == 1
    threads.give_back(first)
    assert threads.take() == first
    threads.give_back(first)


AT_EXIT = """
import atexit
from tinygrad_gpt.kernels.numba import gelu
x = np.ones(100_000, np.float32)
def use():
    assert (gelu.forward(x, approximate="tanh")[0] == right).all()
right = gelu.forward(x[:9], approximate="tanh")[0][0]  # by the calling thread alone
atexit.register(use)  # called last, when the helpers have been sent away
use()
atexit.register(use)
"""


def test_kernels_run_until_the_interpreter_ends():
    assert in_new_process(AT_EXIT, NUMBA_NUM_THREADS="2") == ""


NUMPYS_THREADS = """
from tinygrad_gpt.kernels.numba.product import blas
asked = []
blas.use_one_thread = lambda: asked.append(1)
from tinygrad_gpt.kernels.numba import gelu
assert asked == EXPECTED, asked
"""


@pytest.mark.parametrize("setting, expected", [({}, [1]), ({"OPENBLAS_NUM_THREADS": "2"}, [])])
def test_numpys_own_products_keep_to_one_thread_unless_the_user_chose(setting, expected, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    in_new_process(NUMPYS_THREADS.replace("EXPECTED", str(expected)), **setting)
