"""A pair that computes on another device, as one that takes and gives NumPy arrays: so the checks can watch it."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_gpt.array import is_array, to_numpy
from tinygrad_gpt.check.layouts import with_layout_of
from tinygrad_gpt.devices import Device
from tinygrad_gpt.sparse_rows import dense


class Saved(NamedTuple):
    saved: Any  # what the pair saved
    given: tuple  # its inputs, there
    before: list[np.ndarray]  # what the arrays in `saved` held


class OnDevice:
    """`pair`, whose inputs are brought to the device and whose results are brought back.

    Inputs keep their layout in memory. What the pair changes in place there is changed here too, where the checks look
    for it; that an array which it saved was changed, or shares its memory with a gradient, is a RuntimeError.
    """

    def __init__(self, pair, device: Device):
        self.pair, self.device = pair, device
        self.name = getattr(pair, "name", "yours")

    def why_not(self, *arrays, **settings) -> str | None:
        asked = getattr(self.pair, "why_not", None)
        return asked(*self._bring(arrays), **self._bring(settings)) if asked else None

    def forward(self, *arrays, **settings):
        given = self._bring(arrays)
        y, saved = self.pair.forward(*given, **self._bring(settings))
        _copy_changes(given, arrays)
        return _bring_home(y), Saved(saved, given, [to_numpy(a).copy() for a in _arrays_in(saved)])

    def backward(self, dy, saved: Saved):
        given = self._bring(dy)
        grads = self.pair.backward(given, saved.saved)
        _copy_changes(given, dy)
        kept = _arrays_in(saved.saved)
        if any(to_numpy(a).tobytes() != before.tobytes() for a, before in zip(kept, saved.before, strict=True)):
            raise RuntimeError("backward changes a saved array in place")
        owners = {id(_owner(a)) for a in [*kept, *_arrays_in(saved.given)]}
        if any(id(_owner(g)) in owners for g in _arrays_in(grads)):
            raise RuntimeError("a gradient shares memory with an input or a saved array")
        return _bring_home(grads)

    def _bring(self, x):
        """NumPy arrays in nested tuples, lists and dictionaries, on the device, laid out in memory as they are here."""
        if isinstance(x, dict):
            return {name: self._bring(part) for name, part in x.items()}
        if isinstance(x, tuple | list):
            return type(x)(self._bring(part) for part in x)
        if not isinstance(x, np.ndarray):
            return x
        if 0 in x.strides:  # broadcast: one element stands for many, there too
            least = x[tuple(slice(1) if step == 0 else slice(None) for step in x.strides)]
            return np.broadcast_to(self.device.move_here(least), x.shape)
        return with_layout_of(x, self.device.move_here(x))


def _bring_home(x):
    return type(x)(_bring_home(part) for part in x) if isinstance(x, tuple | list) else to_numpy(dense(x))


def _copy_changes(there, here) -> None:
    """Make the arrays here hold what those there hold by now."""
    if isinstance(here, tuple):
        for a, b in zip(there, here, strict=True):
            _copy_changes(a, b)
    elif is_array(here) and to_numpy(there).tobytes() != here.tobytes():
        here[...] = to_numpy(there)


def _arrays_in(x) -> list:
    if isinstance(x, dict):
        return _arrays_in(tuple(x.values()))
    if isinstance(x, tuple | list):
        return [a for part in x for a in _arrays_in(part)]
    return [x] if is_array(x) else []


def _owner(x):
    while x.base is not None:
        x = x.base
    return x
