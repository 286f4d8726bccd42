"""What the GPU's tests share: whether there is a GPU, real or emulated, and bringing arrays there and back.

With TINYGRAD_GPT_EMULATE_GPU=1 in the environment the emulation (tests/emulated_cuda) takes CuPy's place.
"""

import os
from dataclasses import is_dataclass
from types import SimpleNamespace

import numpy as np

from tinygrad_gpt.array import whole

emulated = os.environ.get("TINYGRAD_GPT_EMULATE_GPU") == "1"


def why_not() -> str | None:
    """Why the GPU's tests cannot run here, or None."""
    if emulated:
        from tests import emulated_cuda

        if emulated_cuda.COMPILER is None:
            return "the emulation of a GPU compiles with g++, which is not on the PATH"
        emulated_cuda.install()
        return None
    try:
        import cupy

        cupy.zeros(1).get()
    except Exception as error:  # not installed, no driver, no GPU: whatever it is, it is the reason
        return f"no GPU: {type(error).__name__}: {error} (TINYGRAD_GPT_EMULATE_GPU=1 runs these tests on the CPU)"
    return None


WHY_NOT = why_not()


def to_gpu(x):
    """NumPy arrays in `x` (an array, or tuples and lists of some) on the GPU, in the same memory layout; everything
    else as it is."""
    if isinstance(x, tuple | list):
        return type(x)(to_gpu(part) for part in x)
    return _copied(x) if isinstance(x, np.ndarray) else x


def _copied(a: np.ndarray):
    import cupy

    if a.flags.c_contiguous or a.size == 0:
        return cupy.array(a, order="C")
    if 0 in a.strides:
        least = a[tuple(slice(0, 1) if step == 0 else slice(None) for step in a.strides)]
        return cupy.broadcast_to(_copied(least), a.shape)
    length = 1 + sum((n - 1) * abs(step) // a.itemsize for n, step in zip(a.shape, a.strides, strict=True))
    buffer = cupy.zeros(length, a.dtype)
    view = cupy.lib.stride_tricks.as_strided(buffer, a.shape, [abs(step) for step in a.strides])
    view = view[tuple(slice(None, None, -1 if step < 0 else 1) for step in a.strides)]
    view[...] = cupy.asarray(a)
    return view


def to_cpu(x):
    """The same back. AssertionError for a NumPy array: what a GPU computes is to lie on the GPU."""
    import cupy

    if isinstance(x, tuple | list):
        return type(x)(to_cpu(part) for part in x)
    assert not isinstance(x, np.ndarray), "a NumPy array where one on the GPU is expected"
    return x.get() if isinstance(x, cupy.ndarray) else x


class AtHome:
    """A version for arrays on the GPU as a pair for NumPy arrays, so that check_op can check it.

    What check_op cannot see then is checked here: that arrays on the GPU stay as they are, and that no gradient shares
    memory with one that is kept. `ids_stay` leaves integers on the CPU, as a data loader's are.
    """

    def __init__(self, version, ids_stay: bool = False):
        self.name, self._version, self._ids_stay = version.name, version, ids_stay

    def _moved(self, arrays: tuple) -> tuple:
        return tuple(a if self._ids_stay and getattr(a, "dtype", None) == np.int64 else to_gpu(a) for a in arrays)

    def why_not(self, *arrays, **settings):
        return self._version.why_not(*self._moved(arrays), **_settings(settings))

    def forward(self, *arrays, **settings):
        moved = self._moved(arrays)
        before = _bytes(moved)
        y, saved = self._version.forward(*moved, **_settings(settings))
        assert _bytes(moved) == before, "forward changes an input in place"
        return to_cpu(y), (moved, saved)

    def backward(self, dy, saved):
        moved, saved = saved
        dy = to_gpu(dy)
        kept = [*_on_gpu((moved, saved, dy))]
        before = _bytes(kept)
        grads = tuple(map(whole, self._version.backward(dy, saved)))
        assert _bytes(kept) == before, "backward changes an array in place"
        for g in _on_gpu(grads):
            owners = {_owner(a) for a in _on_gpu((moved, saved))}
            assert _owner(g) not in owners, "a gradient shares memory with an input or a saved array"
        return to_cpu(grads)


def _settings(settings: dict) -> dict:
    return {name: to_gpu(value) for name, value in settings.items()}


def _on_gpu(x) -> list:
    """The arrays on the GPU in whatever a forward saved: tuples, lists, dicts and dataclasses of arrays, nested."""
    import cupy

    if isinstance(x, cupy.ndarray):
        return [x]
    if isinstance(x, dict):
        x = x.values()
    elif is_dataclass(x) or isinstance(x, SimpleNamespace):
        x = vars(x).values()
    elif not isinstance(x, tuple | list):
        return []
    return [a for part in x for a in _on_gpu(part)]


def _bytes(x) -> list[bytes]:
    return [a.get().tobytes() for a in _on_gpu(x)]


def _owner(a) -> int:
    """Where the memory begins that an array is a view of."""
    return (a if a.base is None else a.base).data.ptr
