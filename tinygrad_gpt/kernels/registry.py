"""Which version of an op runs: the one place of choice.

A version is a pair (forward, backward) that keeps the contract of `tinygrad_gpt/ops/__init__.py`. The candidates for an
op, in the order in which they are asked:

    1. pairs that a user registered (`register`), the latest first;
    2. the kernels that the package brings for arrays of this kind: kernels/numba/NAME.py for NumPy's,
       kernels/cuda/NAME.py for CuPy's; and before it NAME_bfloat16.py and NAME_tf32.py, which round, and run only where
       that was asked for (tinygrad_gpt/precision.py);
    3. the reference, ops/NAME.py, which takes everything that the op allows, on arrays of either kind.

The first whose `why_not(*arrays, **settings)` returns None runs. Modules load on first use, so that importing the
package stays quick and a machine without Numba, or without a GPU, never notices. A version that rounds computes another
function, near the op's, whose derivative no finite difference can measure: it has tolerances and tests of its own.

Besides the ops there are routines, which work outside the tape and may write in place (the AdamW update, the sum of
squares of a gradient). Their files hold one function `run` instead of a pair; `registry.run` chooses and calls it.
"""

import contextlib
import importlib
import importlib.util
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

import numpy as np

from tinygrad_gpt import ops
from tinygrad_gpt.arguments import shown
from tinygrad_gpt.array import as_array, is_array, place

PACKAGE = __name__.split(".")[0]
FOLDERS = {"cpu": "numba", "cuda": "cuda"}  # where arrays lie -> the folder of kernels for them, a version's name
LIBRARIES = {"numba": "numba", "cuda": "cupy"}  # what each folder's kernels take
ROUNDING = ("bfloat16", "tf32")  # names of versions that round
ROUTINES = ("adamw", "sum_squares")


@dataclass(frozen=True, eq=False)
class Version:
    """One author's pair for one op; for a routine, `forward` is its `run` and there is no backward.

    `why_not(*arrays, **settings)` returns None when the version can run on these inputs, else the reason in a few
    words.
    """

    op: str
    name: str
    forward: Callable
    backward: Callable | None
    why_not: Callable

    def __str__(self) -> str:
        return f"{self.op}[{self.name}]"


_registered: dict[str, list[Version]] = {}  # op -> users' versions, latest first
# The open `using` blocks of this thread, outermost first: op (or "*") -> version name
_forced: ContextVar[tuple[dict[str, str], ...]] = ContextVar("forced", default=())


@cache
def op_names() -> tuple[str, ...]:
    """Every op there is: the files of `tinygrad_gpt/ops`, less routines and names that begin with an underscore."""
    names = (m.name for m in pkgutil.iter_modules(ops.__path__))
    return tuple(sorted(n for n in names if not n.startswith("_") and n not in ROUTINES))


@cache
def reference(op: str):
    """The module ops/NAME.py: `forward`, `backward`, and `check` where the op has rules about its inputs."""
    if op not in op_names() + ROUTINES:
        raise ValueError(f"there is no op {op!r}; the ops are {', '.join(op_names())}")
    return importlib.import_module(f"{PACKAGE}.ops.{op}")


@cache
def _shipped(op: str, where: str = "cpu") -> tuple[tuple[Version, ...], tuple[tuple[str, str], ...]]:
    """The package's versions of `op` for arrays of this place, best first, and (name, reason) of those that cannot be
    loaded here."""
    versions, absent = [], []
    folder = FOLDERS.get(where)
    if folder is not None:
        files = _files(op, folder)
        if folder not in files and _is_installed(LIBRARIES[folder]):
            absent.append((folder, f"no kernels/{folder}/{op}.py"))
        elif no_kernels(where):
            absent.append((folder, no_kernels(where)))
        else:
            for name, file in files.items():
                kernel = importlib.import_module(file)
                versions.append(_version(op, name, kernel, kernel.why_not))
    versions.append(_reference_version(op))
    return tuple(versions), tuple(absent)


