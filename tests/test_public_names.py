"""`import tinygrad_gpt as tg`: what it offers, and what loads when used."""

import numpy as np
import pytest

import tinygrad_gpt as tg
from tests.strict_array import StrictArray


@pytest.mark.parametrize("name", tg.__all__)
def test_every_public_name_is_there(name):
    assert getattr(tg, name) is not None and name in dir(tg)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        tg.nothing_of_this_name  # noqa: B018


def test_tensor_copies_what_it_is_given():
    array = np.ones(3, np.float32)
    strict = StrictArray(array)
    for given in (array, tg.Tensor(array), strict):
        t = tg.tensor(given, requires_grad=True)
        t.data[0] = 5.0
        assert t.requires_grad and t.dtype == np.float32
    assert array.tolist() == [1, 1, 1] and strict.get().tolist() == [1, 1, 1]
    assert tg.tensor([1.0, 2.0]).dtype == np.float32 and tg.tensor([1, 2]).dtype == np.int64
    assert tg.tensor([1.0], dtype=np.float64).dtype == np.float64
