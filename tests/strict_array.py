"""An array that behaves as CuPy's do on a GPU, for machines that have none.

It holds a NumPy array, answers to NumPy's functions as a CuPy array does (`__array_ufunc__`, `__array_function__`), and
raises TypeError wherever CuPy would, or where CuPy would copy to or from the GPU without being asked:

- conversion to NumPy (`np.asarray(x)`); only `x.get()`, `x.item()`, `float(x)` of a 0-d array do that
- a NumPy array and one of these in one call, in an index or in an assignment
- NumPy functions, methods and keywords that CuPy does not have

Results of calls and of indexing are StrictArrays always, 0-d ones too: CuPy has no scalars of its own.

Tests import it as `from tests.strict_array import StrictArray`: pyproject.toml puts the repository on pytest's path.
"""

from types import SimpleNamespace

import numpy as np

# Functions of NumPy that CuPy has under the same name.
# fmt: off
_FUNCTIONS = {
    "where", "concatenate", "stack", "split", "broadcast_to", "zeros_like", "ones_like", "empty_like", "full_like",
    "arange", "zeros", "ones", "empty", "full", "array", "asarray", "clip", "expand_dims", "squeeze", "reshape",
    "transpose", "swapaxes", "ravel", "nonzero", "argmax", "argmin", "sort", "argsort", "take", "tril", "triu", "tri",
    "take_along_axis", "dot", "tensordot", "einsum", "cumsum", "array_equal", "allclose", "copyto", "sum", "mean",
    "prod", "max", "min", "amax", "amin", "var", "std", "any", "all",
}
# fmt: on
_REFUSED_KEYWORDS = {"where", "initial"}  # of reductions: NumPy's have them, CuPy's don't


class StrictArray:
    """`StrictArray(numpy_array)`; see the module."""

    __slots__ = ("_a",)
    __hash__ = None

    def __init__(self, values):
        self._a = np.asarray(values)

    # What NumPy asks

    def __array__(self, *args, **kwargs):
        raise TypeError("silent conversion of a StrictArray to NumPy; use array.to_numpy (CuPy's .get())")

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **settings):
        if method not in ("__call__", "at") or ufunc.signature is not None:
            raise TypeError(f"np.{ufunc.__name__} ({method}) does not dispatch to CuPy; for matmul write a @ b")
        if "where" in settings:
            raise TypeError(f"np.{ufunc.__name__}: CuPy's has no where=")
        out = {"out": tuple(_plain(o) for o in out)} if out else {}
        result = getattr(ufunc, method)(*(_plain_all(x) for x in inputs), **out, **settings)
        return None if method == "at" else _wrapped(result)

    def __array_function__(self, function, types, args, settings):
        name = function.__name__
        if name not in _FUNCTIONS or not function.__module__.startswith("numpy") or "linalg" in function.__module__:
            raise TypeError(f"np.{name} is not known to exist in CuPy (tests/strict_array.py)")
        refused = _REFUSED_KEYWORDS & set(settings)
        if refused:
            raise TypeError(f"np.{name}: CuPy's has no {' and no '.join(sorted(refused))}=")
        if name in ("array", "asarray") and isinstance(args[0], np.ndarray):
            return StrictArray(function(*args, **settings))  # an explicit copy to the GPU
        return _wrapped(function(*_plain_all(args), **{k: _plain_all(v) for k, v in settings.items()}))

    # Properties

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    T = property(lambda self: StrictArray(self._a.T))

    @property
    def base(self):
        return None if self._a.base is None else StrictArray(self._a.base)

    @property
    def flags(self):
        flags = self._a.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata)

    # Explicit ways out

    def get(self) -> np.ndarray:
        return self._a.copy()

    def item(self):
        return self._a.item()

    def tolist(self):
        return self._a.tolist()

    def __repr__(self) -> str:
        return f"Strict{self._a!r}"

    def _number(self):
        if self._a.ndim:
            raise TypeError(f"a StrictArray of shape {self.shape} is no number")
        return self._a.item()

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def __bool__(self) -> bool:
        return bool(self._number())

    # Containers

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self):
        if self._a.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        return _wrapped(self._a[_plain_all(index)])

    def __setitem__(self, index, value):
        self._a[_plain_all(index)] = _plain(value)

    # Methods

    def reshape(self, *shape):
        return StrictArray(self._a.reshape(*shape))

    def transpose(self, *axes):
        return StrictArray(self._a.transpose(*axes))

    def swapaxes(self, a, b):
        return StrictArray(self._a.swapaxes(a, b))

    def ravel(self):
        return StrictArray(self._a.ravel())

    def squeeze(self, axis=None):
        return StrictArray(self._a.squeeze(axis))

    def astype(self, dtype, copy=True):
        return StrictArray(self._a.astype(dtype, copy=copy))

    def copy(self):
        return StrictArray(self._a.copy())

    def fill(self, value):
        self._a.fill(_plain(value))

    def sum(self, axis=None, dtype=None, keepdims=False):
        return _wrapped(self._a.sum(axis=axis, dtype=dtype, keepdims=keepdims))

    def mean(self, axis=None, dtype=None, keepdims=False):
        return _wrapped(self._a.mean(axis=axis, dtype=dtype, keepdims=keepdims))

    def max(self, axis=None, keepdims=False):
        return _wrapped(self._a.max(axis=axis, keepdims=keepdims))

    def min(self, axis=None, keepdims=False):
        return _wrapped(self._a.min(axis=axis, keepdims=keepdims))

    def any(self, axis=None, keepdims=False):
        return _wrapped(self._a.any(axis=axis, keepdims=keepdims))

    def all(self, axis=None, keepdims=False):
        return _wrapped(self._a.all(axis=axis, keepdims=keepdims))

    def argmax(self, axis=None):
        return _wrapped(self._a.argmax(axis=axis))

    def nonzero(self):
        return _wrapped(self._a.nonzero())


