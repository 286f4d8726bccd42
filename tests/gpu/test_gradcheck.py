"""Every version of every op is right on the GPU: values, gradients by finite differences in float64, the contract."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.gpu.on_gpu import cases_of
from tinygrad_gpt.check import OnDevice, check_op
from tinygrad_gpt.devices import device
from tinygrad_gpt.kernels import registry
from tinygrad_gpt.ops import exp


@pytest.mark.parametrize("op", registry.op_names())
def test_every_version(op, measured_along_directions_only):
    for version in registry.versions(op, "cuda"):
        if version.name not in registry.ROUNDING:
            report = check_op(op, OnDevice(version, device("cuda")), cases_of(op))
            assert report.cases > 0, version
            report.raise_if_failed()


def pair(forward=exp.forward, backward=exp.backward) -> OnDevice:
    return OnDevice(SimpleNamespace(forward=forward, backward=backward), device("cuda"))


def test_a_right_pair_passes():
    assert check_op("exp", pair()).ok


def changes_its_input(x):
    x += 0  # as it was, and yet
    x[...] = np.exp(x)
    return x, exp.Saved(x)


def changes_what_it_saved(dy, saved):
    saved.y[...] = saved.y * dy
    return (saved.y.copy(),)


def returns_what_it_saved(dy, saved):
    return (saved.y[...],)


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (lambda: pair(backward=lambda dy, saved: (dy * saved.y * 1.001,)), "wrong numbers"),
        (lambda: pair(forward=changes_its_input), "changes an input in place"),
        (lambda: pair(backward=changes_what_it_saved), "changes a saved array in place"),
        (lambda: pair(backward=returns_what_it_saved), "shares memory"),
        (lambda: pair(backward=lambda dy, saved: (dy.astype(np.float32),)), "is float32"),
    ],
    ids=["wrong", "input", "saved", "shared", "dtype"],
)
def test_a_broken_one_does_not(broken, found):
    report = check_op("exp", broken())
    assert not report.ok and found in str(report)
