"""What tests of runs share: stopping them, and comparing what they leave."""

import io
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np

from tinygrad_gpt.train.checkpoint import load_checkpoint
from tinygrad_gpt.train.metrics import read_metrics
from tinygrad_gpt.train.reporter import Reporter

TIMES = ("tokens_per_s", "elapsed_s")


class StopsAt(Reporter):
    """Presses Ctrl-C, once or twice, after the n-th step that it sees."""

    def __init__(self, at, stream=None, times=1):
        super().__init__(stream or io.StringIO())
        self.left, self.times = at, times

    def step(self, step, loss):
        self.left -= 1
        if self.left == 0:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


HOLDER = """
import pathlib, sys
from tinygrad_gpt.files.locks import hold
lock = hold(pathlib.Path(sys.argv[1]))
print("held" if lock else "in use", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_elsewhere(path):
    """Inside this block, another process holds the file."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate()


SITTING = """
import os, sys
from pathlib import Path
from tinygrad_gpt.train.any_run import resume
run = resume(Path(sys.argv[1]))
run.train(callbacks=lambda trainer: os._exit(9) if trainer.step == int(sys.argv[2]) else None)
"""


def kill_at(step, path):
    """Resume the run in the folder `path` in another process, which dies after that step without a word."""
    died = subprocess.run([sys.executable, "-c", SITTING, str(path), str(step)], capture_output=True, text=True)
    assert died.returncode == 9, died.stderr


def arrays_of(folder):
    """Those of a run's checkpoint, by name."""
    return load_checkpoint(folder.checkpoint)[0]


def rows_of(folder):
    """The rows of a run's metrics, without what depends on the clock."""
    return [{k: v for k, v in row.items() if k not in TIMES} for row in read_metrics(folder.metrics)]


def assert_same_arrays(a, b):
    assert set(a) == set(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