def _plain(x):
    """The NumPy array in a StrictArray; numbers as they are. TypeError for a NumPy array: it is on the other device."""
    if isinstance(x, StrictArray):
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(f"a NumPy array of shape {x.shape} meets a StrictArray in one call: they are on two devices")
    return x


def _plain_all(x):
    """_plain for whatever is in nested tuples and lists."""
    if isinstance(x, tuple | list):
        return type(x)(_plain_all(part) for part in x)
    return _plain(x)


def _wrapped(x):
    """Every array and NumPy scalar in a result as a StrictArray."""
    if isinstance(x, tuple | list):
        return type(x)(_wrapped(part) for part in x)
    return StrictArray(x) if isinstance(x, np.ndarray | np.generic) else x


def _operators() -> None:
    """a + b, b + a, a += b and the like, as CuPy defines them."""

    def binary(function):
        return lambda self, other: _foreign(other) or _wrapped(function(self._a, _plain(other)))

    def reflected(function):
        return lambda self, other: _foreign(other) or _wrapped(function(_plain(other), self._a))

    def in_place(function):
        def method(self, other):
            function(self._a, _plain(other), out=self._a)
            return self

        return method

    def _foreign(other):
        """NotImplemented for what wants to handle the operation itself, such as a Tensor."""
        is_known = isinstance(other, StrictArray | np.ndarray | np.generic | int | float)
        return None if is_known else NotImplemented

    arithmetic = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide}
    arithmetic |= {"floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "matmul": np.matmul}
    bits = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
    bits |= {"lshift": np.left_shift, "rshift": np.right_shift}
    for name, function in (arithmetic | bits).items():
        setattr(StrictArray, f"__{name}__", binary(function))
        setattr(StrictArray, f"__r{name}__", reflected(function))
        if name != "matmul":
            setattr(StrictArray, f"__i{name}__", in_place(function))
    comparisons = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}
    for name, function in (comparisons | {"eq": np.equal, "ne": np.not_equal}).items():
        setattr(StrictArray, f"__{name}__", binary(function))
    for name, function in {"neg": np.negative, "abs": np.absolute, "invert": np.invert}.items():
        setattr(StrictArray, f"__{name}__", lambda self, function=function: _wrapped(function(self._a)))


_operators()
