"""The step benchmark: what it makes of times, whom it asks, and that all sides do compute the same."""

import importlib.util
import json
import subprocess
import sys

import harness
import numpy as np
import pytest
import sizes
import train_step

TINY = sizes.Config("tiny", B=2, T=8, C=16, layers=2, heads=2, V=11, bias=True)
PACKAGES = {"pytorch-eager": "torch", "pytorch-eager-fused": "torch"}  # torch.compile needs a C++ compiler
PACKAGES |= {"jax": "jax", "mygrad": "mygrad", "autograd": "autograd"}


class FakePeer:
    def __init__(self, losses):
        self.losses = losses

    def ask(self, call, steps):
        if self.losses is None:
            raise train_step.harness.PeerFailed("fake", "no compiler")
        return self.losses

    def close(self):
        pass


def test_validation_refuses_another_function():
    ours, left_out = FakePeer([4.0, 3.9, 3.8]), {}
    train_step.validate(ours, {"jax": FakePeer([4.0, 3.9, 3.8001])}, 2e-4, left_out)
    with pytest.raises(SystemExit, match="jax computes another function"):
        train_step.validate(ours, {"jax": FakePeer([4.0, 3.9, 3.802])}, 2e-4, left_out)
    assert left_out == {}


def test_validation_on_a_gpu_leaves_out_another_function():
    peers, left_out = {"jax": FakePeer([4.0, 3.9]), "pytorch-eager": FakePeer([4.0, 3.8])}, {}
    train_step.validate(FakePeer([4.0, 3.9]), peers, 2e-4, left_out, "cuda")
    assert list(peers) == ["jax"] and left_out["pytorch-eager"].startswith("computes another function")


def test_validation_leaves_out_a_peer_that_cannot():
    peers, left_out = {"tinygrad": FakePeer(None), "jax": FakePeer([4.0])}, {}
    train_step.validate(FakePeer([4.0]), peers, 2e-4, left_out)
    assert list(peers) == ["jax"] and left_out == {"tinygrad": "no compiler"}


def test_peers_that_are_not_here_or_too_slow_are_left_out(tmp_path, monkeypatch):
    script = tmp_path / "peer.py"
    script.write_text("import a_package_that_nobody_has", encoding="utf-8")
    monkeypatch.setitem(train_step.SCRIPTS, "jax", (str(script),))
    left_out = {}
    assert train_step.start(["jax", "mygrad"], sizes.CONFIGS["gpt2-124m"], tmp_path, left_out) == {}
    assert "a_package_that_nobody_has" in left_out["jax"] and "small sizes" in left_out["mygrad"]


def test_the_record_compares_with_the_fastest_pytorch_round_by_round():
    times = {"tinygrad_gpt": [10.0, 20.0, 10.0], "pytorch-eager": [30.0, 40.0, 30.0], "jax": [5.0, 5.0, 5.0]}
    times["pytorch-compile-fused"] = [20.0, 30.0, 18.0]
    memory = {"tinygrad_gpt": 60.0, "pytorch-eager": 100.0, "jax": 10.0, "pytorch-compile-fused": 120.0}
    r = train_step.record("tiny", "float32", times, memory, {"mygrad": "why"})
    assert r["config"] == "tiny" and r["dtype"] == "float32" and r["rounds"] == 3
    assert r["ours_ms"] == 10 and r["ours_peak_mib"] == 60
    assert r["peers"]["jax"] == {"ms": 5.0, "peak_mib": 10.0, "ratio": 0.5}
    assert r["fastest_pytorch"] == "pytorch-compile-fused" and r["ratio_fastest_pytorch"] == 1.8
    assert r["ratio_default_adamw"] == 3 and r["memory_to_pytorch"] == 0.6 and r["left_out"] == {"mygrad": "why"}
    shown = train_step.table([r])
    assert "10.0 (60)" in shown and "| 1.80 | 0.60 |" in shown and "mygrad is not in tiny: why" in shown


def test_the_record_of_ours_alone_has_no_ratio():
    r = train_step.record("tiny", "float32", {"tinygrad_gpt": [10.0]}, {"tinygrad_gpt": 60.0}, {})
    assert r["peers"] == {} and r["ratio_fastest_pytorch"] is None and r["memory_to_pytorch"] is None
    assert "| - | - |" in train_step.table([r])
    json.dumps(r, allow_nan=False)


def test_what_a_record_of_a_gpu_has_besides():
    config = sizes.CONFIGS["char-gpu-64"]
    times = {"tinygrad_gpt": [10.0, 20.0, 10.0], "pytorch-eager-fused": [20.0, 40.0, 30.0]}
    tflops = {"tinygrad_gpt": 400.0, "pytorch-eager-fused": 500.0}
    memory = {"tinygrad_gpt": 900.0, "pytorch-eager-fused": 1800.0}
    rates = train_step.rates(config, times, {"tinygrad_gpt": 300.0}, tflops)
    assert rates["tokens_per_s"] == {"tinygrad_gpt": 64 * 256 * 100, "pytorch-eager-fused": 64 * 256 * 1e3 / 30}
    share = train_step.operations(config) / 10e-3 / 500e12
    assert rates["share_of_peak"]["tinygrad_gpt"] == pytest.approx(share)
    r = train_step.record(config.name, "tf32", times, memory, {"jax": "why"}) | rates | {"not_recorded": "it waits"}
    shown = train_step.cuda_table([r])
    assert f"| char-gpu-64, tf32 | tinygrad_gpt | 10.00 | 1638400 | {share:.2f} | 900 |  |" in shown
    assert "| char-gpu-64, tf32 | pytorch-eager-fused | 30.00 | 546133 |" in shown and "| 1800 | 2.00 |" in shown
    for note in ("product: tinygrad_gpt 400, pytorch-eager-fused 500", "jax is not in", "our steps: it waits"):
        assert note in shown
    json.dumps(r, allow_nan=False)


