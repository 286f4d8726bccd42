"""What the commands say of threads, of a quota, and of other work on the machine."""

import os
import re
from types import SimpleNamespace

import pytest

from tinygrad_gpt.cli import bench, shared
from tinygrad_gpt.devices import device
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.kernels.numba.machine import cores

pytest.importorskip("numba")
QUOTA = "the container's quota is 0.9 of 2 cores (the environment variable NUMBA_NUM_THREADS=2 takes them all)"


def two_threads():
    from tinygrad_gpt.kernels.numba.machine import threads

    return threads.count() > 1


def note_for(monkeypatch, reason, where="cpu"):
    notes = []
    monkeypatch.setattr("tinygrad_gpt.kernels.numba.fewer_threads", lambda: reason)
    shared.report_threads(SimpleNamespace(device=device(where)), SimpleNamespace(note=notes.append))
    return notes


def test_training_says_that_it_runs_on_fewer_threads(monkeypatch):
    assert note_for(monkeypatch, QUOTA) == [f"kernels run on fewer threads: {QUOTA}"]
    assert note_for(monkeypatch, None) == []


def test_without_kernels_nothing_is_said_of_threads(monkeypatch):
    monkeypatch.setattr(registry, "no_kernels", lambda where: "numba is not installed")
    assert note_for(monkeypatch, QUOTA) == []


def test_train_asks(run, monkeypatch):
    monkeypatch.setattr("tinygrad_gpt.kernels.numba.fewer_threads", lambda: QUOTA)
    status, said, _ = run("train", "text.txt", "--preset", "tiny", "--steps", "1", "--eval-interval", "1")
    assert status == 0 and "kernels run on fewer threads" in " ".join(said.split())


def test_info_says_how_many_threads_and_why(run, monkeypatch):
    from tinygrad_gpt.kernels.numba.machine import threads

    for setting in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(setting, raising=False)
    monkeypatch.setattr(threads, "_choice", cores.Choice(1, "the container's quota is 0.9 of 2 cores"))
    _, said, _ = run("info")
    assert re.search(r"threads +\d+", said)
    assert "quota is 0.9 of 2 cores" in said and "NUMBA_NUM_THREADS=" in said
    monkeypatch.setitem(os.environ, "NUMBA_NUM_THREADS", "1")
    _, said, _ = run("info")
    assert "as NUMBA_NUM_THREADS says" in " ".join(said.split()) and "quota" not in said


def test_info_says_what_was_chosen_for_this_processor(run, monkeypatch):
    from tinygrad_gpt.kernels.numba import chosen, linear
    from tinygrad_gpt.kernels.numba.product import blas, blas_tiles, packed, registers

    _, said, _ = run("info")
    assert chosen() in " ".join(said.split())
    for features, size, tall, vectors, count, product, expected in [
        ({"avx2", "avx512f"}, 64, 8, 3, 32, packed.product, "AVX-512: vectors of 16 float32, blocks of 8 x 48 sums"),
        ({"avx2", "avx"}, 32, 4, 2, 16, blas_tiles.product, "AVX2: vectors of 8 float32, blocks of 4 x 16 sums"),
        ({"neon"}, 16, 8, 3, 32, blas.numpy_product, "NEON: vectors of 4 float32, blocks of 8 x 12 sums"),
    ]:
        monkeypatch.setattr(registers, "_features", lambda features=features: frozenset(features))
        for name, value in {"VECTOR_BYTES": size, "TALL": tall, "VECTORS": vectors, "REGISTERS": count}.items():
            monkeypatch.setattr(registers, name, value)
        monkeypatch.setattr(linear, "product", product)
        line = chosen()
        assert line.startswith(f"{expected} in its {count} registers; ")
        whose = {packed.product: "our own", blas_tiles.product: "OpenBLAS, in tiles", blas.numpy_product: "no OpenBLAS"}
        assert whose[product] in line


def test_bench_measures_what_a_busy_core_costs(run, monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    _, said, _ = run("bench", "--preset", "tiny")
    assert "NUMBA_NUM_THREADS" in said
    assert said.count("beside a busy core") == (2 if two_threads() else 0)


def test_the_busy_core_is_idle_again_afterwards_and_so_are_the_threads(monkeypatch):
    from tinygrad_gpt.kernels.numba.machine import threads

    if not two_threads():
        pytest.skip("one thread here")
    started, seen, before = [], [], threads.count()
    real = bench.subprocess.Popen
    monkeypatch.setattr(bench.subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])

    def step(settings):
        seen.append((threads.count(), started[-1].poll()))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return "", "", 1.0, ""

    monkeypatch.setattr(bench, "training_step", step)
    with pytest.raises(KeyboardInterrupt):
        list(bench.beside_other_work(None))
    assert seen == [(before, None), (before - 1, None)]
    assert threads.count() == before and all(process.poll() is not None for process in started)