def _files(op: str, folder: str) -> dict[str, str]:
    """Name of the version -> module, for each of a folder's versions of `op`, in the order in which they are asked."""
    files = {name: f"{PACKAGE}.kernels.{folder}.{op}_{name}" for name in ROUNDING}
    files[folder] = f"{PACKAGE}.kernels.{folder}.{op}"
    return {name: file for name, file in files.items() if importlib.util.find_spec(file) is not None}


def cannot_round(name: str, where: str = "cpu") -> str | None:
    """Why no version of this name, one of ROUNDING, can run on arrays of this place here; None where it can."""
    versions, absent = _shipped("linear", where)
    if name not in [v.name for v in versions]:
        reasons = [reason for _, reason in absent]
        return "; ".join(reasons) or f"no kernels/{FOLDERS.get(where)}/linear_{name}.py"
    return importlib.import_module(f"{PACKAGE}.kernels.{FOLDERS[where]}.linear_{name}").missing()


def _is_installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


@cache
def no_kernels(where: str) -> str | None:
    """Why no kernel runs on arrays of this place, "cpu" or "cuda", or None. Where the library that they take is there
    but does not load, that is said, once, since what runs instead is slower. (Numba refuses a NumPy that is newer than
    it knows, and can be switched off.)"""
    folder = FOLDERS[where]
    library = LIBRARIES[folder]
    if not _is_installed(library):
        return f"{library} is not installed"
    try:
        importlib.import_module(library)
        reason = importlib.import_module(f"{PACKAGE}.kernels.{folder}").missing()
    except Exception as error:  # whatever a broken installation raises
        reason = f"{library} does not load: {str(error).partition(chr(10))[0]}"
    if reason is not None:
        message = f"kernels don't run, the slower reference does: {reason}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return reason


@cache
def _reference_version(op: str) -> Version:
    return _version(op, "reference", reference(op), _always)


def _version(op: str, name: str, module, why_not: Callable) -> Version:
    if op in ROUTINES:
        return Version(op, name, module.run, None, why_not)
    return Version(op, name, module.forward, module.backward, why_not)


def _always(*arrays, **settings) -> None:
    return None


def versions(op: str, where: str = "cpu") -> tuple[Version, ...]:
    """All versions of `op` that can be loaded here for arrays of this place ("cpu", "cuda"), in the order in which they
    are asked."""
    own = _registered.get(op)
    return (*own, *_shipped(op, where)[0]) if own else _shipped(op, where)[0]


def _where(arrays: tuple) -> str:
    """The place of the arrays that a version is to take: the GPU if one of them lies there, as integers may lie on the
    CPU all the same. (A routine takes lists of arrays, each of one place.)"""
    found = "cpu"
    for a in arrays:
        if type(a) is np.ndarray or a is None:
            continue
        first = a[0] if isinstance(a, list | tuple) and a else a
        if is_array(first) and place(first) != "cpu":
            found = place(first)
    return found


def register(op: str, forward: Callable, backward: Callable, *, name: str = "yours", why_not: Callable = _always):
    """Run your own pair wherever `op` is used, ahead of the package's versions. Returns the Version.

    Check the pair first, with `tinygrad_gpt.check.check_op`. Undo it with `unregister(version)`.
    """
    reference(op)  # raises for a name that is no op
    version = Version(op, name, forward, backward, why_not)
    _registered.setdefault(op, []).insert(0, version)
    return version


def unregister(version: Version) -> None:
    """Take back what `register` returned."""
    if not isinstance(version, Version) or version not in _registered.get(version.op, ()):
        raise ValueError(f"unregister: expected what register() returned, and once, got {shown(version)}")
    _registered[version.op].remove(version)


