"""Watching changes nothing, costs little, says a thing once, and goes on where it was."""

import io

import numpy as np
import pytest

from tests.train.runs import StopsAt, arrays_of, assert_same_arrays, rows_of
from tinygrad_gpt import functional as F
from tinygrad_gpt import random_stream
from tinygrad_gpt.errors import UserError
from tinygrad_gpt.health.snapshot import snapshot
from tinygrad_gpt.train.any_run import resume, start
from tinygrad_gpt.train.reporter import Reporter


def softmax_twice(model):
    model.loss = lambda x, y: F.cross_entropy(F.softmax(model.head(model.features(x))), y)


@pytest.mark.parametrize("others", [dict(dropout=0.3), dict(recompute=True, dropout=0.3), dict(accumulate=2)], ids=str)
def test_weights_are_the_same_without_it(settings, reporter, tmp_path, others):
    weights = []
    for health in (True, False):
        run = start(settings(health=health, log_interval=1, eval_interval=2, **others), tmp_path / str(health))
        run.train(reporter)
        assert all(("health" in row) == health for row in rows_of(run.folder))
        weights.append(arrays_of(run.folder))
    assert_same_arrays(*weights)


def test_a_snapshot_draws_no_random_number_and_leaves_no_trace(settings, reporter, tmp_path):
    run = start(settings(dropout=0.3), tmp_path / "run")
    run.train(reporter)
    model, before = run.model, random_stream.random_state()
    model.train()
    gradients = [p.grad.copy() for p in model.parameters()]
    seen = snapshot(model, run.task)
    assert snapshot(model, run.task) == seen
    assert random_stream.random_state() == before and model.training
    assert all("forward" not in vars(module) for module in model.modules())
    for p, gradient in zip(model.parameters(), gradients, strict=True):
        np.testing.assert_array_equal(p.grad, gradient)


def test_what_a_snapshot_holds(settings, reporter, tmp_path):
    """Each number, computed another way."""
    run = start(settings(n_layer=2, activation="relu"), tmp_path / "run")
    run.train(reporter)
    model = run.model.eval()
    x, y = run.task.probe()
    logits = model(x).numpy()
    predicted = logits.argmax(-1)
    seen = snapshot(model, run.task)
    norms = [np.sqrt(sum((p.grad**2).sum() for p in block.parameters())) for block in model.blocks]
    np.testing.assert_allclose(seen["block_gradients"], norms, rtol=1e-3)
    assert seen["prediction_share"] == pytest.approx((predicted == seen["predicted"]).mean(), abs=1e-4)
    assert seen["prediction_share"] == pytest.approx(np.bincount(predicted.ravel()).max() / predicted.size, abs=1e-4)
    assert seen["accuracy"] == pytest.approx((predicted == y).mean(), abs=1e-4)
    assert len(seen["flat_units"]) == len(seen["saturated_attention"]) == 2 and not seen["double_softmax"]
    up = model.blocks[1].feed_forward.up
    up.bias.data[:8] = -100.0  # a quarter of 32 units
    model.blocks[1].attention.qkv.weight.data *= 1e4
    after = snapshot(model, run.task)
    assert after["flat_units"][1] == pytest.approx(seen["flat_units"][1] * 0.75 + 0.25, abs=0.1)
    assert after["flat_units"][0] == seen["flat_units"][0]
    assert after["saturated_attention"][1] > 0.9 > 0.5 > seen["saturated_attention"][1]


@pytest.mark.long
def test_snapshots_come_every_fifty_steps_and_at_the_end(settings, reporter, tmp_path):
    run = start(settings(steps=130, log_interval=20, n_embd=4), tmp_path / "run")
    run.train(reporter)
    steps = [row["step"] for row in rows_of(run.folder) if "predicted" in row["health"]]
    assert steps == [40, 80, 120, 130]  # 26 steps apart at least: five snapshots in a short run
    long = start(settings(steps=600, log_interval=20, n_embd=4), tmp_path / "long")
    long.train(reporter)
    assert [row["step"] for row in rows_of(long.folder) if "predicted" in row["health"]][:3] == [60, 120, 180]


@pytest.mark.long
@pytest.mark.parametrize("at", [30, 47, 61])
def test_a_stopped_run_goes_on_and_repeats_nothing(settings, tmp_path, at):
    chosen = settings(steps=80, log_interval=4, checkpoint_interval=7, lr=0.02)
    said = {"whole": io.StringIO(), "stopped": io.StringIO()}
    whole = start(chosen, tmp_path / "whole")
    softmax_twice(whole.model)
    whole.train(Reporter(said["whole"]))
    stopped = start(chosen, tmp_path / "stopped")
    softmax_twice(stopped.model)
    with pytest.raises(KeyboardInterrupt):
        stopped.train(StopsAt(at, said["stopped"], times=2))
    resumed = resume(tmp_path / "stopped")
    softmax_twice(resumed.model)
    resumed.train(Reporter(said["stopped"]))
    assert rows_of(whole.folder) == rows_of(resumed.folder)
    lines = {
        name: [li for li in text.getvalue().splitlines() if li.startswith("health")] for name, text in said.items()
    }
    assert len(lines["whole"]) == 1 and lines["stopped"] == lines["whole"]


def test_it_can_be_switched_off_and_on(settings, reporter, tmp_path):
    run = start(settings(steps=12, log_interval=2, health=False), tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run.train(StopsAt(7, times=2))
    resume(tmp_path / "run", given={"health": True}).train(reporter)
    assert ["health" in row for row in rows_of(run.folder)] == [False] * 3 + [True] * 3


def test_a_plan_that_lacks_a_setting():
    from tinygrad_gpt.health.history import Plan

    with pytest.raises(UserError, match="no usable lr: 'fast'"):
        Plan.of({"steps": 3, "lr": "fast"})
