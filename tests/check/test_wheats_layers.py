"""Right pairs that are written otherwise pass every check, and nothing is said of them."""

import pytest

from tests.check.wheats_layers import WHEATS
from tinygrad_gpt.cases import cases
from tinygrad_gpt.check import check_op


@pytest.mark.parametrize("op, pair", [pytest.param(op, pair, id=f"{op}: {name}") for op, name, pair in WHEATS])
def test_a_right_pair_passes(op, pair):
    report = check_op(op, pair, cases(op, large=False))
    assert report.ok, str(report)
    assert not any(f.hint for f in report.findings)


def test_every_op_of_layers_has_one():
    assert len(WHEATS) >= 12
