"""The benchmark of attention's ladder: it notices wrong rungs, counts their work, and draws what it measured."""

import json
import sys

import attention
import numpy as np
import pytest

from tinygrad_gpt.kernels.numba.flash.ladder import LADDER, Rung


class FakePeer:
    """Multiplies at 100 GFLOP/s on each thread."""

    def __init__(self, count):
        self.count, self.is_open = count, True

    def ask(self, call):
        assert call == "gflops" and self.is_open
        return 100.0 * self.count

    def close(self):
        self.is_open = False


def test_validation_notices_a_wrong_rung():
    right = LADDER["kernel"]
    attention.validate(right, attention.draw(2, 70, 8))
    for y_factor, lse_factor, name in ((1.001, 1, "y"), (1, 1.001, "lse"), (np.nan, 1, "y")):

        def attend(*arguments, y_factor=y_factor, lse_factor=lse_factor):
            y, lse = right.attend(*arguments)
            return y * np.float32(y_factor), lse * np.float32(lse_factor)

        with pytest.raises(SystemExit, match=f"wrong computes another {name}"):
            attention.validate(Rung("wrong", attend, "1"), attention.draw(2, 70, 8))


def test_a_record_has_the_rate_and_its_share():
    shape = (10, 1000, 50)  # 10 heads of 1000²/2 pairs, 4 · 50 operations each: 1e9
    sgemm = {1: 50.0, 2: 80.0}
    one, all_threads = (attention.record(name, shape, 0.1, 2, sgemm) for name in ("blocks", "kernel"))
    assert (one["threads"], one["gflops"], one["ms"], one["share_of_sgemm"]) == (1, 10, 100, 0.2)
    assert (all_threads["threads"], all_threads["share_of_sgemm"]) == (2, 0.125)
    text = attention.table([one, {**one, "shape": [10, 64, 50]}, all_threads], shape)
    assert text.count("\n| ") == 4 and "| blocks | 64² | 1 | 100.00 | 10.0 | 20 % |" in text


@pytest.mark.long
def test_the_command_measures_and_draws_every_rung(tmp_path, monkeypatch):
    monkeypatch.setattr(attention, "products_on", FakePeer)
    monkeypatch.setattr(attention, "LENGTHS", (3, 6))
    monkeypatch.setattr(attention, "SECONDS", 1e-9)
    monkeypatch.setattr(attention.reporting, "RESULTS", tmp_path)
    command = ["attention.py", "--heads", "2", "--length", "6", "--head-size", "5", "--rounds", "2"]
    monkeypatch.setattr(sys, "argv", command)
    attention.main()
    records = json.loads((tmp_path / "attention.json").read_text(encoding="utf-8"))["records"]
    assert {r["sgemm_gflops"] / r["threads"] for r in records} == {100}
    assert {(r["rung"], *r["shape"]) for r in records} == {
        (name, *shape) for name in LADDER for shape in ((2, 6, 5), (4, 3, 5))
    }
    assert len(records) == 2 * len(LADDER)
    text = (tmp_path / "attention.md").read_text(encoding="utf-8")
    assert text.count("\n| ") == 2 + len(LADDER)
    if (tmp_path / "attention.svg").exists() or pytest.importorskip("matplotlib"):
        assert "<svg" in (tmp_path / "attention.svg").read_text(encoding="utf-8")
