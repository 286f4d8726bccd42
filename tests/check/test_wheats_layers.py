"""Right pairs that are written otherwise pass every check, and nothing is said of them."""

import pytest

from tests.check.wheats_layers import WHEATS
from tinygrad_gpt.cases import cases, layers
from tinygrad_gpt.check import check_op


@pytest.mark.parametrize("op, pair", [pytest.param(op, pair, id=f"{op}: {name}") for op, name, pair in WHEATS])
def test_a_right_pair_passes(op, pair):
    some = [case for case in cases(op, large=False) if not case.name.startswith("long")]  # the others take most time
    report = check_op(op, pair, some)
    assert report.ok, str(report)
    assert not any(finding.hint for finding in report.findings)


def test_the_ops_that_have_one():
    products = {"matmul", "linear", "gelu_linear"}
    assert {op for op, _, _ in WHEATS} >= layers.MAKERS.keys() - products | {"logsumexp", "dropout", "rel_shift"}
