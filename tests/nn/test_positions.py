"""Sinusoidal positions: the paper's formula, and what follows from it."""

import math

import numpy as np
import pytest

from tinygrad_gpt.nn.positions import sinusoids


def test_the_formula():
    table = sinusoids(7, 6, longest=100.0)
    assert table.shape == (7, 6)
    for t in range(7):
        for pair in range(3):
            angle = t / 100.0 ** (2 * pair / 6)
            assert table[t, 2 * pair] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[t, 2 * pair + 1] == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 5, 8])
def test_any_width(channels):
    table = sinusoids(4, channels)
    assert table.shape == (4, channels) and np.isfinite(table).all()
    np.testing.assert_allclose(table[:, 0], np.sin(np.arange(4)), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 5, 8])
def test_the_other_order_has_the_same_columns_sines_first(channels):
    table, halves = sinusoids(9, channels), sinusoids(9, channels, order="halves")
    np.testing.assert_array_equal(halves, np.concatenate([table[:, 0::2], table[:, 1::2]], axis=1))
    assert halves.dtype == table.dtype == np.float32


def test_an_order_that_is_none():
    with pytest.raises(ValueError, match=r"^sinusoids: expected order interleaved or halves, got 'sines first'$"):
        sinusoids(4, 4, order="sines first")


def test_products_depend_on_the_distance_and_neighbours_are_nearest():
    table = sinusoids(40, 32, longest=200.0).astype(np.float64)
    products = table @ table.T
    for distance in range(10):
        along = np.diagonal(products, distance)
        np.testing.assert_allclose(along, along[0], rtol=1e-5)
    assert (np.diff(products[0, :4]) < 0).all()


@pytest.mark.parametrize(("length", "channels", "longest"), [(0, 4, 10.0), (4, 0, 10.0), (4, 4, 0.5)])
def test_impossible_tables(length, channels, longest):
    with pytest.raises(ValueError, match=r"^sinusoids: expected "):
        sinusoids(length, channels, longest)
