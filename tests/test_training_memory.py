"""Training steps leave nothing behind: no reference cycles, and the same peak of memory at step 200 as at step 20."""

import gc
import subprocess
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.models.gpt import GPT, GPTConfig
from tinygrad_gpt.optim import AdamW, clip_grad_norm


def trainer(**settings):
    """A function that makes one training step of a small GPT, and the model."""
    tg.manual_seed(1)
    config = GPTConfig(vocab_size=11, block_size=8, n_layer=1, n_head=2, n_embd=16, dropout=0.1, **settings)
    model = GPT(config)
    optimizer = AdamW(model.named_parameters(), lr=1e-3)
    rng = np.random.default_rng(0)

    def step() -> float:
        ids = rng.integers(0, 11, size=(3, 9))
        loss = model.loss(ids[:, :-1], ids[:, 1:])
        loss.backward()
        clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step, model


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.long
@pytest.mark.parametrize("version", ["reference", None])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_training_step_creates_no_cycles(no_gc, version, norm):
    with tg.using(version):
        step, _ = trainer(norm=norm)
        step()  # loads and compiles what loads and compiles on first use, which may well leave cycles
        step()
        gc.collect()
        for _ in range(3):
            step()
        assert gc.collect() == 0


@pytest.mark.long
@pytest.mark.parametrize("version", ["reference", None])
def test_activations_are_gone_as_soon_as_the_loss_is(no_gc, version):
    with tg.using(version):
        step, model = trainer()
        step()
        ids = np.zeros((3, 8), np.int64)
        logits = model(ids)
        watched = [weakref.ref(logits.node), weakref.ref(logits.data)]
        node = logits.node
        while node.edges and hasattr(node.edges[0], "node") and not isinstance(node.edges[0], tg.Tensor):
            node = node.edges[0].node
            watched.append(weakref.ref(node))
        assert len(watched) > 4
        del logits, node
        assert [w() for w in watched] == [None] * len(watched)


def growth_of_the_peak() -> int:
    """By how many bytes the peak of memory in late steps exceeds that in early ones."""
    step, _ = trainer()
    for _ in range(20):
        step()
    gc.disable()
    tracemalloc.start()
    peaks = []
    for _ in range(120):
        gc.collect()  # empties Python's lists of free tuples, which would fill up to their limits meanwhile
        tracemalloc.reset_peak()
        step()
        peaks.append(tracemalloc.get_traced_memory()[1])
    # The least of many: now and then a step takes 64 kB more for a moment, and what is forgotten is there in each.
    return min(peaks[80:]) - min(peaks[10:40])


@pytest.mark.long
def test_the_peak_of_memory_does_not_grow():
    """In a process of its own: in one that has run a thousand tests, the interpreter's own tables grow meanwhile."""
    run = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    # One forgotten array of activations (1.5 kB) per step would be 100 kB; the interpreter's own objects vary by 10 kB.
    assert int(run.stdout) <= 32_000, f"the peak grew by {run.stdout} bytes"


if __name__ == "__main__":
    print(growth_of_the_peak())