@contextlib.contextmanager
def using(everywhere: str | None = None, /, **per_op: str) -> Iterator[None]:
    """Force versions by name inside a `with` block.

        with using("reference"): ...             # every op
        with using(layer_norm="reference"): ...  # one op

    A forced version that cannot take some inputs gives way to the reference, as always; a name that no version of the
    op has is a ValueError.
    """
    known = {"reference", *LIBRARIES}
    if everywhere is not None and everywhere not in known | {v.name for vs in _registered.values() for v in vs}:
        raise ValueError(f"using: expected a version's name ({', '.join(sorted(known))}), got {everywhere!r}")
    for op, name in per_op.items():
        names = dict.fromkeys([v.name for v in versions(op)] + list(_files(op, "cuda")))
        if name not in names:
            raise ValueError(f"using: {op} has the versions {', '.join(names)}, not {name!r}")
    before = _forced.set((*_forced.get(), ({"*": everywhere} if everywhere else {}) | per_op))
    try:
        yield
    finally:
        _forced.reset(before)


def user_chose(op: str) -> bool:
    """Whether the user says how `op` is to run: by a pair of their own, or by naming it in `using`.

    An op that does the work of several asks, so as not to pass over such a choice for one of them.
    """
    named = any(op in block for block in _forced.get())
    return named or _candidates(op, "elsewhere")[0] in _registered.get(op, ())


def _candidates(op: str, where: str) -> tuple[Version, ...]:
    for block in reversed(_forced.get()):
        wanted = block.get(op) or block.get("*")
        if wanted == "reference":
            return (_reference_version(op),)  # without loading any kernel
        if wanted:
            everything = versions(op, where)
            return tuple(v for v in everything if v.name == wanted) + everything[-1:]
    return versions(op, where)


def choose(op: str, arrays: tuple, settings: dict) -> Version:
    """The version of `op` that runs on these inputs. Raises what the op's `check` raises for inputs that don't fit."""
    check = getattr(reference(op), "check", None)
    if check is not None:
        check(*arrays, **settings)
    for version in _candidates(op, _where(arrays)):
        if version.why_not(*arrays, **settings) is None:
            return version
    raise AssertionError(f"the reference of {op} takes everything")


def run(routine: str, *arrays, **settings):
    """Call the version of a routine that fits these arrays, and return what it returns."""
    return choose(routine, arrays, settings).forward(*arrays, **settings)


def replayed(function: Callable, where: str) -> Callable:
    """`function`, to be called many times with arrays of the same shapes, as it is quickest where its arrays lie: on a
    GPU as a Replayed (kernels/cuda/machine/record.py says what that asks of it), elsewhere as it is."""
    file = f"{PACKAGE}.kernels.{FOLDERS.get(where)}.machine.record"
    if where not in FOLDERS or importlib.util.find_spec(file) is None:
        return function
    return importlib.import_module(file).Replayed(function)


def explain(op: str, *inputs, **settings) -> str:
    """Which version of `op` runs on these inputs (arrays or Tensors), and why each one before it does not.

    >>> print(explain("softmax", np.zeros((2, 3), np.float32)))   # doctest: +SKIP
    softmax on float32(2, 3)
      numba: no kernels/numba/softmax.py
      reference: runs
    """
    inputs = [getattr(x, "data", x) if x is None or is_array(getattr(x, "data", x)) else x for x in inputs]
    arrays = tuple(x if x is None or is_array(x) else as_array(x, who=op) for x in inputs)
    chosen = choose(op, arrays, settings)
    given = ", ".join(f"{a.dtype}{tuple(a.shape)}" if hasattr(a, "dtype") else repr(a) for a in arrays)
    where = _where(arrays)
    reasons = list(_shipped(op, where)[1])  # (version's name, reason)
    candidates = _candidates(op, where)
    for version in versions(op, where):
        if version is chosen:
            why = "runs"
        elif version not in candidates:
            why = "set aside by using(...)"
        elif candidates.index(version) > candidates.index(chosen):
            why = "not needed"
        else:
            why = version.why_not(*arrays, **settings)
        reasons.append((version.name, why))
    return "\n".join([f"{op} on {given}", *(f"  {name}: {why}" for name, why in reasons)])
