"""Record once what a function does on the GPU, and from then on repeat it without Python: a CUDA graph.

A GPU finishes the short kernels of a small model sooner than Python can queue them, and idles. But every training step
queues the same kernels, on arrays of the same sizes. So the third call is recorded instead of run (the first two
compile the kernels and fill the caches): CUDA notes which kernels are queued, with which addresses and numbers. From
then on a call copies its inputs to where the recording found them, and one launch has the GPU repeat the whole list.

What makes a repetition the same as a call:

- Addresses. All memory of a recording comes from a pool of its own, which serves nothing else later and which CuPy does
  not empty to make room. So the recording writes to the same places each time. Its outputs lie there too, and hold the
  last call's values.
- Numbers. Whatever Python computed (a learning rate, say) is fixed in the recording. What changes from call to call
  must be an input. Random seeds do change: while it is recorded, the function draws promises of seeds
  (random_stream.LaterSeed). Each call draws the values as usual and puts them where the kernels look for them.
- No questions. Nothing recorded may wait for a value, since there is none yet: CUDA refuses to. Then Python continues
  to run the function at every call, and `why_not` says so.
- No copies from the CPU, other than of the inputs. Python might have computed something else at each call, and CUDA
  would repeat the copy from where the values lay while it was recorded. Such copies are refused too.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import cupy
import numpy as np
from cupy import cuda
from cupy.cuda import runtime

from tinygrad_gpt import random_stream
from tinygrad_gpt.precision import matmul_precision

WARM_UP = 2  # calls that Python runs before one is recorded


class CopyRefusedError(RuntimeError):
    """An array was to be copied from the CPU's memory while a call was recorded."""


class Recorded:
    """`function`, called as before.

    function  takes arrays of integers, on the CPU or the GPU, and returns arrays on the GPU, or tuples or lists of
              them. What else its result depends on (weights) it reads from arrays that stay where they are
    why_not   None; or why a call could not be recorded
    """

    def __init__(self, function: Callable):
        self._function = function
        self._stream = cuda.Stream()  # the default one cannot be recorded; the two wait for each other
        self._pools: defaultdict = defaultdict(cuda.MemoryPool)  # one for each kind of inputs
        self._recordings: dict[tuple, _Recording] = {}
        self._calls: Counter = Counter()
        self.why_not: str | None = None

    def __call__(self, *inputs):
        kind = (matmul_precision(), *_kinds(inputs))
        recording = self._recordings.get(kind)
        if recording is None:
            with self._stream, cuda.using_allocator(self._pools[kind].malloc):
                recording = self._record(kind, inputs)
                if recording is None:
                    return self._function(*inputs)
        with self._stream:
            return recording.run(inputs)

    def _record(self, kind: tuple, inputs: tuple) -> "_Recording | None":
        """Record this call. Returns None where it is too early, or where the call cannot be recorded."""
        self._calls[kind] += 1
        if self.why_not is not None or self._calls[kind] <= WARM_UP:
            return None
        try:
            self._recordings[kind] = _Recording(self._function, inputs, self._stream)
        # CUDA's runtime, its driver, cuBLAS and CuPy each have errors of their own. If the function raised it instead,
        # the call that Python now runs raises it again.
        except RuntimeError as error:
            self.why_not = (
                f"the step cannot be recorded: it seems that something in it waits for the GPU, or the CPU ({error})"
            )
        return self._recordings.get(kind)


class _Recording:
    """The kernels that the GPU repeats, for inputs of certain shapes."""

    SEEDS = 1024  # that one call may draw

    def __init__(self, function: Callable, inputs: tuple, stream):
        self._inputs = _copied(inputs)
        self._seeds = cupy.zeros(self.SEEDS, np.uint64)
        before = random_stream.random_state()
        stream.begin_capture()
        try:
            with random_stream.later_seeds(self._seeds), _no_copies_from_the_cpu():
                self._outputs = function(*self._inputs)
                self._draws = random_stream.random_state()["drawn"] - before["drawn"]
        except BaseException:
            with suppress(runtime.CUDARuntimeError):  # it ends what was refused, too
                stream.end_capture()
            raise
        finally:
            random_stream.set_random_state(before)
        self._graph = stream.end_capture()

    def run(self, inputs: tuple):
        _copy_to(self._inputs, inputs)
        if self._draws:
            self._seeds[: self._draws].set(np.array([random_stream.next_seed() for _ in range(self._draws)], np.uint64))
        self._graph.launch()
        return self._outputs


def _kinds(inputs: tuple) -> tuple:
    """Shape and dtype of each array, in tuples as the arrays are."""
    return tuple(_kinds(x) if isinstance(x, tuple) else (x.shape, x.dtype.str) for x in inputs)


def _copied(inputs: tuple) -> tuple:
    return tuple(_copied(x) if isinstance(x, tuple) else cupy.array(x) for x in inputs)


def _copy_to(places: tuple, inputs: tuple) -> None:
    for place, x in zip(places, inputs, strict=True):
        if isinstance(x, tuple):
            _copy_to(place, x)
        elif isinstance(x, np.ndarray):
            place.set(x)
        else:
            cupy.copyto(place, x)


@contextmanager
def _no_copies_from_the_cpu() -> Iterator[None]:
    """Inside this block a copy from the CPU raises CopyRefusedError before CuPy begins it: first of all CuPy asks for
    memory of the CPU that the GPU can read. (In all threads: only this one should use the GPU during it.)"""

    def refuse(size: int):
        raise CopyRefusedError(f"{size} bytes were to be copied from the CPU's memory: make them an input")

    cuda.set_pinned_memory_allocator(refuse)
    try:
        yield
    finally:
        cuda.set_pinned_memory_allocator(cupy.get_default_pinned_memory_pool().malloc)
