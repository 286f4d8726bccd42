"""The benchmark of ops: it has them all, notices wrong ones, and counts their work."""

import json
import sys

import numpy as np
import op_cases
import ops
import pytest
import scaling
import startup

from tinygrad_gpt.kernels import registry


def case_of(op: str) -> op_cases.OpCase:
    return next(case for case in op_cases.CASES if case.op == op)


def test_every_op_and_routine_has_a_case():
    elsewhere = {"block_step"}  # which generate.py times, in a model
    assert {case.op for case in op_cases.CASES} == {*registry.op_names(), *registry.ROUTINES} - elsewhere


def test_q_k_and_v_are_views_of_one_array():
    q, k, v, mask = op_cases.fused_qkv(2, 3, 5, 4)(np.random.default_rng(0))
    assert q.shape == k.shape == v.shape == (2, 3, 5, 4) and mask is None
    assert q.strides == (4 * 5 * 36, 4 * 4, 4 * 36, 4), "rows of 3C numbers, heads side by side"
    assert v.__array_interface__["data"][0] - q.__array_interface__["data"][0] == 4 * 24


def test_work_counts_what_must_be_done():
    b, h, t, d = 4, 12, 64, 64
    pairs = b * h * t * t / 2
    assert op_cases.work(op_cases.attention(b, h, t, d), 0) == (2 * 2 * pairs * d, 4 * 2 * pairs * d)
    n = 4 * 16 * 256 * 384  # bytes of an array
    assert op_cases.work(case_of("exp"), n) == (2 * n, 3 * n)  # x, y; dy, x, dx
    assert op_cases.work(case_of("sub"), n) == (3 * n, 3 * n)  # a, b, y; dy, da, db
    assert op_cases.work(case_of("reshape"), n) == (0, 0)


def test_upstream_gradients_of_both_sides_are_equal():
    y = np.zeros((2, 3, 5, 4), np.float32)
    one = case_of("attention").upstream(y)
    other = case_of("attention").upstream(np.ascontiguousarray(y.swapaxes(1, 2)).swapaxes(1, 2))
    np.testing.assert_array_equal(one, other)
    assert one.strides == other.strides == (240, 16, 48, 4)


