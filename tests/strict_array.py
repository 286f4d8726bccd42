"""An array that behaves as CuPy's do on a GPU, for machines that have none.

It holds a NumPy array, answers to NumPy's functions as a CuPy array does (`__array_ufunc__`, `__array_function__`), and
raises TypeError wherever CuPy would, or where CuPy would copy to or from the GPU without being asked:

- conversion to NumPy (`np.asarray(x)`); only `x.get()`, `x.item()`, `float(x)` of a 0-d array do that
- a NumPy array and one of these in one call, in an index or in an assignment
- NumPy functions, methods and keywords that CuPy does not have

Results of calls and of indexing are StrictArrays always, 0-d ones too: CuPy has no scalars of its own.

Every operation goes through `_run`, and every number that comes home through `_at_home`: the emulation of CuPy
(tests/emulated_cuda) derives its array from this one and overrides them.

Tests import it as `from tests.strict_array import StrictArray`: pyproject.toml puts the repository on pytest's path.
"""

from types import SimpleNamespace

import numpy as np

# Functions of NumPy that CuPy has under the same name.
# fmt: off
_FUNCTIONS = {
    "where", "concatenate", "stack", "split", "broadcast_to", "zeros_like", "ones_like", "empty_like", "full_like",
    "arange", "zeros", "ones", "empty", "full", "array", "asarray", "clip", "expand_dims", "squeeze", "reshape",
    "transpose", "swapaxes", "ravel", "nonzero", "argmax", "argmin", "sort", "argsort", "argpartition", "partition",
    "take", "tril", "triu", "tri", "take_along_axis", "dot", "tensordot", "einsum", "cumsum", "cumprod", "array_equal",
    "allclose", "copyto", "sum", "mean", "prod", "max", "min", "amax", "amin", "var", "std", "any", "all",
}
# fmt: on
_REFUSED_KEYWORDS = {"where", "initial"}  # of reductions: NumPy's have them, CuPy's don't


class StrictArray:
    """`StrictArray(numpy_array)`; see the module."""

    __slots__ = ("_a",)
    __hash__ = None

    def __init__(self, values):
        self._a = np.asarray(values)

    @classmethod
    def _of(cls, values):
        """The array of this class that holds these values."""
        return cls(values)

    @classmethod
    def _run(cls, function, *args, **settings):
        """What a function of NumPy gives for arrays of this class, as arrays of this class."""
        return cls._wrapped(function(*_plain_all(args), **{k: _plain_all(v) for k, v in settings.items()}))

    @classmethod
    def _wrapped(cls, x):
        """Every array and NumPy scalar in a result as an array of this class."""
        if isinstance(x, tuple | list):
            return type(x)(cls._wrapped(part) for part in x)
        return cls._of(x) if isinstance(x, np.ndarray | np.generic) else x

    @classmethod
    def _from_numpy(cls, values: np.ndarray):
        """An explicit copy to the GPU."""
        return cls._of(np.array(values))

    def _at_home(self) -> np.ndarray:
        """The NumPy array, for those who asked for a copy from the GPU."""
        return self._a

    # What NumPy asks

    def __array__(self, *args, **kwargs):
        raise TypeError("silent conversion of a StrictArray to NumPy; use array.to_numpy (CuPy's .get())")

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **settings):
        if method not in ("__call__", "at") or ufunc.signature is not None:
            raise TypeError(f"np.{ufunc.__name__} ({method}) does not dispatch to CuPy; for matmul write a @ b")
        if "where" in settings:
            raise TypeError(f"np.{ufunc.__name__}: CuPy's has no where=")
        if out:
            settings["out"] = out
        result = self._run(getattr(ufunc, method), *inputs, **settings)
        return out[0] if len(out) == 1 else result

    def __array_function__(self, function, types, args, settings):
        name = function.__name__
        if name not in _FUNCTIONS or not function.__module__.startswith("numpy") or "linalg" in function.__module__:
            raise TypeError(f"np.{name} is not known to exist in CuPy (tests/strict_array.py)")
        refused = _REFUSED_KEYWORDS & set(settings)
        if refused:
            raise TypeError(f"np.{name}: CuPy's has no {' and no '.join(sorted(refused))}=")
        if name.endswith("_like") and not settings.get("shape", True):
            del settings["shape"]  # CuPy takes () for None: as large as the array that it is to be like
        if name in ("array", "asarray") and isinstance(args[0], np.ndarray):
            return self._from_numpy(function(*args, **settings))
        return self._run(function, *args, **settings)

    # Properties

    shape = property(lambda self: self._a.shape)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    T = property(lambda self: self._run(np.ndarray.transpose, self))

    @property
    def base(self):
        return None if self._a.base is None else self._of(self._a.base)

    @property
    def flags(self):
        flags = self._a.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata)

    # Explicit ways out

    def get(self) -> np.ndarray:
        return self._at_home().copy()

    def item(self):
        return self._at_home().item()

    def tolist(self):
        return self._at_home().tolist()

    def __repr__(self) -> str:
        return f"Strict{self._at_home()!r}"

    def _number(self):
        if self._a.ndim:
            raise TypeError(f"an array on the GPU of shape {self.shape} is no number")
        return self._at_home().item()

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
        return self._run(np.ndarray.__getitem__, self, index)

    def __setitem__(self, index, value):
        self._run(np.ndarray.__setitem__, self, index, value)


def _plain(x):
    """The NumPy array in a StrictArray; numbers as they are. TypeError for a NumPy array: it is on the other device."""
    if isinstance(x, StrictArray):
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(f"a NumPy array of shape {x.shape} meets an array on the GPU in one call")
    return x


def _plain_all(x):
    """_plain for whatever is in nested tuples and lists."""
    if isinstance(x, tuple | list):
        return type(x)(_plain_all(part) for part in x)
    return _plain(x)


# fmt: off
_METHODS = ("reshape", "transpose", "swapaxes", "ravel", "squeeze", "astype", "copy", "fill", "sum", "mean", "max",
            "min", "any", "all", "argmax", "nonzero")
# fmt: on


def _methods() -> None:
    """x.sum(axis=0) and the like: NumPy's, less the keywords that CuPy's don't have."""

    def method(name):
        function = getattr(np.ndarray, name)

        def run(self, *args, **settings):
            refused = _REFUSED_KEYWORDS & set(settings)
            if refused:
                raise TypeError(f"{name}: CuPy's has no {' and no '.join(sorted(refused))}=")
            return self._run(function, self, *args, **settings)

        return run

    for name in _METHODS:
        setattr(StrictArray, name, method(name))


def _operators() -> None:
    """a + b, b + a, a += b and the like, as CuPy defines them."""

    def binary(function):
        return lambda self, other: self._run(function, self, other) if _is_ours(other) else NotImplemented

    def reflected(function):
        return lambda self, other: self._run(function, other, self) if _is_ours(other) else NotImplemented

    def in_place(function):
        def method(self, other):
            self._run(function, self, other, out=self)
            return self

        return method

    def _is_ours(other) -> bool:
        """False for what wants to handle the operation itself, such as a Tensor."""
        return isinstance(other, StrictArray | np.ndarray | np.generic | int | float)

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
        setattr(StrictArray, f"__{name}__", lambda self, function=function: self._run(function, self))


_methods()
_operators()
