"""The emulated cupy.ndarray."""

import weakref
from types import SimpleNamespace

import numpy as np

from tests.emulated_cuda import _capture, _memory
from tests.strict_array import StrictArray, _plain_all

# fmt: off
_MORE_METHODS = ("view", "flatten", "dot", "take", "cumsum", "argsort", "argmin", "sort", "clip", "round", "std",
                 "var", "prod", "diagonal", "repeat")
# fmt: on


# What was called in this process, so that a test can compare it with the signatures of the real CuPy:
# (kind, name, number of positional arguments, names of the others)
calls: set[tuple[str, str, int, tuple[str, ...]]] = set()


class ndarray(StrictArray):  # noqa: N801 (CuPy's name)
    """cupy.ndarray(shape, dtype): full of NaN until written to."""

    __slots__ = ("__weakref__", "_base")
    __module__ = "cupy"
    __array_priority__ = 100

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        if memptr is not None:
            raise NotImplementedError("cupy.ndarray(memptr=...) in the emulation")
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        self._set(_memory.new(shape, dtype, np.empty(shape, dtype, order).strides if strides is None else strides))

    def _set(self, a: np.ndarray) -> None:
        self._a, self._base = a, None
        memory = _memory.memory_of(a)
        root = memory.root() if memory.root is not None else None
        if root is None:
            memory.root = weakref.ref(self)
        else:
            self._base = root

    @classmethod
    def _of(cls, values):
        """As an array on the GPU: a view where `values` lies there already, else a copy."""
        a = _of_known_type(values)
        if _memory.memory_of(a) is None:
            new = _memory.new(a.shape, a.dtype, _dense_strides(a))
            new[...] = a
            a = new
        x = object.__new__(cls)
        x._set(a)
        return x

    @classmethod
    def _from_numpy(cls, values):
        """CuPy writes a number by a kernel. Other arrays go through memory of the CPU's that the GPU can read; whether
        they have arrived is asked at once, which nobody may while a stream captures. No error says so: the next does.
        What lies by rows and by columns at once, as a single row does, CuPy has lie by columns.
        """
        values = _of_known_type(values)
        if values.ndim:
            _memory.allocate_pinned(values.nbytes)
            _capture.invalidate()
        x = cls(values.shape, values.dtype, order="F" if values.flags.f_contiguous else "C")
        x._a[...] = values
        if not values.ndim:
            there, number = _capture.alias(x._a), values.copy()
            _capture.record(lambda: np.copyto(there, number))
        return x

    @classmethod
    def _run(cls, function, *args, **settings):
        if function in (np.matmul, np.dot, np.ndarray.dot, np.tensordot, np.einsum, np.inner):
            _capture.refuse_cublas()
        calls.add((*_name(function), len(args), tuple(sorted(settings))))
        args, settings = _plain_all(args), {name: _plain_all(value) for name, value in settings.items()}
        if function in (np.empty, np.empty_like):
            return cls._new_like(function(*args, **settings))
        result = cls._wrapped(function(*args, **settings))
        _capture.record_call(function, args, settings, _plain_all(result))
        return result

    @classmethod
    def _new_like(cls, a: np.ndarray):
        x = object.__new__(cls)
        x._set(_memory.new(a.shape, a.dtype, _dense_strides(a)))
        return x

    def _at_home(self) -> np.ndarray:
        _capture.refuse("a copy to the CPU's memory")
        return self._a

    def __repr__(self) -> str:
        return repr(self._a)

    # Properties of arrays on a GPU

    base = property(lambda self: self._base)
    device = property(lambda self: _device())
    data = property(lambda self: SimpleNamespace(ptr=_address(self._a), device_id=0, mem=_memory.memory_of(self._a)))

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (_address(self._a), False),
            "strides": None if self._a.flags.c_contiguous else self.strides,
            "version": 3,
        }

    @property
    def flags(self):
        flags = self._a.flags
        return SimpleNamespace(
            c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=self._base is None
        )

    # Ways in and out

    def get(self, stream=None, order="C", out=None, blocking=True) -> np.ndarray:
        a = self._at_home()
        if out is None:
            return np.array(a, order=order)
        out[...] = a
        return out

    def set(self, arr, stream=None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        _capture.refuse("a copy from the CPU's memory")
        self._a[...] = arr

    def tobytes(self, order="C") -> bytes:
        return self._at_home().tobytes(order)

    def reshape(self, *shape, order="C"):
        return self._run(np.ndarray.reshape, self, *shape, order=order)

    def __complex__(self) -> complex:
        return complex(self._number())

    def __index__(self) -> int:
        return int(self._number())


def _name(function) -> tuple[str, str]:
    """(kind, what it is called in cupy or, a method, in cupy.ndarray)."""
    ufunc, name = getattr(function, "__self__", function), function.__name__
    if isinstance(ufunc, np.ufunc):
        return "ufunc", f"{ufunc.__name__}.at" if name == "at" else ufunc.__name__
    if hasattr(np.ndarray, name) and function is getattr(np.ndarray, name):
        return "method", name
    return "function", f"lib.stride_tricks.{name}" if name == "as_strided" else name


def _of_known_type(values) -> np.ndarray:
    a = np.asarray(values)
    if a.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {a.dtype}")
    return a


def _device():
    from tests.emulated_cuda._runtime import Device

    return Device(0)


def _address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]


def _dense_strides(a: np.ndarray) -> tuple[int, ...] | None:
    """Strides of an array of a's shape whose elements lie without gaps, in the order in which a's lie."""
    if a.size == 0:
        return None
    by_size = sorted(range(a.ndim), key=lambda axis: (-abs(a.strides[axis]), axis))
    if a.flags.c_contiguous or any(n > 1 and s == 0 for n, s in zip(a.shape, a.strides, strict=True)):
        by_size = range(a.ndim)
    strides, step = [0] * a.ndim, a.itemsize
    for axis in reversed(by_size):
        strides[axis] = step
        step *= a.shape[axis]
    return tuple(strides)


def _add_methods() -> None:
    def method(function):
        return lambda self, *args, **settings: self._run(function, self, *args, **settings)

    for name in _MORE_METHODS:
        setattr(ndarray, name, method(getattr(np.ndarray, name)))


_add_methods()
