"""A pair that computes on another device, in the guise of one on NumPy arrays, so that the checks can watch it."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.array import is_array, to_numpy
from tinygrad_gpt.check.layouts import with_layout_of
from tinygrad_gpt.devices import Device
from tinygrad_gpt.memory import owner
from tinygrad_gpt.read_only import arrays_in
from tinygrad_gpt.sparse_rows import dense


class Saved(NamedTuple):
    saved: Any  # what the pair saved
    given: tuple  # its inputs, on the device
    before: list[np.ndarray]  # what the arrays in `saved` held


class OnDevice:
    """`pair`, with its inputs moved to the device and its results moved back.

    Inputs keep their layout in memory. If the pair changes one in place on the device, the original changes too, where
    the checks look for it. Raises RuntimeError if backward changes an array that forward saved, or returns a gradient
    that shares memory with a saved array or an input.
    """

    def __init__(self, pair, device: Device):
        self.pair, self.device = pair, device
        self.name = getattr(pair, "name", "yours")

    def why_not(self, *arrays, **settings) -> str | None:
        asked = getattr(self.pair, "why_not", None)
        return asked(*self._move(arrays), **self._move(settings)) if asked else None

    def forward(self, *arrays, **settings):
        given = self._move(arrays)
        y, saved = self.pair.forward(*given, **self._move(settings))
        _copy_changes(given, arrays)
        return _move_back(y), Saved(saved, given, [to_numpy(a).copy() for a in arrays_in(saved)])

    def backward(self, dy, saved: Saved):
        given = self._move(dy)
        grads = self.pair.backward(given, saved.saved)
        _copy_changes(given, dy)
        kept = arrays_in(saved.saved)
        if any(to_numpy(a).tobytes() != before.tobytes() for a, before in zip(kept, saved.before, strict=True)):
            raise RuntimeError("backward changes a saved array in place")
        owners = {id(owner(a)) for a in [*kept, *arrays_in(saved.given)]}
        if any(id(owner(g)) in owners for g in arrays_in(grads)):
            raise RuntimeError("a gradient shares memory with an input or a saved array")
        return _move_back(grads)

    def _move(self, x):
        """The NumPy arrays in nested tuples, lists and dictionaries, moved to the device with the same strides."""
        if isinstance(x, dict):
            return {name: self._move(part) for name, part in x.items()}
        if isinstance(x, tuple | list):
            return type(x)(self._move(part) for part in x)
        if not isinstance(x, np.ndarray):
            return x
        if 0 in x.strides:  # broadcast: one element stands for many, on the device too
            least = x[tuple(slice(1) if step == 0 else slice(None) for step in x.strides)]
            return np.broadcast_to(self.device.move_here(least), x.shape)
        return with_layout_of(x, self.device.move_here(x))


def _move_back(x):
    return type(x)(_move_back(part) for part in x) if isinstance(x, tuple | list) else to_numpy(dense(x))


def _copy_changes(moved, originals) -> None:
    """Copy what changed in the arrays on the device to the arrays that they were moved from."""
    if isinstance(originals, tuple):
        for a, b in zip(moved, originals, strict=True):
            _copy_changes(a, b)
    elif is_array(originals) and to_numpy(moved).tobytes() != originals.tobytes():
        originals[...] = to_numpy(moved)
