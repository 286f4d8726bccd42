"""`kill -9` at any moment, then --resume: the same weights, bit for bit, as a run that was never interrupted.

Each sitting is a process of its own. Most kill themselves at a chosen moment, among them the worst ones: with half a
checkpoint written, with a whole one that has not taken its place yet, right after it has. One is killed from outside,
whenever that happens to be.
"""

import os
import random
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from tinygrad_gpt.train.checkpoint import load_checkpoint
from tinygrad_gpt.train.metrics import read_metrics

STEPS = 24
OPTIONS = f"--preset tiny --n-layer 1 --n-embd 16 --block-size 8 --batch-size 2 --dropout 0.2 --steps {STEPS}"
OPTIONS += " --log-interval 4 --eval-interval 6 --eval-tokens 64 --checkpoint-interval 3 --sample-tokens 5"

# Runs the command, and dies the hard way at the n-th time that it comes to a place.
SITTING = textwrap.dedent("""
    import itertools, os, sys
    from tinygrad_gpt.cli import main
    from tinygrad_gpt.train import checkpoint, trainer

    def die():
        os.kill(os.getpid(), 9) if os.name == "posix" else os._exit(9)

    def dies(at, function, before):
        calls = itertools.count(1)
        def wrapper(*arguments):
            now = next(calls) == at
            if now and before:
                die()
            result = function(*arguments)
            if now:
                die()
            return result
        return wrapper

    place, at, arguments = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    if place == "after a step":
        trainer.Trainer.train_step = dies(at, trainer.Trainer.train_step, before=False)
    elif place == "while evaluating":
        trainer.Trainer._evaluate_or_end = dies(at, trainer.Trainer._evaluate_or_end, before=True)
    elif place == "after a checkpoint":
        trainer.save_checkpoint = dies(at, trainer.save_checkpoint, before=False)
    elif place == "halfway through a checkpoint":
        whole, calls = checkpoint.write_arrays, itertools.count(1)
        def write(file, arrays, metadata):
            if next(calls) == at:
                whole(file, dict(list(arrays.items())[: len(arrays) // 2]), metadata)
                file.flush()
                die()
            whole(file, arrays, metadata)
        checkpoint.write_arrays = write
    elif place == "before a checkpoint takes its place":
        real = os.replace
        counted = dies(at, real, before=True)
        os.replace = lambda a, b: (counted if str(b).endswith(".safetensors") else real)(a, b)
    sys.exit(main(arguments))
""")


def sitting(place, at, arguments, **how):
    return subprocess.run(
        [sys.executable, "-c", SITTING, place, str(at), "train", *arguments], capture_output=True, text=True, **how
    )


def check_same(whole, run):
    expected, state = load_checkpoint(whole / "checkpoint.safetensors")
    arrays, state_after = load_checkpoint(run / "checkpoint.safetensors")
    assert state["step"] == state_after["step"] == STEPS
    assert state["random_state"] == state_after["random_state"]
    assert set(arrays) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(arrays[name], expected[name], err_msg=name)
    rows = [[{**r, "tokens_per_s": 0, "elapsed_s": 0} for r in read_metrics(f / "metrics.jsonl")] for f in (whole, run)]
    assert rows[0] == rows[1]


@pytest.fixture
def whole(text, tmp_path):
    done = sitting("nowhere", 0, [str(text), "--out", "whole", *OPTIONS.split()])
    assert done.returncode == 0, done.stderr
    return tmp_path / "whole"


@pytest.mark.long
def test_killed_at_the_worst_moments(whole, text, tmp_path):
    moments = [
        ("halfway through a checkpoint", 1),  # before there is any
        ("after a step", 8),
        ("before a checkpoint takes its place", 2),
        ("halfway through a checkpoint", 2),
        ("while evaluating", 1),
        ("after a checkpoint", 2),
    ]
    arguments = [str(text), "--out", "run", *OPTIONS.split()]
    reached = []
    for place, at in moments:
        killed = sitting(place, at, arguments)
        assert killed.returncode != 0 and not killed.stderr, (place, killed)
        arguments = ["--resume", "run"]
        checkpoint = tmp_path / "run" / "checkpoint.safetensors"
        reached.append(load_checkpoint(checkpoint)[1]["step"] if checkpoint.exists() else 0)
    assert reached == [0, 6, 9, 12, 15, 21], "the sittings did not die where they should"
    done = sitting("nowhere", 0, arguments)
    assert done.returncode == 0, done.stderr
    check_same(whole, tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.tmp"))


@pytest.mark.long
def test_killed_from_outside_whenever(whole, text, tmp_path):
    arguments = [str(text), "--out", "run", *OPTIONS.split()]
    process = subprocess.Popen(
        [sys.executable, "-m", "tinygrad_gpt", "train", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "tokenizer.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.3))
    process.kill()
    process.communicate()
    done = sitting("nowhere", 0, ["--resume", "run"])
    assert done.returncode == 0, done.stderr
    check_same(whole, tmp_path / "run")


@pytest.mark.long
def test_a_memory_survives(text, tmp_path):
    """That of a Transformer-XL, which is no weight: killed in the middle of an epoch, and after one."""
    options = OPTIONS.replace("--preset tiny", "--preset transformer-xl-char").replace("--block-size", "--window")
    options += " --memory 12 --batch-size 6"
    whole = sitting("nowhere", 0, [str(text), "--out", "whole", *options.split()])
    assert whole.returncode == 0, whole.stderr
    arguments = [str(text), "--out", "run", *options.split()]
    for place, at in (("after a step", 8), ("halfway through a checkpoint", 3), ("after a checkpoint", 2)):
        killed = sitting(place, at, arguments)
        assert killed.returncode != 0 and not killed.stderr, (place, killed)
        arguments = ["--resume", "run"]
    done = sitting("nowhere", 0, arguments)
    assert done.returncode == 0, done.stderr
    check_same(tmp_path / "whole", tmp_path / "run")


@pytest.mark.skipif(os.name != "posix", reason="a test cannot press Ctrl-C for one process alone on Windows")
def test_ctrl_c_from_outside(text, tmp_path):
    import signal

    options = OPTIONS.replace(f"--steps {STEPS}", "--steps 1000000")
    process = subprocess.Popen(
        [sys.executable, "-m", "tinygrad_gpt", "train", str(text), "--out", "run", *options.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "checkpoint.safetensors").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 130 and complained == ""
    step = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")[1]["step"]
    assert f"stopped and saved at step {step}; continue with: tinygrad-gpt train --resume run" in said
