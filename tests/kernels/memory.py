"""Arrays between guard zones, in every layout: what is written beside them shows, and what is read beside them is nan.

memory = Memory(rng)
x = memory.place(values)                  the values (mostly), somewhere in a buffer of this memory
...                                       x is handed to the code under test
memory.check()                            AssertionError where anything but a `written` array has changed
"""

import numpy as np

GUARD = 128  # bytes before and after each array
CANARY = 0xFF  # as bytes of floats: nan


class Memory:
    """Arrays whose layout `rng` chooses."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self._buffers = []  # (buffer, what it held, which of its bytes may be written to)

    def place(self, values: np.ndarray, *, layout: str | None = None, written: bool = False) -> np.ndarray:
        """An array of the shape, the dtype and, but for layout "repeated", the values of `values`.

        layout   one of LAYOUTS, None: any
        written  whether the code under test is to write to it
        """
        values = np.asarray(values)
        layout = str(self.rng.choice(LAYOUTS, p=WEIGHTS)) if layout is None else layout
        if layout == "owner":  # the only ones that can be resized
            return np.array(values)
        steps, order = np.ones(values.ndim, int), list(range(values.ndim))
        if layout in ("strided", "far apart") and values.size < 1 << 12:
            steps = self.rng.integers(1, 4, values.ndim)
            if values.ndim and layout == "far apart":
                steps[0] = 300
        if layout == "transposed":
            order = [int(i) for i in self.rng.permutation(values.ndim)]
        strides, size = [0] * values.ndim, values.itemsize
        for axis in reversed(order):
            strides[axis] = size * int(steps[axis])
            size *= int(steps[axis]) * max(1, values.shape[axis])
        start = GUARD + (1 if layout == "unaligned" else 0)
        for axis in range(values.ndim):
            if layout == "backwards" and values.shape[axis]:
                start += strides[axis] * (values.shape[axis] - 1)
                strides[axis] *= -1
            if layout == "repeated" and not written and self.rng.random() < 0.5:
                strides[axis] = 0
        buffer = np.full(size + 2 * GUARD + 1, CANARY, np.uint8)
        x = np.ndarray(values.shape, values.dtype, buffer, start, strides)
        x[...] = values
        may_change = np.zeros(buffer.size, np.uint8)
        if written:
            np.ndarray(values.shape, f"V{values.itemsize}", may_change, start, strides)[...] = b"\1" * values.itemsize
        x.flags.writeable = layout != "locked"
        self._buffers.append((buffer, buffer.copy(), may_change == 0))
        return x

    def check(self) -> None:
        for buffer, before, guarded in self._buffers:
            if ((buffer != before) & guarded).any():
                raise AssertionError("wrote to an input, or beside it")

    def forget(self) -> None:
        """Take what the buffers hold now for what they are to hold: somebody else has written to the arrays."""
        self._buffers = [(buffer, buffer.copy(), guarded) for buffer, _, guarded in self._buffers]


LAYOUTS = ("plain", "owner", "strided", "far apart", "transposed", "backwards", "repeated", "unaligned", "locked")
WEIGHTS = (0.3, 0.2, 0.1, 0.02, 0.1, 0.08, 0.05, 0.05, 0.1)