def test_arrays_elsewhere_lie_as_they_do_here():
    (*qkv, mask), x = op_cases.fused_qkv(2, 3, 5, 4)(np.random.default_rng(0)), np.arange(6.0).reshape(2, 3)
    flats = []

    def flat(a):
        assert a.ndim == 1
        flats.append(a.copy())
        return flats[-1]

    def view(a, first, shape, apart):
        return np.lib.stride_tricks.as_strided(a[first:], shape, [step * a.itemsize for step in apart])

    *there, none, also, turned = op_cases.elsewhere((*qkv, mask, x, x.T), flat, view)
    for a, b in zip((*qkv, x, x.T), (*there, also, turned), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.strides == b.strides and not np.shares_memory(a, b)
    assert none is None and len(flats) == 2, "what lies in one array here lies in one there"


def test_each_precision_on_a_gpu_has_its_rival():
    class FakePeer:
        def ask(self, call, op):
            return ["bfloat16", "tf32", "cuda", "reference"]

    sides = ops.Sides.__new__(ops.Sides)
    sides.reference, sides.kernels, sides.pytorch = FakePeer(), FakePeer(), FakePeer()
    for device, rivals in (("cuda", ["pytorch", "pytorch-bfloat16", "pytorch-tf32"]), ("cpu", ["pytorch"])):
        sides.device = device
        assert [name for name, peer in sides.of("linear").items() if peer is sides.pytorch] == rivals

    times = {"tf32": [[1.0, 1.0]], "cuda": [[4.0, 4.0]], "pytorch": [[8.0, 8.0]], "pytorch-tf32": [[1.0, 2.0]]}
    case, memory = op_cases.linear(10, 20, 30), dict.fromkeys(times, 1.0)
    records = [ops.record(case, version, times, memory, 0) for version in ("tf32", "cuda")]
    assert [r["ratio"] for r in records] == [1.5, 2.0]
    ops.add_shares(records, {"gflops": 1.0, "tf32": 2.0, "gbytes": 3.0})
    assert [r["forward_rate"] / r["forward_share"] for r in records] == pytest.approx([2.0, 1.0])


def test_validation_notices_a_wrong_gradient(tmp_path):
    case, right, wrong = case_of("exp"), tmp_path / "right.npz", tmp_path / "wrong.npz"
    y, dx = np.linspace(0, 1, 7, dtype=np.float32), np.linspace(-1, 1, 7, dtype=np.float32)
    np.savez(right, y0=y, gradient0=dx)
    ops.validate(case, "numba", right, right)
    for bad in (dx + np.float32(1e-3), dx * np.float32(np.nan), dx[:6]):
        np.savez(wrong, y0=y, gradient0=bad)
        with pytest.raises(SystemExit, match="gradient0"):
            ops.validate(case, "numba", wrong, right)
    np.savez(wrong, y0=y)
    with pytest.raises(SystemExit, match="expected"):
        ops.validate(case, "numba", wrong, right)


def test_the_record_has_rates_shares_and_the_ratio():
    case = op_cases.linear(1000, 100, 10)  # 2e6 operations forward, 4e6 backward
    times = {"numba": [[1.0, 4.0], [1.0, 4.0]], "pytorch": [[2.0, 8.0], [2.0, 18.0]]}
    r = ops.record(case, "numba", times, {"numba": 1.5, "pytorch": 2.5}, 0)
    assert (r["forward_ms"], r["backward_ms"], r["peak_mib"]) == (1, 4, 1.5)
    assert (r["forward_rate"], r["backward_rate"], r["unit"]) == (2, 1, "GFLOP/s")
    assert (r["pytorch_forward_ms"], r["pytorch_backward_ms"], r["ratio"]) == (2, 13, 3)
    ops.add_shares([r], {"gflops": 4, "gbytes": 99})
    assert (r["forward_share"], r["backward_share"]) == (0.5, 0.25)
    assert "| 2 (0.50) / 1 (0.25) GFLOP/s |" in ops.table([r])


@pytest.mark.slow
def test_the_command_measures_every_version(tmp_path, monkeypatch):
    monkeypatch.setattr(ops, "SECONDS", 0.001)
    file = tmp_path / "r.json"
    monkeypatch.setattr(sys, "argv", ["ops.py", "--op", "split", "--rounds", "1", "--json", str(file)])
    ops.main()
    written = json.loads(file.read_text(encoding="utf-8"))
    assert {r["version"] for r in written["records"]} == {v.name for v in registry.versions("split")}
    for r in written["records"]:
        assert r["forward_ms"] > 0 and r["backward_ms"] > 0 and r["peak_mib"] >= 17.9  # dx
    assert written["peaks"]["gflops"] > 0 and written["peaks"]["gbytes"] > 0


# --- scaling and startup -----------------------------------------------------------------------------------------


def test_every_size_of_the_sweeps_can_be():
    for letter, values in scaling.SWEEPS.items():
        for value in values:
            config = scaling.BASE.but(**{letter: value})
            assert config.C % config.heads == 0
    for case in op_cases.ATTENTION_BY_LENGTH:
        b, _, t, _ = case.arrays()[0].shape
        assert b * t == 4096


def test_growth_is_that_of_the_time_per_token_over_that_of_length(monkeypatch):
    class FakeSides:
        def close(self):
            pass

    def measured(number, sides, rounds):
        t = op_cases.ALL[number].arrays()[0].shape[2]
        return [{"version": "numba", "case": str(t), "forward_ms": 0.01 * t, "backward_ms": 0.02 * t + 1.28}]

    monkeypatch.setattr(ops, "Sides", FakeSides)
    monkeypatch.setattr(ops, "measure", measured)
    records = scaling.sweep_attention(1)
    first, second = records[:2]
    assert first["value"] == 128 and first["ours_us_per_token"] == pytest.approx(1e3 * (3.84 + 1.28) / 4096)
    assert first["growth"] == 1 and second["growth"] == pytest.approx((7.68 + 1.28) / 5.12 / 2)


def test_the_plot_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    record = {"peers": {}, "ours_peak_mib": 9.0}
    steps = [record | {"sweep": "T", "value": t, "ours_ms": 0.5 * t} for t in (128, 64)]
    assert [r["value"] for r in scaling.by_sweep(steps)["T"]] == [64, 128]
    scaling.plot(steps, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_startup_takes_medians():
    warm = [{"import_s": i, "first_step_s": 2 * i} for i in (1.0, 3.0, 2.0)]
    cold = [{"import_s": 1.0, "first_step_s": 9.0}]
    r = startup.record("tinygrad_gpt", warm, cold)
    assert r == {"side": "tinygrad_gpt", "rounds": 3, "import_s": 2.0, "warm_s": 4.0, "cold_s": 9.0}
    assert startup.record("pytorch-eager-fused", warm, cold)["cold_s"] is None
    assert startup.table([r]).splitlines()[-1] == "| tinygrad_gpt | 2.00 | 4.00 | 9.00 |"


@pytest.mark.long
def test_a_first_step_in_a_fresh_process(tmp_path, monkeypatch):
    monkeypatch.setattr(startup, "CACHES", {})  # the kernels that other tests have compiled
    settings = startup.write_settings(tmp_path, scaling.BASE.but(T=8, C=16, layers=1), "float32")
    r = startup.first_step("tinygrad_gpt", settings, tmp_path)
    assert 0 < r["import_s"] < r["first_step_s"] and abs(r["loss"] - np.log(65)) < 0.2
