"""The benchmark of Transformer-XL and XLNet: what they read, and that both sides compute the same."""

import os
import sys

import harness
import numpy as np
import pytest
import relative

SMALL = dict(vocab_size=97, d_model=16, n_layer=2, n_head=2, d_inner=24, mem_len=12)
MODELS = [relative.XL, relative.XLNET]
TASKS = relative.tasks(MODELS, batch=3, length=12, memory=12)
OTHER_PYTHON = os.environ.get("TRANSFO_XL_PYTHON")  # of an environment with transformers 4.35.2


def test_orders_hide_what_is_told_later_and_targets_are_told_last():
    for given in relative.batches(relative.XLNET, 3, 12, 97):
        hidden, mapping, ids = given["perm_mask"], given["target_mapping"], given["input_ids"]
        assert hidden.shape == (3, 12, 12) and mapping.shape == (3, 2, 12)
        assert (hidden + hidden.swapaxes(1, 2) == 1 + np.eye(12)).all()  # of two tokens one sees the other
        assert (np.sort(hidden.sum(axis=2), axis=1) == np.arange(1, 13)).all()
        np.testing.assert_array_equal((mapping @ hidden).sum(axis=2), np.tile([2, 1], (3, 1)))
        np.testing.assert_array_equal((mapping @ ids[:, :, np.newaxis])[:, :, 0], given["labels"])
        kinds = given["token_type_ids"]
        assert (kinds[:, 0] == 0).all() and (kinds[:, -1] == 1).all() and (np.diff(kinds, axis=1) >= 0).all()


@pytest.mark.long
@pytest.mark.parametrize("model", MODELS)
def test_our_side_learns_and_evaluates_with_what_it_remembers(tmp_path, model):
    relative.write_random(tmp_path, model, SMALL | dict(mem_len=5))
    train, evaluate = (task["request"] for task in TASKS if task["model"] == model)
    with harness.Peer(relative.OURS, harness.PEERS / "ours_relative.py", str(tmp_path), model) as ours:
        losses = ours.ask(**train, check=True)
        assert np.allclose(losses, np.log(97), atol=2) and ours.ask(**train)["ms"] > 0
        before = ours.ask(**evaluate, check=True)
        assert ours.ask(**evaluate)["cpu_ms"] > 0
        assert before == ours.ask(**evaluate, check=True)  # a check begins anew
        assert abs(losses[0] - before[0]) < relative.TOLERANCE < abs(losses[2] - before[2])  # it learnt in between


def compared(folder, model: str, python: str) -> list[dict]:
    relative.write_random(folder, model, SMALL)
    return [relative.measure(task, folder, python, 2) for task in TASKS if task["model"] == model]


@pytest.mark.reference
def test_both_xlnets_compute_the_same(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    records = compared(tmp_path, relative.XLNET, sys.executable)
    assert [list(record["ms"]["ratio"]) for record in records] == [[relative.THEIRS]] * 2
    assert relative.table(records).count("\n| ") == 3


@pytest.mark.reference
@pytest.mark.skipif(not OTHER_PYTHON, reason="TRANSFO_XL_PYTHON names no Python that has transformers 4.35.2")
def test_both_transformer_xls_compute_the_same(tmp_path):
    assert len(compared(tmp_path, relative.XL, OTHER_PYTHON)) == 2
    assert relative.versions_in(OTHER_PYTHON).startswith("transformers 4.35.")
