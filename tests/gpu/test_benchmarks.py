"""The benchmarks on a GPU: our sides answer there. With the emulation, which every process has to install, too."""

import json
import sys
from pathlib import Path

import pytest

from tests.gpu.on_gpu import emulated

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def sides_find_the_gpu(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    if emulated:
        install = "from tests import emulated_cuda\nemulated_cuda.install()\n"
        (tmp_path / "sitecustomize.py").write_text(install, encoding="utf-8")  # which Python runs as it starts
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_training_step(dtype, tmp_path, monkeypatch, capsys):
    import train_step

    monkeypatch.setattr(train_step, "SECONDS", 0.01)
    monkeypatch.setattr(train_step, "PRODUCT", 64)
    command = (
        "train_step.py --device cuda --config char-gpu-64 --B 2 --T 8 --C 16 --layers 1 --heads 2 --V 11 --rounds 1"
    )
    file = tmp_path / "r.json"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--dtype", dtype, "--peers", "none", "--json", str(file)])
    train_step.main()
    r = json.loads(file.read_text(encoding="utf-8"))
    assert (r["dtype"], r["device"], r["left_out"], r["not_recorded"]) == (dtype, "cuda", {}, None)
    assert r["ours_ms"] > 0 and r["ours_peak_mib"] > 0 and r["tokens_per_s"]["tinygrad_gpt"] > 0
    assert r["product_tflops"]["tinygrad_gpt"] > 0 and "tinygrad_gpt" in capsys.readouterr().out


def test_an_op(monkeypatch):
    import op_cases
    import ops

    monkeypatch.setattr(ops, "SECONDS", 0.001)
    monkeypatch.setattr(ops, "PRODUCT", 64)
    monkeypatch.setattr(ops, "COPY", 1000)
    sides = ops.Sides("cuda")
    try:
        peaks = sides.measure_peaks()
        case = next(case for case in op_cases.CASES if str(case) == "cross_entropy (4096, 65)")
        records = ops.measure(ops.ALL.index(case), sides, 1)
    finally:
        sides.close()
    ops.add_shares(records, peaks)
    assert {"reference", "cuda"} <= {r["version"] for r in records}
    assert set(peaks) == {*ops.ROUNDING, "gflops", "gbytes"}
    assert all(r["forward_ms"] > 0 and r["backward_ms"] > 0 and r["forward_share"] > 0 for r in records)
