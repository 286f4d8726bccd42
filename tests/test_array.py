"""dtypes, and random numbers that can be repeated, resumed and computed in any order."""

import numpy as np
import pytest

from tinygrad_gpt import array, memory, random_stream
from tinygrad_gpt.ops import split

MASK = (1 << 64) - 1


def splitmix64(seed: int, n: int) -> int:
    """The n-th output (from 1) of SplitMix64 in Python integers, step by step as the paper's figure 17 has it."""
    state = seed
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) & MASK
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@pytest.fixture(autouse=True)
def state():
    before, dtype = random_stream.random_state(), array.default_dtype()
    yield
    random_stream.set_random_state(before)
    array.set_default_dtype(dtype)


# --- random numbers ----------------------------------------------------------------------------------------------


def test_splitmix64_above_is_the_published_generator():
    # the first outputs for seed 1234567, as published with the reference C code
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [splitmix64(1234567, n) for n in range(1, 5)] == published


@pytest.mark.parametrize("seed", [0, 1, 1234567, (1 << 63) - 1])
def test_random_bits_are_the_top_bits_of_splitmix64(seed):
    bits = random_stream.random_bits(seed, (4, 5), like=np.empty(0))
    assert bits.dtype == np.uint64 and bits.shape == (4, 5)
    assert bits.ravel().tolist() == [splitmix64(seed, n) >> 40 for n in range(1, 21)]


def test_element_n_does_not_depend_on_the_shape():
    long, short = (random_stream.random_bits(9, shape, like=np.empty(0)).ravel() for shape in ((7, 11), (13,)))
    assert np.array_equal(long[:13], short)
    assert random_stream.random_bits(9, (0, 3), like=np.empty(0)).shape == (0, 3)
    assert random_stream.random_bits(9, (), like=np.empty(0)).shape == ()


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
def test_keep_mask_keeps_the_right_share(p):
    n = 200_000
    kept = random_stream.keep_mask(5, (n,), p, like=np.empty(0)).sum()
    assert abs(kept - (1 - p) * n) <= 5 * np.sqrt(n * p * (1 - p))


def test_keep_masks_of_two_seeds_and_of_neighbours_are_independent():
    a, b = (random_stream.keep_mask(seed, (100_000,), 0.5, like=np.empty(0)) for seed in (1, 2))
    for one, other in ((a, b), (a[1:], a[:-1]), (a[64:], a[:-64])):
        assert abs(np.mean(one == other) - 0.5) < 0.01


def test_the_stream_can_be_resumed_from_its_state():
    random_stream.manual_seed(42)
    random_stream.normal((3,))
    state = random_stream.random_state()
    assert state == {"seed": 42, "drawn": 1}
    first = [random_stream.next_seed(), random_stream.normal((2, 2)).tolist(), random_stream.next_seed()]
    random_stream.set_random_state(state)
    assert [random_stream.next_seed(), random_stream.normal((2, 2)).tolist(), random_stream.next_seed()] == first
    state["drawn"] = 99  # the state that was handed out is a copy
    assert random_stream.random_state()["drawn"] == 4


def test_seeds_are_splitmix64_less_a_bit():
    random_stream.manual_seed(1234567)
    assert [random_stream.next_seed() for _ in range(3)] == [splitmix64(1234567, n) >> 1 for n in (1, 2, 3)]


def test_other_seeds_give_other_numbers():
    draws = set()
    for seed in range(50):
        random_stream.manual_seed(seed)
        draws.update(random_stream.next_seed() for _ in range(20))
    assert len(draws) == 1000
    with pytest.raises(ValueError, match="expected 0 <= seed < 2"):
        random_stream.manual_seed(-1)


def test_normal_has_the_deviation_and_dtype_asked_for():
    x = random_stream.normal((200, 100), std=0.02)
    assert x.dtype == np.float32 and abs(x.std() - 0.02) < 5e-4 and abs(x.mean()) < 5e-4
    assert random_stream.normal((2,), dtype=np.float64).dtype == np.float64