def test_memory_on_a_gpu_is_what_a_side_gives_back(monkeypatch):
    used = [5000.0, 1500.0]
    monkeypatch.setattr(train_step.harness, "gpu_mib", lambda: used.pop(0))
    assert train_step.given_back(FakePeer([])) == 3500
    monkeypatch.setattr(train_step.harness, "gpu_mib", lambda: None)
    assert train_step.given_back(FakePeer([])) is None


def test_a_gpu_is_asked_for_its_own_sizes_in_every_precision(tmp_path, monkeypatch, capsys):
    asked, record = [], {"config": "x", "dtype": "y", "peers": {}, "ours_ms": 1.0, "ours_peak_mib": 2.0, "left_out": {}}
    record |= {"tokens_per_s": {"tinygrad_gpt": 3.0}, "share_of_peak": {"tinygrad_gpt": 0.5}}
    record |= {"product_tflops": {"tinygrad_gpt": 4.0}, "not_recorded": None}

    def measure(config, rounds, names, dtype, device, beside):
        asked.append((config.name, dtype, tuple(names), device))
        if dtype == "tf32":
            raise SystemExit("no tf32 here")
        return record | {"config": config.name, "dtype": dtype}

    monkeypatch.setattr(train_step, "measure", measure)
    monkeypatch.setattr(train_step.reporting, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["train_step.py", "--device", "cuda"])
    train_step.main()
    everything = {(config, dtype) for config in sizes.ON_CUDA for dtype in ("bfloat16", "tf32", "float32")}
    assert {a[:2] for a in asked} == everything and {a[2:] for a in asked} == {(train_step.GROUPS["gpu"], "cuda")}
    assert len(json.loads((tmp_path / "train_step_cuda.json").read_text(encoding="utf-8"))["records"]) == 4
    assert capsys.readouterr().out.count("is left out: no tf32 here") == 2


def test_busy_processes_compute_until_the_block_ends(monkeypatch):
    started = []
    start = subprocess.Popen
    monkeypatch.setattr(harness.subprocess, "Popen", lambda *args: started.append(start(*args)) or started[-1])
    with harness.busy_processes(2):
        assert len(started) == 2 and all(process.poll() is None for process in started)
    assert all(process.poll() is not None for process in started)


def test_names_and_groups_of_peers():
    assert train_step.chosen_peers(["jax", "pytorch", "jax"]) == ["jax", *train_step.PYTORCH]
    assert set(train_step.chosen_peers(["all"])) == set(train_step.SCRIPTS)
    assert train_step.chosen_peers(["none"]) == []
    with pytest.raises(SystemExit, match="no peer 'torch'"):
        train_step.chosen_peers(["torch"])


def test_every_peer_has_its_file():
    for script, *_ in train_step.SCRIPTS.values():
        assert (train_step.harness.PEERS / script).is_file()


def test_sizes():
    changed = TINY.but(T=16, layers=None, heads=4)
    assert (changed.name, changed.T, changed.layers, changed.heads) == ("tiny,T=16,heads=4", 16, 2, 4)
    (ids, targets), *_ = sizes.batches(TINY)
    assert ids.shape == targets.shape == (2, 8)
    np.testing.assert_array_equal(ids[:, 1:], targets[:, :-1])


def test_operations_of_char_cpu():
    weights = 4 * 12 * 128**2 + 65 * 128
    tokens = 12 * 64
    attention = 4 * 2 * (12 * 4 * 64 * 64 / 2) * 32  # layers, two products, pairs of query and key, head size
    assert train_step.operations(sizes.CONFIGS["char-cpu"]) == 6 * (tokens * weights + attention)


def test_settings_arrive(tmp_path):
    file = sizes.write_settings(tmp_path, TINY, "float32")
    assert sizes.read_settings(str(file)) == (TINY, "float32", tmp_path / "weights.safetensors", "cpu")
    file = sizes.write_settings(tmp_path, TINY, "tf32", "cuda")
    assert sizes.read_settings(str(file)) == (TINY, "tf32", tmp_path / "weights.safetensors", "cuda")


@pytest.mark.long
def test_the_command_writes_the_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train_step, "SECONDS", 0.01)
    file = tmp_path / "r.json"
    command = "train_step.py --config char-cpu --B 2 --T 8 --C 16 --layers 1 --heads 2 --V 11 --rounds 2 --peers none"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--beside", "1", "--json", str(file)])
    train_step.main()
    r = json.loads(file.read_text(encoding="utf-8"))
    assert r["config"] == "char-cpu,B=2,T=8,C=16,layers=1,heads=2,V=11" and r["rounds"] == 2
    assert r["beside"] == 1 and "beside 1 busy" in train_step.table([r])
    assert r["ours_ms"] > 0 and r["ours_peak_mib"] > 0 and r["peers"] == {}
    assert r["config"] in capsys.readouterr().out


@pytest.mark.reference
@pytest.mark.slow
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_peers_compute_the_same(bias, monkeypatch):
    """`measure` raises where losses differ; those of three steps, so that gradients and updates are right too."""
    names = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]
    if not names:
        pytest.skip("no other framework is installed")
    monkeypatch.setattr(train_step, "SECONDS", 0.01)
    r = train_step.measure(TINY.but(bias=bias), 1, names)
    assert set(r["peers"]) == set(names) and r["left_out"] == {}
