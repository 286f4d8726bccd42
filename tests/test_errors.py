"""Names that were meant."""

import pytest

import tinygrad_gpt as tg
from tinygrad_gpt.errors import did_you_mean


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sofmax", "softmax"),
        ("layernorm", "layer_norm"),
        ("LAYER-NORM", "layer_norm"),
        ("gpt1_smal", "gpt1-small"),
        ("gpt1_", "gpt1-small"),
        ("lay", "layer_norm"),
        ("la", None),
        ("convolution", None),
        ("", None),
        (3, None),
        ("x" * 10_000_000, None),
    ],
)
def test_the_nearest_name(given, meant):
    names = ("add", "softmax", "layer_norm", "gpt1-small")
    assert did_you_mean(given, names) == (f" (did you mean {meant}?)" if meant else "")


def test_it_is_said_wherever_a_name_is_asked_for():
    for call in (
        lambda: tg.using(relu="refrence").__enter__(),
        lambda: tg.using("refrence").__enter__(),
        lambda: tg.explain("rellu", 1.0),
        lambda: tg.register("rellu", None, None),
        lambda: tg.device("cdua"),
        lambda: tg.set_matmul_precision("bfloat"),
        lambda: tg.check.check_op("rellu", None),
    ):
        with pytest.raises(ValueError, match=r"\(did you mean (reference|relu|cuda|bfloat16)\?\)"):
            call()