# --- dtypes ------------------------------------------------------------------------------------------------------


def test_python_numbers_get_the_default_dtype_and_arrays_keep_theirs():
    assert array.as_array([1.0, 2.0]).dtype == np.float32
    assert array.as_array([1, 2]).dtype == np.int64
    assert array.as_array(np.float64(1)).dtype == np.float64
    given = np.zeros(3)
    assert array.as_array(given) is given
    assert array.as_array(given, np.float32).dtype == np.float32
    array.set_default_dtype(np.float64)
    assert array.as_array(1.5).dtype == np.float64


@pytest.mark.parametrize("values", [np.zeros(1, np.float16), np.zeros(1, complex), ["text"], [None]])
def test_dtypes_that_no_op_takes(values):
    with pytest.raises(TypeError, match="expected float32, float64, integers or booleans"):
        array.as_array(values)


def test_the_default_dtype_must_be_a_float():
    with pytest.raises(TypeError, match="expected float32 or float64, got float16"):
        array.set_default_dtype(np.float16)


def test_what_counts_as_an_array():
    assert array.is_array(np.zeros(1)) and not array.is_array([1.0]) and not array.is_array(1.0)
    assert array.is_float(np.zeros(1)) and not array.is_float(np.zeros(1, int)) and not array.is_float(None)


# --- joining what lies side by side ------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (3, 1, 0, 2)])
@pytest.mark.parametrize("sizes", [(2, 2, 2), (1, 5), (6,), (0, 4, 2)])
def test_cuts_of_one_array_are_joined_without_a_copy(axis, order, sizes):
    whole = np.arange(6.0**4).reshape(6, 6, 6, 6).transpose(order)
    pieces = np.split(whole, np.cumsum(sizes)[:-1], axis=axis)
    joined = memory.concatenate_views(pieces, axis)
    np.testing.assert_array_equal(joined, whole)
    assert joined.strides == whole.strides and np.shares_memory(joined, whole)


WHOLE = np.arange(24.0).reshape(4, 6)


@pytest.mark.parametrize(
    "pieces",
    [
        (WHOLE[:, 2:4], WHOLE[:, :2]),  # the other way round
        (WHOLE[:, :2], WHOLE[:, 3:5]),  # with a gap
        (WHOLE[:, :2], WHOLE[:, 1:3]),  # overlapping
        (WHOLE[:, :2], WHOLE[:, :2]),
        (WHOLE[:2, :2], WHOLE[2:, 2:4]),  # from other rows
        (WHOLE[:, :2], WHOLE[:, 2:6:2]),  # other strides
        (WHOLE[:, :2], WHOLE[:, 2:4].copy()),  # of two arrays
        (WHOLE[:, :2].copy(), WHOLE[:, 2:4]),
        (WHOLE.copy(), WHOLE.copy()),
    ],
)
def test_pieces_that_are_not_cuts_of_one_array_are_copied(pieces):
    joined = memory.concatenate_views(pieces, 1)
    np.testing.assert_array_equal(joined, np.concatenate(pieces, axis=1))
    assert not np.shares_memory(joined, pieces[0]) and not np.shares_memory(joined, pieces[1])


def test_gradients_that_lie_side_by_side_pass_through_split_without_a_copy():
    x = np.zeros((2, 5, 3, 4))  # (B, T, 3, D) as one linear layer makes q, k and v
    _, saved = split.forward(x.transpose(2, 0, 1, 3), sizes=(1, 1, 1))
    dx = np.random.default_rng(0).standard_normal(x.shape)
    (joined,) = split.backward(tuple(np.split(dx.transpose(2, 0, 1, 3), 3)), saved)
    assert np.shares_memory(joined, dx)
    np.testing.assert_array_equal(joined.transpose(1, 2, 0, 3), dx)
    assert joined.transpose(1, 2, 0, 3).flags.c_contiguous
