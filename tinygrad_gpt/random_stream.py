"""The package's random numbers: one seed, one stream, in two kinds.

Weights are drawn once, by NumPy's generator. Dropout is drawn twice, in forward and again in backward, so that no mask
is stored: that needs a generator whose n-th number can be computed from n alone.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.arguments import integer, shown
from tinygrad_gpt.array import Array, default_dtype

GAMMA, MIX1, MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # SplitMix64's constants

_random_state = {"seed": 0, "drawn": 0}
_one_at_a_time = threading.Lock()
_is_initialising = True


def manual_seed(seed: int) -> None:
    """Start the package's random numbers over from `seed` (0 <= seed < 2**63)."""
    seed = integer("manual_seed", "seed", seed)
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"manual_seed: expected 0 <= seed < 2**63, got {shown(seed)}")
    _random_state.update(seed=seed, drawn=0)


def random_state() -> dict[str, int]:
    """The state of the package's random numbers, as JSON can hold it: the seed, and how many numbers were drawn."""
    return dict(_random_state)


def set_random_state(state: dict[str, int]) -> None:
    """Continue from a state that `random_state` returned."""
    _random_state.update(seed=int(state["seed"]), drawn=int(state["drawn"]))


class LaterSeed(NamedTuple):
    """A seed that is drawn later, for work on a GPU that is recorded now and runs later (cuda/machine/record.py)."""

    place: Array  # (1,) uint64 on the GPU, which will hold the seed by then


_later: tuple[Array, int] | None = None  # inside later_seeds: the places, and how many seeds had been drawn before


@contextmanager
def later_seeds(places: Array) -> Iterator[None]:
    """Inside this block the n-th call of `next_seed`, from 0, gives a LaterSeed at places[n]."""
    global _later
    _later = places, _random_state["drawn"]
    try:
        yield
    finally:
        _later = None


def next_seed() -> Any:  # an int, but inside later_seeds
    """A fresh 63-bit seed from the package's stream, for one use of `random_bits` or of NumPy's generator.

    Raises RuntimeError inside `later_seeds` when there are no more places.
    """
    with _one_at_a_time:  # no two threads get the same
        _random_state["drawn"] += 1
        drawn = _random_state["drawn"]
    if _later is not None:
        places, before = _later
        n = drawn - before
        if n > len(places):
            raise RuntimeError(f"next_seed: a recorded step draws at most {len(places)} seeds")
        return LaterSeed(places[n - 1 : n])
    z = (_random_state["seed"] + drawn * GAMMA) % (1 << 64)
    z = ((z ^ (z >> 30)) * MIX1) % (1 << 64)
    z = ((z ^ (z >> 27)) * MIX2) % (1 << 64)
    return (z ^ (z >> 31)) >> 1


@contextmanager
def uninitialised() -> Iterator[None]:
    """Inside this block `normal` leaves its arrays uninitialised, for a model with weights from a file."""
    global _is_initialising
    before, _is_initialising = _is_initialising, False
    try:
        yield
    finally:
        _is_initialising = before


def normal(shape: tuple[int, ...], std: float = 1.0, dtype=None, *, scale: float = 1.0) -> np.ndarray:
    """Normally distributed array of mean 0 and the given standard deviation, from the package's stream.

    scale  a factor for the array in its dtype: the same seed gives the same numbers, `scale` times as large
    """
    if not _is_initialising:
        return np.empty(shape, dtype or default_dtype())
    draw = (std * np.random.default_rng(next_seed()).standard_normal(shape)).astype(dtype or default_dtype())
    draw *= scale
    return draw


def random_bits(seed: "int | LaterSeed", shape: tuple[int, ...], like: Array) -> Array:
    """24 random bits for each element of an array of `shape`, as uint64; element n depends on (seed, n) alone.

    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, figure 17): the n-th
    output is a bijective mixing of seed + n * gamma, so that a kernel can compute the elements in any order.
    """
    n = int(np.prod(shape))
    start = seed.place if isinstance(seed, LaterSeed) else np.uint64(seed)
    z = np.arange(1, n + 1, dtype=np.uint64, like=like) * np.uint64(GAMMA) + start
    z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX2)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).reshape(shape)


def drop_threshold(p: float) -> int:
    """The least value of 24 random bits at which dropout with probability `p` keeps an element."""
    return round(p * (1 << 24))


def keep_mask(seed: int, shape: tuple[int, ...], p: float, like: Array) -> Array:
    """Boolean array of `shape`: True (keep) with probability 1 - p, the same for the same seed."""
    return random_bits(seed, shape, like) >= np.uint64(drop_threshold(p))
